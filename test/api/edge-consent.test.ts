import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { ProfileSnapshotReader } from '../../src/profile-snapshot.reader.js';
import { aPurpose } from '../support/a-purpose.js';
import { ANN, anonymous, createEdgeWorld, NOBODY, type EdgeWorld } from '../support/edge-world.js';
import { aTrack, HOUR_MS, MINUTE_MS } from '../support/world.js';

let edge: EdgeWorld;

beforeAll(async () => {
  edge = await createEdgeWorld();
  await says('granted');
  await edge.world.engine.services.purposes.apply([aPurpose('ads'), aPurpose('pages', { edge: true })]);
  await edge.world.drain();
  await says('granted');
  await vi.waitFor(async () => expect(await isNobody(NOBODY)).toBe(true));
  await edge.marksCount();
});

afterAll(() => edge.world.close());

afterEach(() => {
  vi.restoreAllMocks();
});

/** What Ann says of being known to pages. */
async function says(status: string, more: object = {}): Promise<void> {
  const context = { consent: { purposes: { pages: { status, ...more } } } };
  await edge.world.accept([aTrack('choice', { user_id: 'ann' }, { context })]);
  await edge.world.drain();
  edge.world.clock.advance(1);
}

/** Everything of an answer that whoever asks can see, but for who asked when. */
async function answerOf(value: string) {
  const { status, text, headers } = await edge.ask({ identifier: anonymous(value), onMiss: { segments: ['viewers'] } });
  const { date: _, 'x-request-id': __, ...told } = Object.fromEntries(headers);
  return { status, text, told };
}

async function isNobody(value: string): Promise<boolean> {
  return (await answerOf(value)).text.includes('"known":false,"degraded":false');
}

it('a visitor who does not allow pages to know them is answered, byte by byte, as one who was never seen', async () => {
  expect((await edge.ask({ identifier: anonymous(ANN) })).profile).toMatchObject({
    known: true,
    segments: ['viewers'],
  });
  await says('denied');
  expect(await answerOf(ANN)).toEqual(await answerOf(NOBODY));
  expect(await isNobody(ANN)).toBe(true);
  await says('granted');
  expect((await edge.ask({ identifier: anonymous(ANN) })).profile).toMatchObject({
    known: true,
    segments: ['viewers'],
  });
});

it('so is one whose consent has run out, from that millisecond on, before anything was evaluated anew', async () => {
  const expiresAt = new Date(edge.world.clock.now() + HOUR_MS).toISOString();
  await says('granted', { expiresAt });
  edge.world.clock.set(Date.parse(expiresAt) - 1);
  expect(await isNobody(ANN)).toBe(false);
  edge.world.clock.advance(1);
  expect(await answerOf(ANN)).toEqual(await answerOf(NOBODY));
});

it('neither what a visitor was told a moment ago nor what was known then stands in for an answer that is late', async () => {
  await says('granted');
  expect(await isNobody(ANN)).toBe(false);
  const store = [ProfileSnapshotReader.prototype, 'atHand'] as const;
  vi.spyOn(...store).mockReturnValue(undefined);
  vi.spyOn(ProfileSnapshotReader.prototype, 'idsOf').mockRejectedValue(new Error('the store is away'));
  edge.world.clock.advance(MINUTE_MS / 2);
  const { profile } = await edge.ask({ identifier: anonymous(ANN), onMiss: { segments: ['anybody'] } });
  expect(profile).toMatchObject({ known: false, degraded: true, segments: ['anybody'], traits: {} });
  edge.world.defects.length = 0;
});
