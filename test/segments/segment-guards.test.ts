import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALL_CHANGES } from '../../src/activation/change-filter.model.js';
import { createMergeProposals } from '../../src/create-merge-proposals.js';
import { MIN_PEOPLE_FACTOR } from '../../src/segments/guard-segments.js';
import { OverlapReader } from '../../src/segments/overlap.reader.js';
import { OverlapStore } from '../../src/segments/overlap.store.js';
import { addOverlapsCommand } from '../../src/segments/segment-overlaps.command.js';
import { SegmentGuards } from '../../src/segments/segment-guards.reader.js';
import { addProposalsCommand } from '../../src/segments/segment-proposals.command.js';
import { SegmentProgressReader } from '../../src/segments/segment-progress.reader.js';
import { SegmentReader } from '../../src/segments/segment.reader.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { anIdentify, HOUR_MS, MINUTE_MS } from '../support/world.js';

/* Guards against too many segments that are much the same: what they have in common, as it is measured. */

const PEOPLE = 200;
/** Who is in which: by the number of the person. */
const SEGMENTS: Readonly<Record<string, (n: number) => boolean>> = {
  half: (n) => n % 2 === 0,
  half_again: (n) => n % 2 === 0 && n !== 0,
  quarter: (n) => n % 4 === 0,
  third: (n) => n % 3 === 0,
  few: (n) => n === 7 || n === 9,
  nobody: () => false,
};
const NAMES = Object.keys(SEGMENTS);

let world: ApiWorld;
let store: OverlapStore;

beforeAll(async () => {
  world = await createApiWorld();
  store = new OverlapStore(world.db);
  for (const name of NAMES) await world.defineSegment(name, `traits.${name} == true`);
  const calls = Array.from({ length: PEOPLE }, (_, n) =>
    anIdentify(
      { user_id: `u${String(n)}` },
      Object.fromEntries(NAMES.flatMap((name) => (SEGMENTS[name]?.(n) === true ? [[name, true]] : []))),
    ),
  );
  await world.accept(calls);
  await settle();
});

afterAll(() => world.close());

const measure = (maxMemberships = 1_000_000) => store.measure({ nowMs: world.clock.now(), maxMemberships });

/** Every pair of live segments with members in common, by counting them one by one. */
function counted(isLookedAt: (n: number) => boolean = () => true) {
  const members = new Map(
    NAMES.map((name) => [
      name,
      Array.from({ length: PEOPLE }, (_, n) => n).filter((n) => isLookedAt(n) && SEGMENTS[name]?.(n) === true),
    ]),
  );
  return NAMES.flatMap((a, i) =>
    NAMES.slice(i + 1).flatMap((b) => {
      const [of, other] = [members.get(a) ?? [], members.get(b) ?? []];
      const common = of.filter((n) => other.includes(n)).length;
      const [small, large] = other.length < of.length ? [b, a] : [a, b];
      const [size, otherSize] = [Math.min(of.length, other.length), Math.max(of.length, other.length)];
      return common === 0 ? [] : [{ segment: small, other: large, size, otherSize, common }];
    }),
  );
}

const byName = (a: { segment: string; other: string }, b: { segment: string; other: string }): number =>
  `${a.segment} ${a.other}` < `${b.segment} ${b.other}` ? -1 : 1;

interface Pair {
  readonly segment: string;
  readonly other: string;
  readonly size: number;
  readonly otherSize: number;
  readonly common: number;
  readonly jaccard: number;
  readonly error: number;
  readonly relation: string;
}

async function asked(args: string): Promise<{ readonly pairs: Pair[]; readonly more: boolean; readonly end: string }> {
  const { segmentOverlaps: found } = await world.data<{
    segmentOverlaps: { edges: { node: Pair }[]; pageInfo: { hasNextPage: boolean; endCursor: string } };
  }>(`{ segmentOverlaps(${args}) { pageInfo { hasNextPage endCursor }
        edges { node { segment other size otherSize common jaccard error relation } } } }`);
  const { hasNextPage: more, endCursor: end } = found.pageInfo;
  return { pairs: found.edges.map(({ node }) => node), more, end };
}

describe('what segments have in common', () => {
  it('is nothing before it was measured, and the command says so', async () => {
    expect((await asked('minJaccard: 0')).pairs).toEqual([]);
    const { code, stderr: err } = await overlaps('--min', '0');
    expect([code, err]).toEqual([1, expect.stringContaining('was not measured yet')]);
  });

  it('is what counting every pair by itself gives', async () => {
    expect(await measure()).toMatchObject({ share: 1, leftOut: 0 });
    const { pairs } = await asked('minJaccard: 0');
    const plain = pairs.map(({ segment, other, size, otherSize, common }) => ({
      segment,
      other,
      size,
      otherSize,
      common,
    }));
    expect(plain.sort(byName)).toEqual(counted().sort(byName));
    for (const { size, otherSize, common, jaccard, error } of pairs) {
      expect(jaccard).toBeCloseTo(common / (size + otherSize - common), 12);
      expect(error).toBe(0);
    }
  });

  it('is told with those most alike first, page by page, and of one segment alone', async () => {
    const { pairs: all } = await asked('minJaccard: 0');
    expect(all.map(({ jaccard }) => jaccard)).toEqual(all.map(({ jaccard }) => jaccard).sort((a, b) => b - a));
    const walked: Pair[] = [];
    for (let after = ''; ;) {
      const { pairs, more, end } = await asked(`minJaccard: 0, first: 2${after}`);
      walked.push(...pairs);
      if (!more) break;
      after = `, after: "${end}"`;
    }
    expect(walked).toEqual(all);
    const { pairs: ofOne } = await asked('minJaccard: 0, segment: "third"');
    expect(ofOne).toEqual(all.filter(({ segment, other }) => segment === 'third' || other === 'third'));
    const { pairs: alike } = await asked('minJaccard: 0.9');
    expect(alike.map(({ segment, other, relation }) => [segment, other, relation])).toEqual([
      ['half_again', 'half', 'NEAR_DUPLICATE'],
    ]);
    const { pairs: part } = await asked('minJaccard: 0, segment: "quarter"');
    expect(part.find(({ other }) => other === 'half')?.relation).toBe('SUBSET');
  });

  it('of a sample is that of those whom their hash draws, with how far it may be off', async () => {
    await world.db.execute('ANALYZE memberships');
    const { share } = await measure(100);
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.6);
    const drawn = await world.db.query<{ value: string }>(
      `SELECT i.value FROM identifiers i WHERE (uuid_hash_extended(i.profile_id, 0) & ${String(2 ** 30 - 1)}) < $1::int8`,
      [Math.round(share * 2 ** 30)],
    );
    const numbers = new Set(drawn.map(({ value }) => Number(value.slice(1))));
    const expected = counted((n) => numbers.has(n));
    const { pairs } = await asked('minJaccard: 0');
    expect(pairs).toHaveLength(expected.length);
    const halves = pairs.find(({ segment, other }) => `${segment} ${other}`.includes('half_again'));
    expect(halves?.size).toBeGreaterThan(40);
    const thirds = pairs.find(
      ({ segment, other }) => [segment, other].includes('third') && [segment, other].includes('half'),
    );
    expect(thirds?.error).toBeGreaterThan(0.02);
    expect(Math.abs((thirds?.jaccard ?? 0) - 1 / 4)).toBeLessThan(4 * (thirds?.error ?? 0));
    await measure();
  });

  it('is measured once an hour, by one process, and soon after something was activated', async () => {
    const due = () => store.measureIfDue({ nowMs: world.clock.now(), maxMemberships: 1_000_000 });
    world.clock.advance(HOUR_MS);
    expect((await Promise.all([due(), due()])).sort()).toEqual([false, true]);
    expect(await due()).toBe(false);
    await world.defineSegment('late', 'traits.third == true');
    expect(await due()).toBe(false);
    world.clock.advance(5 * MINUTE_MS);
    // Nobody is evaluated by it yet.
    expect(await due()).toBe(false);
    await settle();
    expect(await due()).toBe(true);
    const { pairs } = await asked('minJaccard: 1');
    expect(pairs.map(({ segment, other }) => [segment, other])).toEqual([['third', 'late']]);
  });

  it('of a version that is live no more is told no more, and shadows are held against what is live', async () => {
    const { services } = world.engine;
    await services.segments.upsert({
      key: 'late',
      name: 'Late',
      description: '',
      tags: [],
      expression: 'traits.half == true',
    });
    await services.segments.shadow('late');
    await settle();
    await measure();
    const [late, half] = [await idOf('late'), await idOf('half')];
    const shadow = (await new OverlapReader(world.db).of([-late], 0.9, 10)).get(-late) ?? [];
    expect(shadow.map(({ otherId, jaccard }) => [otherId, jaccard])).toContainEqual([half, 1]);
    expect((await asked('minJaccard: 0')).pairs.every(({ segment, other }) => segment !== '' && other !== '')).toBe(
      true,
    );
    await services.segments.activate('late');
    expect((await asked('minJaccard: 0, segment: "late"')).pairs).toEqual([]);
    await settle();
    await measure();
    const { pairs } = await asked('minJaccard: 1');
    expect(pairs.map(({ segment, other }) => [segment, other])).toEqual([['half', 'late']]);
    await services.segments.archive('late');
    expect((await asked('minJaccard: 1')).pairs).toEqual([]);
    await settle();
  });

  it('is shown by the command', async () => {
    const { code, stdout: out } = await overlaps('--now', '--min', '0.9');
    expect(code).toBe(0);
    expect(out).toContain(
      'segment     members  other  members  in both  jaccard  relation\nhalf_again  99       half   100      99       0.990    near duplicate',
    );
    expect(out).toContain('near duplicate');
    const told = JSON.parse((await overlaps('--json', '--segment', 'quarter', '--min', '0')).stdout) as {
      readonly share: number;
      readonly overlaps: readonly Pair[];
    };
    expect(told.share).toBe(1);
    expect(told.overlaps.find(({ other }) => other === 'half')).toMatchObject({
      segment: 'quarter',
      relation: 'subset',
    });
    for (const wrong of [
      ['--min', '2'],
      ['--limit', '0'],
      ['--min', 'x'],
    ]) {
      expect((await overlaps(...wrong)).code).toBe(2);
    }
    const { code: missing, stderr: err } = await overlaps('--segment', 'halv');
    expect([missing, err]).toEqual([1, expect.stringContaining('half')]);
  });

  it('refuses what cannot be', async () => {
    const { errors } = await world.ask('{ segmentOverlaps(minJaccard: 1.5) { edges { cursor } } }');
    expect(errors?.[0]?.message).toContain('from 0 to 1');
  });
});

describe('a segment is warned of', () => {
  interface Warned {
    readonly message: string;
    readonly where: string;
  }

  async function warned(key: string): Promise<Warned[]> {
    const { segment } = await world.data<{ segment: { warnings: Warned[] } }>(
      `{ segment(key: "${key}") { warnings { message where hint } } }`,
    );
    return segment.warnings;
  }

  it('where another one has nearly its members, live or in the shadow', async () => {
    await measure();
    expect(await warned('half')).toEqual([
      expect.objectContaining({
        message: 'it has nearly the same members as half_again: 99 of 100 in either are in both (Jaccard 0.990)',
        where: 'half_again',
      }),
    ]);
    expect((await warned('half_again')).map(({ where }) => where)).toEqual(['half']);
    expect(await warned('third')).toEqual([]);
    const { segments } = world.engine.services;
    const draft = { key: 'thirds', name: 'Thirds', description: '', tags: [], expression: '!!(traits.third == true)' };
    await segments.upsert(draft);
    expect(await warned('thirds')).toEqual([]);
    await segments.shadow('thirds');
    await settle();
    await measure();
    expect((await warned('thirds')).map(({ where }) => where)).toEqual(['third']);
    expect(await warned('third')).toEqual([]);
    await segments.archive('thirds');
    expect(await warned('thirds')).toEqual([]);
    await settle();
  });

  it('where another one says the same, before anybody is in it', async () => {
    const draft = { key: 'a_third', name: 'A third', description: '', tags: [], expression: 'traits.third==true' };
    await world.engine.services.segments.upsert(draft);
    expect((await warned('a_third')).map(({ message }) => message)).toEqual(['segment third says the same']);
    await world.engine.services.segments.archive('a_third');
  });

  it('where it has had few members for a week, and there are people enough', async () => {
    const guards = (minSize: number) => new SegmentGuards(world.db, world.clock, minSize);
    const [few, half] = [await idOf('few'), await idOf('half')];
    expect(await guards(5).small([few, half])).toEqual([]);
    const hour = world.clock.now() - (world.clock.now() % HOUR_MS);
    await world.db.execute(
      `INSERT INTO segment_periods (segment_id, step_ms, start, size)
       SELECT s, $2::int8, $3::int8 - h * $2::int8, CASE s WHEN $1::int4 THEN 2 + h % 2 ELSE 100 END
       FROM unnest($4::int4[]) s, generate_series(0, 166) h`,
      [few, HOUR_MS, hour, [few, half]],
    );
    expect(await guards(5).small([few, half])).toEqual([{ segmentId: few, most: 3 }]);
    const [warnings] = await guards(5).warnings([(await new SegmentReader(world.db).byKey('few')) ?? never()]);
    expect(warnings).toEqual([
      expect.objectContaining({ message: 'it has had fewer than 5 members for 7 days, at most 3', where: 'few' }),
    ]);
    expect(await guards(3).small([few])).toEqual([]);
    expect(await guards(0).small([few])).toEqual([]);
    expect(await guards(PEOPLE / MIN_PEOPLE_FACTOR + 1).small([few])).toEqual([]);
    await world.db.execute('DELETE FROM segment_periods WHERE start < $1::int8', [hour - 100 * HOUR_MS]);
    expect(await guards(5).small([few])).toEqual([]);
  });

  it('in its preview, which holds it against what is live of it and not among the others', async () => {
    await world.engine.services.segments.upsert({
      ...{ key: 'quarter', name: 'Quarter', description: '', tags: [] },
      expression: 'traits.half == true',
    });
    const { segmentPreview: found } = await world.data<{
      segmentPreview: { size: number; live: unknown; overlaps: { key: string }[]; warnings: Warned[] };
    }>(
      '{ segmentPreview(segment: { key: "quarter" }) { size live { size entering leaving } overlaps { key } warnings { message where } } }',
    );
    expect(found).toMatchObject({ size: 100, live: { size: 50, entering: 50, leaving: 0 } });
    expect(found.overlaps.map(({ key }) => key)).not.toContain('quarter');
    expect(found.warnings.map(({ where }) => where)).toEqual(['half', 'half_again']);
    const { segmentPreview: condition } = await world.data<{ segmentPreview: { live: unknown } }>(
      `{ segmentPreview(segment: { expression: "traits.half == true" }) { live { size } } }`,
    );
    expect(condition.live).toBeNull();
    await world.engine.services.segments.restore('quarter', 1);
  });
});

describe('a proposal', () => {
  const proposals = (...args: string[]) =>
    runWith(
      (io) => {
        const segment = new Command('segment');
        const made = createMergeProposals({ db: world.db, clock: world.clock, minSegmentSize: 5 });
        addProposalsCommand(segment, { ...io, withProposals: (use) => use(made) });
        return segment;
      },
      ['proposals', ...args],
    );

  it('says who names which, what would remain and how; declined, it is not made again until either changes', async () => {
    await world.defineSegment('on_half', 'segment("half_again") && traits.third == true');
    const all = { segments: ['half_again', 'half'] };
    await world.services.changeSubscriptions.create('sync', { ...ALL_CHANGES, ...all }, null);
    await settle();
    await measure();
    const told = (await proposals()).stdout;
    expect(told).toContain(
      'half into half_again, near duplicates\n  members  100 and 99, 99 in both (Jaccard 0.990)\n',
    );
    expect(told).toContain('half: subscription sync; half_again: segment on_half, subscription sync\n');
    const [first] = JSON.parse((await proposals('--json')).stdout) as [{ key: string }];
    expect((await proposals('file', first.key)).stderr).toContain('changes no definition');
    const asked = async () => {
      const { segmentProposals } = await world.data<{
        segmentProposals: { edges: { node: { key: string; drop: string; keepUses: object[] } }[] };
      }>('{ segmentProposals { edges { node { key drop keepUses { kind key } steps } } } }');
      return segmentProposals.edges.map(({ node }) => node);
    };
    expect(await asked()).toMatchObject([
      {
        key: first.key,
        drop: 'half',
        keepUses: [
          { kind: 'SEGMENT', key: 'on_half' },
          { kind: 'SUBSCRIPTION', key: 'sync' },
        ],
      },
    ]);
    const decline = `mutation { declined: declineSegmentProposal(key: "${first.key}") {
      ... on SegmentProposal { drop } ... on Failure { code } } }`;
    expect(await world.data(decline)).toEqual({ declined: { drop: 'half' } });
    expect(await world.data(decline)).toEqual({ declined: { code: 'NOT_FOUND' } });
    expect(await asked()).toEqual([]);
    expect((await proposals('decline', first.key)).code).toBe(1);
    await world.defineSegment('half', '(traits.half == true)');
    await settle();
    await measure();
    const [again] = await asked();
    expect(again?.key).not.toBe(first.key);
    expect((await proposals('decline', again?.key ?? '')).stdout).toContain('Declined.');
    const rows = await world.db.query<{ key: string }>('SELECT key FROM segment_proposal_declines');
    expect(rows).toEqual([{ key: again?.key }]);
  });
});

function never(): never {
  throw new Error('it is not there');
}

/** Until everybody is evaluated by what is live. */
async function settle(): Promise<void> {
  const progress = new SegmentProgressReader(world.db);
  do {
    world.clock.advance(10);
    await world.drain();
  } while ((await progress.of([])).profilesLeft > 0);
}

async function idOf(key: string): Promise<number> {
  return (await new SegmentReader(world.db).byKey(key))?.id ?? 0;
}

function overlaps(...args: string[]) {
  return runWith(
    (io) => {
      const segment = new Command('segment');
      addOverlapsCommand(segment, { ...io, clock: world.clock, withDatabase: (use) => use(world.db) });
      return segment;
    },
    ['overlaps', ...args],
  );
}
