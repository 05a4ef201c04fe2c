import { cookies } from 'next/headers';
import { cache } from 'react';
import { createWeftServer, dehydrate, type Profile, type WeftServer } from '@weft/js/server';
import { COOKIE } from './weft-cookie';
import { weftSettings } from './weft-settings';

/** One for the whole process: it bounds how many questions are under way. */
let client: WeftServer | undefined;

/** What Weft knows of the visitor of this request; asked once, however many components want to know. */
export const visitorProfile = cache(async (): Promise<Profile | null> => {
  const value = (await cookies()).get(COOKIE)?.value;
  if (value === undefined) return null;
  client ??= createWeftServer(weftSettings().server);
  return client.profile({ identifier: { namespace: 'anonymous_id', value } });
});

/** The profile for the browser to start from. */
export async function visitorState(): Promise<string | null> {
  const profile = await visitorProfile();
  return profile === null ? null : dehydrate(profile, (await cookies()).get(COOKIE)?.value);
}
