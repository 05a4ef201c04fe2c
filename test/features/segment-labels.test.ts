import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLabelReaders } from '../../src/create-label-readers.js';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { exportCommand } from '../../src/features/export.command.js';
import { LabelService } from '../../src/features/label.service.js';
import type { LabelRow } from '../../src/features/training-set.model.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { segmentRule } from '../../src/segments/segment-label.model.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { anIdentify, aTrack, createWorld, HOUR_MS, START_MS, type World } from '../support/world.js';

const SEGMENTS: readonly [key: string, expression: string][] = [
  ['buyers', 'count("order", "6h") >= 2'],
  ['viewers', 'f.views_6h >= 1'],
  ['pros', 'traits.plan == "pro"'],
  ['both', 'segment("buyers") && !segment("pros")'],
];
const HOURS = 30;
const PEOPLE = 6;

let world: World;
let labels: LabelService;
/** Who is in a segment: `<segment> <profile> <hour>`, as the world had it at the start of each hour. */
const live = new Set<string>();

beforeAll(async () => {
  world = await createWorld();
  await world.defineFeatures([aFeature('views_6h', { events: ['view'], windowMs: 6 * HOUR_MS })]);
  for (const [key, expression] of SEGMENTS) await world.defineSegment(key, expression);
  for (let hour = 0; hour < HOURS; hour++) {
    for (let person = 0; person < PEOPLE; person++) {
      const step = (hour * 7 + person * 5) % 11;
      const ids = { user_id: `p${String(person)}` };
      if (hour > 0 && (step > 5 || (hour > 12 && hour < 22))) continue;
      const plan = (hour + person) % 3 === 0 ? 'pro' : 'free';
      await world.accept([step % 4 === 0 ? anIdentify(ids, { plan }) : aTrack(step % 2 === 0 ? 'view' : 'order', ids)]);
    }
    // What holds at T is what holds once all that has happened by T is in.
    world.clock.advance(1);
    await world.drain();
    const members = await world.db.query<{ key: string; profile_id: string }>(
      'SELECT s.key, m.profile_id FROM memberships m JOIN segments s ON s.id = m.segment_id',
    );
    for (const { key, profile_id: profile } of members) live.add(`${key} ${profile} ${String(hour)}`);
    world.clock.advance(HOUR_MS - 1);
  }
  await world.accept([aTrack('end', { user_id: 'p0' })]);
  await world.drain();
  const events = new EventHistoryReader();
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  const { db, clock, engine } = world;
  const ruleOf = async (key: string) => segmentRule(await engine.definitions.current(), key);
  labels = new LabelService({ db, clock, identity, events, pagePeople: 4, segmentRule: ruleOf });
});
afterAll(() => world.close());

async function labelsAt(segment: string, timeMs: number): Promise<LabelRow[]> {
  const range = { samples: 1, seed: 1, fromMs: timeMs, toMs: timeMs };
  const set = await labels.makeLabels({ segment, events: [], where: null, withinMs: 0, ...range });
  const rows: LabelRow[] = [];
  for await (const row of set.rows) rows.push(row);
  return rows;
}

function run(args: readonly string[]): Promise<CommandOutcome> {
  return runWith(
    (io) =>
      exportCommand({
        ...io,
        withTrainingSets: () => Promise.reject(new Error('not asked for')),
        withLabels: (use) => use(labels),
        withTables: () => Promise.reject(new Error('not asked for')),
        ...createLabelReaders(world.clock),
        signal: new AbortController().signal,
        clock: world.clock,
        parseTime: parseTimestamp,
      }),
    args,
  );
}

describe('labels of a segment', () => {
  it.each(SEGMENTS)('of %s say who was in it at each hour, as its memberships did then', async (key) => {
    const ids = new Map(
      (await world.db.query<{ value: string; profile_id: string }>('SELECT value, profile_id FROM identifiers')).map(
        (row) => [row.value, row.profile_id],
      ),
    );
    const found: string[] = [];
    let rows = 0;
    for (let hour = 0; hour < HOURS; hour++) {
      for (const { value, cells } of await labelsAt(key, START_MS + hour * HOUR_MS)) {
        rows++;
        if (cells[0] === '1') found.push(`${key} ${ids.get(value) ?? ''} ${String(hour)}`);
      }
    }
    const expected = [...live].filter((each) => each.startsWith(`${key} `));
    expect(found.sort()).toEqual(expected.sort());
    expect(rows).toBe(HOURS * PEOPLE);
    expect([found.length > 0, found.length < rows]).toEqual([true, true]);
  });

  it('are refused of what is no active segment, and of what the log does not tell of an earlier instant', async () => {
    await expect(labelsAt('buyer', START_MS)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: 'did you mean buyers?',
    });
    await world.defineSegment('in_acme', 'groups.exists(g, g.id == "acme")');
    await world.defineSegment('acme_buyers', 'segment("in_acme") && segment("buyers")');
    await world.drain();
    await expect(labelsAt('acme_buyers', START_MS)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining('through the segment in_acme, reads groups') as string,
    });
    await world.engine.services.purposes.apply([aPurpose('ads')]);
    await world.defineSegment('allowed', 'consent("ads")');
    await world.drain();
    await expect(labelsAt('allowed', START_MS)).rejects.toThrow('reads consents');
    await world.defineSegment('tenth', 'sample("spring") < 0.1');
    await world.drain();
    await expect(labelsAt('tenth', START_MS)).rejects.toThrow('reads samples');
    await world.defineSegment('staying', 'performed("view")', { exitExpression: 'performed("leave")' });
    await world.drain();
    await expect(labelsAt('staying', START_MS)).rejects.toThrow('reads who was in it before');
  });

  it('are written by weft export labels --segment, with its version in the manifest', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-tags-'));
    try {
      const args = ['labels', '--segment', 'buyers', '--out', join(folder, 'tags.csv'), '--json'];
      const { code, stdout } = await run(args);
      expect(code).toBe(0);
      const rows = (await readFile(join(folder, 'tags.csv'), 'utf8')).trimEnd().split('\r\n').length - 1;
      const told = { segment: { key: 'buyers', version: 1 }, events: [], where: null, within: null, unfinished: 0 };
      expect(JSON.parse(stdout)).toMatchObject({ ...told, rows });
      expect((await run([...args, '--event', 'order'])).stderr).toContain('cannot be used with');
      expect((await run(['labels', '--out', join(folder, 'x.csv')])).stderr).toContain('--segment');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
