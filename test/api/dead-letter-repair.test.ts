import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodePayload } from '../../src/events/event-codec.js';
import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import { hashId } from '../../src/platform/ids.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { HOUR_MS, MINUTE_MS, START_MS } from '../support/world.js';

interface Outcome {
  readonly id: string;
  readonly status: string;
  readonly code: string | null;
}
interface Replay {
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly outcomes: readonly Outcome[];
  readonly next: string | null;
}

const REPLAY = `mutation ($ids: [ID!], $filter: DeadLetterFilter, $fix: JSON, $dryRun: Boolean, $mapping: String, $first: Int, $after: String) {
  replayDeadLetters(ids: $ids, filter: $filter, fix: $fix, dryRun: $dryRun, mapping: $mapping, first: $first, after: $after) {
    ... on DeadLetterReplay { accepted duplicates refused next outcomes { id status code } }
    ... on Failure { code message }
  }
}`;

describe('a dead letter', () => {
  let world: ApiWorld;

  beforeEach(async () => {
    world = await createApiWorld({ observers: { poisoned: () => undefined } });
  });

  afterEach(async () => {
    vi.restoreAllMocks();
    await world.close();
  });

  const send = async (path: string, body: unknown): Promise<void> => {
    await fetch(`${world.url}/v1/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.keys.ingest}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  };
  const replay = async (variables: Record<string, unknown>): Promise<Replay> =>
    (await world.data<{ replayDeadLetters: Replay }>(REPLAY, variables)).replayDeadLetters;
  const letters = () =>
    world.db.query<{ id: number; state: string; code: string; payload: string }>(
      `SELECT id, state, code, convert_from(substr(payload, 2), 'UTF8') AS payload FROM dead_letters ORDER BY id`,
    );
  const events = async () => {
    const { events: found } = await world.engine.log.readBatch({
      afterPos: 0,
      parts: Array.from({ length: 16 }, (_, i) => i),
      limit: 1_000,
      maxBytes: 2 ** 24,
    });
    return found;
  };

  it('keeps what came in, without the key and the address, and is mapped from there again, as of then', async () => {
    const late = { type: 'track', userId: 'u1', timestamp: new Date(START_MS - HOUR_MS), context: { ip: '10.1.2.3' } };
    await send('batch', { batch: [{ ...late, writeKey: world.keys.ingest }], sentAt: new Date(START_MS - MINUTE_MS) });
    await send('track', { userId: 'u2', evnt: 'order', writeKey: world.keys.ingest });
    const [first, second] = await letters();
    expect(JSON.stringify([first, second])).not.toContain(world.keys.ingest);
    expect(JSON.stringify([first, second])).not.toContain('10.1.2.3');
    expect(JSON.parse(second?.payload ?? '')).toMatchObject({ userId: 'u2', evnt: 'order' });
    world.clock.advance(5 * HOUR_MS);
    const done = await replay({ filter: { code: 'NAME_MISSING' }, fix: { event: 'order', evnt: null } });
    expect(done).toMatchObject({ accepted: 2, refused: 0, next: null });
    const found = (await events()).map((e) => [e.name, e.identifiers[0]?.value, e.occurredAt].join(' '));
    // An hour ago by a clock that was a minute slow when it was sent.
    expect(found.sort()).toEqual([
      `order u1 ${String(START_MS - HOUR_MS + MINUTE_MS)}`,
      `order u2 ${String(START_MS)}`,
    ]);
    expect((await letters()).map(({ state }) => state)).toEqual(['replayed', 'replayed']);
  });

  it('of GraphQL is mapped again, too', async () => {
    await world.data(
      `mutation { ingest(source: "web", events: [{ type: TRACK, timestamp: "2023-11-01T00:00:00Z", identifiers: [{ namespace: "user_id", value: "u1" }] }]) { __typename } }`,
    );
    const [letter] = await letters();
    expect(JSON.parse(letter?.payload ?? '')).toMatchObject({ type: 'TRACK', timestamp: '2023-11-01T00:00:00.000Z' });
    expect(await replay({ ids: [String(letter?.id)], fix: { name: 'seen' } })).toMatchObject({ accepted: 1 });
    expect(await events()).toMatchObject([{ name: 'seen', occurredAt: Date.UTC(2023, 10, 1) }]);
  });

  it('that is refused again stays open, with the new reason, and a dry run writes nothing', async () => {
    await send('track', { userId: 'u1' });
    const [{ id } = { id: 0 }] = await letters();
    const dry = await replay({ ids: [id, '999'], fix: { event: 'x' }, dryRun: true });
    expect(dry.outcomes).toEqual([
      { id: String(id), status: 'ACCEPTED', code: null },
      { id: '999', status: 'MISSING', code: null },
    ]);
    expect(await events()).toEqual([]);
    expect(await letters()).toMatchObject([{ state: 'open', code: 'NAME_MISSING' }]);
    const again = await replay({ ids: [id], fix: { event: 'x', userId: null } });
    expect(again.outcomes).toMatchObject([{ status: 'REFUSED', code: 'NO_IDENTIFIER' }]);
    expect(await letters()).toMatchObject([{ state: 'open', code: 'NO_IDENTIFIER' }]);
    // The fix was kept: only what was wrong with it has to be said.
    expect(await replay({ ids: [id], fix: { userId: 'u1' } })).toMatchObject({ accepted: 1 });
    expect(await replay({ ids: [id] })).toMatchObject({ accepted: 0, outcomes: [{ status: 'SETTLED' }] });
  });

  it('is accepted once by ten replays at the same time', async () => {
    await send('batch', { batch: Array.from({ length: 20 }, (_, i) => ({ type: 'track', userId: `u${String(i)}` })) });
    const ids = (await letters()).map(({ id }) => id);
    const all = await Promise.all(Array.from({ length: 10 }, () => replay({ ids, fix: { event: 'x' } })));
    expect(all.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(20);
    expect(await events()).toHaveLength(20);
    expect(new Set((await letters()).map(({ state }) => state))).toEqual(new Set(['replayed']));
  });

  it('is accepted once where the process dies before it can say so, even if the fix changes its message id', async () => {
    await send('track', { userId: 'u1' });
    const [{ id } = { id: 0 }] = await letters();
    const died = vi.spyOn(DeadLetterStore.prototype, 'markReplayed').mockRejectedValue(new Error('killed'));
    await expect(replay({ ids: [id], fix: { event: 'x' } })).rejects.toThrow();
    died.mockRestore();
    expect(await letters()).toMatchObject([{ state: 'open' }]);
    const again = await replay({ ids: [id], fix: { messageId: 'another' } });
    expect(again.outcomes).toMatchObject([{ status: 'DUPLICATE' }]);
    expect(await events()).toHaveLength(1);
    expect(await letters()).toMatchObject([{ state: 'replayed' }]);
    world.defects.length = 0;
  });

  it('of an event that could not be applied lets it be applied, once, with what is private', async () => {
    const anchorId = hashId('user_id', 'nobody');
    const payload = encodePayload({
      type: 'track',
      name: 'visit',
      messageId: 'm1',
      identifiers: [],
      properties: { $private: { text: 'for nobody else' }, total: 1 },
      traits: {},
      context: {},
      groupId: null,
    });
    const dedupeId = hashId('dedupe', '1', 'm1');
    const event = {
      sourceId: 1,
      dedupeId,
      anchorId,
      identifiers: [],
      occurredAt: START_MS - 1,
      rulesVersion: 1,
      historical: true,
    };
    await world.engine.log.append([{ ...event, payload }]);
    await world.drain();
    const [letter] = await letters();
    expect(letter).toMatchObject({ state: 'open', code: 'INTERNAL' });
    expect(letter?.payload).not.toContain('for nobody else');
    const died = vi.spyOn(DeadLetterStore.prototype, 'markReplayed').mockRejectedValue(new Error('killed'));
    const fix = { identifiers: [{ ns: 'user_id', value: 'u1' }] };
    await expect(replay({ ids: [letter?.id], fix })).rejects.toThrow();
    died.mockRestore();
    world.defects.length = 0;
    expect(await replay({ ids: [letter?.id] })).toMatchObject({ duplicates: 1 });
    await world.drain();
    expect(await events()).toMatchObject([
      {
        messageId: 'm1',
        historical: true,
        occurredAt: START_MS - 1,
        properties: { total: 1, $private: { text: 'for nobody else' } },
      },
    ]);
    expect(JSON.stringify(await letters())).not.toContain('for nobody else');
    expect(await world.db.query('SELECT FROM profiles')).toHaveLength(1);
  });

  it('can be discarded, by filter in pieces, and is listed by its state', async () => {
    await send('batch', { batch: Array.from({ length: 5 }, () => ({ type: 'track', userId: 'u' })) });
    await send('track', {});
    const DISCARD = `mutation ($after: String) { discardDeadLetters(filter: { code: "NAME_MISSING" }, first: 3, after: $after) {
      ... on DiscardedDeadLetters { discarded next } } }`;
    interface Discarded {
      discardDeadLetters: { discarded: number; next: string | null };
    }
    const first = await world.data<Discarded>(DISCARD);
    expect(first.discardDeadLetters.discarded).toBe(3);
    const rest = await world.data<Discarded>(DISCARD, { after: first.discardDeadLetters.next });
    expect(rest.discardDeadLetters).toMatchObject({ discarded: 3 });
    const listed = await world.data<{ deadLetters: { edges: { node: { state: string } }[] } }>(
      '{ deadLetters(filter: { state: DISCARDED }) { edges { node { state form fix settledAt } } } }',
    );
    expect(listed.deadLetters.edges.map(({ node }) => node.state)).toEqual(Array(6).fill('DISCARDED'));
  });
});
