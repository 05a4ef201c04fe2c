import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { identifierKey } from '../../src/segments/profile-snapshot.model.js';
import { hashId } from '../../src/platform/ids.js';
import type { OnlineStore } from '../../src/profiles/online-store.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { askEdge, postEdge, type EdgeResponse } from '../support/edge-calls.js';
import { aTrack, anIdentify } from '../support/world.js';

const cookie = (digit: number): string => `${String(digit).repeat(8)}-a638-43fd-b185-e15b72e2fa6b`;
const [ANN, TABLET, BEN, NOBODY] = [cookie(1), cookie(2), cookie(3), cookie(4)];

let world: ApiWorld;
let key: string;

beforeAll(async () => {
  world = await createApiWorld();
  const { segments, traits } = world.engine.services;
  await segments.upsert({
    key: 'viewers',
    name: 'viewers',
    description: '',
    tags: [],
    edge: true,
    expression: 'performed("product_view")',
  });
  await segments.activate('viewers');
  await traits.apply([{ name: 'country', description: '', edge: true }]);
  await world.accept([
    anIdentify({ user_id: 'ann', anonymous_id: ANN }, { country: 'AT', plan: 'x' }),
    aTrack('product_view', { anonymous_id: TABLET }),
    aTrack('other', { anonymous_id: BEN }),
  ]);
  await world.drain();
  key = (await world.services.keys.create({ name: 'shop', scopes: ['edge'] })).secret;
});

afterAll(() => world.close());

beforeEach(() => {
  vi.restoreAllMocks();
  delete (world.store as OnlineStore).getNow;
  delete (world.store as OnlineStore).getPast;
});

function putAtHand(): void {
  (world.store as OnlineStore).getNow = (name) => world.store.entries.get(name) ?? null;
}

const variables = (value: string) => ({ identifier: { namespace: 'anonymous_id', value }, deadlineMs: 2_000 });
const ask = (value: string): Promise<EdgeResponse> => askEdge(world.url, { key, variables: variables(value) });
const told = ({ status, text, headers }: EdgeResponse): unknown[] => [
  status,
  text,
  ...['content-type', 'cache-control', 'etag', 'vary'].map((name) => headers.get(name)),
];

describe('a profile in the memory of the process', () => {
  it('is told as one that is asked for elsewhere, to the byte', async () => {
    // Those of ANN and TABLET become one, so that one id stands for another.
    await world.accept([anIdentify({ user_id: 'ann', anonymous_id: TABLET })]);
    await world.drain();
    for (const value of [ANN, TABLET, BEN, NOBODY]) {
      await ask(value);
      const asked = await ask(value);
      putAtHand();
      const reads = vi.spyOn(world.services.snapshots, 'byIdentifiers');
      const atHand = await ask(value);
      expect(told(atHand)).toEqual(told(asked));
      expect(reads).toHaveBeenCalledTimes(value === NOBODY ? 1 : 0);
      reads.mockRestore();
      delete (world.store as OnlineStore).getNow;
    }
  });

  it('is told to whoever asked with it in one turn, each their own', async () => {
    putAtHand();
    const values = Array.from({ length: 60 }, (_, i) => [ANN, TABLET, BEN, NOBODY][i % 4] ?? ANN);
    const alone = new Map(
      await Promise.all([ANN, TABLET, BEN, NOBODY].map(async (v) => [v, (await ask(v)).text] as const)),
    );
    const together = await Promise.all(values.map((value) => ask(value)));
    expect(together.map(({ text }) => text)).toEqual(values.map((value) => alone.get(value)));
  });

  it('is asked for elsewhere while the copy in memory cannot be read', async () => {
    putAtHand();
    const whole = await ask(BEN);
    const name = identifierKey(hashId('anonymous_id', BEN));
    const entry = world.store.entries.get(name);
    world.store.entries.set(name, { version: 1, bytes: Buffer.from('00000000-0000-0000-0000-000000000000') });
    expect((await ask(BEN)).profile).toMatchObject({ known: false, degraded: false });
    if (entry !== undefined) world.store.entries.set(name, entry);
    expect((await ask(BEN)).text).toBe(whole.text);
  });

  it('is not told while a token asks for events that are not applied', async () => {
    putAtHand();
    const response = await fetch(`${world.url}/v1/track`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.keys.ingest}` },
      body: JSON.stringify({ event: 'product_view', anonymousId: BEN }),
    });
    const { token } = (await response.json()) as { token: string };
    const late = await askEdge(world.url, { key, variables: { ...variables(BEN), deadlineMs: 20, after: token } });
    expect(late.profile).toMatchObject({ known: true, degraded: true, segments: [] });
    await world.drain();
    const { profile } = await askEdge(world.url, { key, variables: { ...variables(BEN), after: token } });
    expect(profile).toMatchObject({ degraded: false, segments: ['viewers'] });
  });

  it('is told as it was, marked, while nobody can be asked for what it is', async () => {
    putAtHand();
    const whole = await ask(ANN);
    delete (world.store as OnlineStore).getNow;
    (world.store as OnlineStore).getPast = (name) => world.store.entries.get(name) ?? null;
    vi.spyOn(world.services.snapshots, 'byIdentifiers').mockRejectedValue(new Error('the database is away'));
    expect((await ask(ANN)).profile).toEqual({ ...whole.profile, degraded: true });
    expect((await ask(NOBODY)).profile).toMatchObject({ known: false, degraded: true });
    world.defects.length = 0;
  });

  it('is refused as before to whoever may not ask for it', async () => {
    putAtHand();
    const variablesOfAnn = { identifier: { namespace: 'user_id', value: 'ann' }, deadlineMs: 2_000 };
    for (let run = 0; run < 3; run++) {
      expect((await askEdge(world.url, { key, variables: variablesOfAnn })).code).toBe('FORBIDDEN');
      expect((await postEdge(world.url, { key: world.keys.ingest, variables: variables(ANN) })).code).toBe('FORBIDDEN');
    }
  });
});
