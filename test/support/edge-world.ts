import { expect, vi } from 'vitest';
import { createApiWorld, type ApiWorld } from './api-world.js';
import { askEdge, type EdgeCall, type EdgeResponse } from './edge-calls.js';
import { aTrack, anIdentify } from './world.js';

export const ANN = '7c05542a-a638-43fd-b185-e15b72e2fa6b';
export const NOBODY = '00000000-a638-43fd-b185-e15b72e2fa6b';
export const SHOP = 'https://shop.example';
/** Long enough for any machine: what is tested with it must not be late. */
export const PATIENT = 2_000;

export interface EdgeWorld {
  readonly world: ApiWorld;
  /** An edge key for pages of {@link SHOP}, its id, and what its server signs with. */
  readonly key: string;
  readonly keyId: string;
  readonly signing: string;
  ask(variables: EdgeCall['variables'], more?: Partial<EdgeCall>): Promise<EdgeResponse>;
  /** Waits until the server reads with the marks as they are now. */
  marksCount(): Promise<void>;
}

export const anonymous = (value: string) => ({ namespace: 'anonymous_id', value });

/** A server with {@link ANN}, who viewed a product, and with two segments and a trait that pages may know. */
export async function createEdgeWorld(): Promise<EdgeWorld> {
  const world = await createApiWorld();
  const { segments, traits } = world.engine.services;
  await world.defineSegment('viewers', 'performed("product_view")');
  await world.defineSegment('secret_list', 'performed("product_view")');
  await world.defineSegment('buyers', 'performed("purchase")');
  for (const name of ['viewers', 'buyers']) {
    await segments.upsert({ key: name, name, description: '', tags: [], edge: true, expression: expressionOf(name) });
  }
  await traits.apply([
    { name: 'country', description: '', edge: true },
    { name: 'email', description: '', edge: false },
  ]);
  await world.accept([
    anIdentify({ user_id: 'ann', anonymous_id: ANN }, { country: 'AT', email: 'ann@example.com', plan: 'x' }),
    aTrack('product_view', { user_id: 'ann' }),
  ]);
  await world.drain();
  const created = await world.services.keys.create({ name: 'shop', scopes: ['edge'], origins: [SHOP] });
  const { secret: key } = created;
  const keyId = created.key.id;
  const ask: EdgeWorld['ask'] = (variables, more = {}) =>
    askEdge(world.url, { key, variables: { deadlineMs: PATIENT, ...variables }, ...more });
  const marksCount = async (): Promise<void> => {
    await vi.waitFor(async () => {
      const { profile } = await ask({ identifier: anonymous(ANN) });
      expect(profile?.segments).toContain('viewers');
      expect(profile?.traits).toHaveProperty('country');
    });
  };
  await marksCount();
  return { world, key, keyId, signing: await world.services.keys.signingSecret(keyId), ask, marksCount };
}

/** What the segment of this name asks. */
export function expressionOf(name: string): string {
  return name === 'buyers' ? 'performed("purchase")' : 'performed("product_view")';
}
