import { headers } from 'next/headers';
import { cache } from 'react';
import { anonymousIdOf, createWeftServer, dehydrate, type Profile, type WeftServer } from '@weft/js/server';
import { COOKIE } from './weft-cookie';
import { weftSettings } from './weft-settings';

/** One for the whole process: it bounds how many questions are under way. */
let client: WeftServer | undefined;

/** Read as `proxy.ts` does; an id that could be guessed may be somebody else's. */
async function visitorId(): Promise<string | null> {
  return anonymousIdOf((await headers()).get('cookie'), COOKIE);
}

/** What Weft knows of the visitor of this request; asked once, however many components want to know. */
export const visitorProfile = cache(async (): Promise<Profile | null> => {
  const value = await visitorId();
  if (value === null) return null;
  client ??= createWeftServer(weftSettings().server);
  return client.profile({ identifier: { namespace: 'anonymous_id', value } });
});

/** The profile for the browser to start from. */
export async function visitorState(): Promise<string | null> {
  const profile = await visitorProfile();
  return profile === null ? null : dehydrate(profile, (await visitorId()) ?? undefined);
}
