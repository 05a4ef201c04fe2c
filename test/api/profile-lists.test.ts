import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportPeople } from '../../src/create-people-exports.js';
import { addSegmentExport } from '../../src/segment-export.command.js';
import { snapshotSegment } from '../../src/segment-snapshot.js';
import { listCommand } from '../../src/list.command.js';
import { ListReader } from '../../src/profiles/list.reader.js';
import { SegmentProgressReader } from '../../src/segments/segment-progress.reader.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { listParts, listsOf } from '../support/list-parts.js';
import { anIdentify, HOUR_MS } from '../support/world.js';

/* People whom somebody named, by GraphQL and by files, and segments that ask about them. */

let world: ApiWorld;
let folder: string;

beforeAll(async () => {
  world = await createApiWorld({ sealed: true });
  folder = await mkdtemp(join(tmpdir(), 'weft-lists-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
  await world.close();
});

const settle = async (): Promise<void> => {
  await world.drain();
  world.clock.advance(10);
};

/** The values of the identifiers of the members of a segment. */
async function membersOf(segment: string): Promise<string[]> {
  const rows = await world.db.query<{ value: string }>(
    `SELECT i.value FROM memberships m JOIN segments s ON s.id = m.segment_id JOIN identifiers i ON i.profile_id = m.profile_id
     WHERE s.key = $1 ORDER BY 1`,
    [segment],
  );
  return rows.map(({ value }) => value);
}

async function change(kind: 'addTo' | 'removeFrom', key: string, ...emails: string[]): Promise<unknown> {
  const identifiers = emails.map((value) => ({ namespace: 'email', value }));
  const { result } = await world.data<{ result: unknown }>(
    `mutation ($key: String!, $identifiers: [IdentifierInput!]!) {
       result: ${kind}ProfileList(key: $key, identifiers: $identifiers) {
         ... on ProfileListChange { taken refusedCount refused { index code } list { key lastChange { kind isDone rows } } }
         ... on Failure { code message hint } } }`,
    { key, identifiers },
  );
  await settle();
  return result;
}

async function newList(key: string): Promise<void> {
  const made = await world.data(
    'mutation ($key: String!) { upsertProfileList(key: $key, name: "A list") { ... on ProfileList { key changedAt } } }',
    { key },
  );
  expect(made).toEqual({ upsertProfileList: { key, changedAt: null } });
}

/** A list, a segment of those on it, and of those on it whom a trait tells apart. */
async function newSegments(key: string): Promise<void> {
  await newList(key);
  await world.defineSegment(`on_${key}`, `listed("${key}")`);
  await world.defineSegment(`pro_on_${key}`, `listed("${key}") && traits.plan == "pro"`);
  await settle();
}

const upload = async (key: string, text: string, ...options: string[]) => {
  const path = join(folder, 'people.csv');
  await writeFile(path, text);
  world.clock.advance(10);
  const ended = await runWith(
    (io) => listCommand({ ...io, ...listParts(world) }),
    key === '' ? options : ['upload', key, path, '--quiet', ...options],
  );
  await settle();
  return ended;
};

describe('a list', () => {
  it('makes members of those whom it names, known or not, and the feed tells it as an edit', async () => {
    await newSegments('vips');
    await world.accept([anIdentify({ user_id: 'ann', email: 'ann@example.com' }, { plan: 'pro' })]);
    await settle();
    expect(await change('addTo', 'vips', 'Ann@Example.com', 'bob@example.com', 'no address')).toMatchObject({
      ...{ taken: 2, refusedCount: 1, refused: [{ index: 2, code: 'NO_IDENTIFIER' }] },
      list: { key: 'vips', lastChange: { kind: 'ADD', isDone: true, rows: 3 } },
    });
    expect(await membersOf('on_vips')).toEqual(['ann', 'ann@example.com', 'bob@example.com']);
    expect(await membersOf('pro_on_vips')).toEqual(['ann', 'ann@example.com']);
    const told = (await world.feed()).filter(({ segment }) => segment === 'on_vips');
    expect(told.map(({ kind, cause }) => [kind, cause.kind])).toEqual([
      ['enter', 'edit'],
      ['enter', 'edit'],
    ]);

    // Who is named and not known yet is a member as soon as it shows who that is, and stays one person.
    await world.accept([anIdentify({ user_id: 'bob', email: 'bob@example.com' }, { plan: 'pro' })]);
    await settle();
    expect(await membersOf('pro_on_vips')).toEqual(['ann', 'ann@example.com', 'bob', 'bob@example.com']);

    await change('removeFrom', 'vips', 'ann@example.com');
    expect(await membersOf('on_vips')).toEqual(['bob', 'bob@example.com']);
  });

  it('cannot be written by events from outside', async () => {
    await world.accept([anIdentify({ user_id: 'eve' }, { '$list.vips': { listed: true } })]);
    await settle();
    expect(await membersOf('on_vips')).not.toContain('eve');
  });

  it('is replaced by a file: whoever that does not name is off it, but for those whom another identifier names', async () => {
    await newSegments('gold');
    await change('addTo', 'gold', 'c1@example.com', 'd1@example.com', 'd2@example.com');
    await world.accept([anIdentify({ user_id: 'dan', email: 'd1@example.com' })]);
    await world.accept([anIdentify({ user_id: 'dan', email: 'd2@example.com' })]);
    await settle();
    const ended = await upload('gold', 'email\nd1@example.com\nnobody\n\ne1@example.com\n', '--max-refused', '50');
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stdout).toBe(
      ['List gold was changed.', '  rows      3', '  on it     2', '  refused   1', '  others    2 taken off', ''].join(
        '\n',
      ),
    );
    expect(ended.stderr).toContain('people.csv, row 3: ');
    expect(ended.stderr).not.toContain('nobody');
    expect(await membersOf('on_gold')).toEqual(['d1@example.com', 'd2@example.com', 'dan', 'e1@example.com']);

    // The same file once more changes nothing, and tells nobody anything.
    const before = (await world.feed()).length;
    expect((await upload('gold', 'email\nd1@example.com\ne1@example.com\n')).stdout).toContain('0 taken off');
    expect(await world.feed()).toHaveLength(before);

    expect(await upload('gold', 'user_id,email\ndan,\n', '--remove')).toMatchObject({ code: 0 });
    expect(await membersOf('on_gold')).toEqual(['e1@example.com']);
    expect((await upload('', '', 'show', 'gold')).stdout).toContain('listed("gold")');
  });

  it('stays as it is where a file that is to replace it is not what it should be', async () => {
    await newSegments('silver');
    await change('addTo', 'silver', 'f@example.com');
    for (const [text, message] of [
      ['email\nx\ny\n', 'nothing of the file was taken'],
      ['email\ng@example.com\ny\n', 'too much of the file was refused'],
      ['mail address\ng@example.com\n', 'is no known namespace'],
    ] as const) {
      const ended = await upload('silver', text);
      expect(ended.code).not.toBe(0);
      expect(ended.stderr).toContain(message);
      expect(await membersOf('on_silver')).toContain('f@example.com');
    }
  });

  it('counts for an unmerged person as far as their own identifiers were named', async () => {
    await newSegments('parted');
    await change('addTo', 'parted', 'h@example.com');
    await world.accept([
      anIdentify({ user_id: 'hal', email: 'h@example.com' }, {}, { messageId: 'first' }),
      anIdentify({ user_id: 'hal', email: 'i@example.com' }),
    ]);
    await settle();
    expect(await membersOf('on_parted')).toEqual(['h@example.com', 'hal', 'i@example.com']);
    const source = await world.services.sources.findByKey('web');
    await world.engine.retractions.takeBackMessages(source ?? { id: 0, key: '' }, ['first']);
    await settle();
    expect(await membersOf('on_parted')).toEqual(['h@example.com']);
  });

  it('is previewed as it was, and explained', async () => {
    const t = new Date(world.clock.now()).toISOString();
    await newList('late');
    world.clock.advance(HOUR_MS);
    await change('addTo', 'late', 'ann@example.com');
    const ask = `query ($asOf: DateTime) { segmentPreview(asOf: $asOf, segment: { expression: "listed(\\"late\\")" }) { size } }`;
    expect(await world.data(ask, { asOf: t })).toEqual({ segmentPreview: { size: 0 } });
    expect(await world.data(ask)).toEqual({ segmentPreview: { size: 1 } });
    const { profile } = await world.data<{
      profile: unknown;
    }>(`{ profile(identifier: { namespace: "user_id", value: "bob" }) {
      membershipExplanation(segment: "on_vips") { isMember conditions { reads { kind name value } } } } }`);
    expect(JSON.stringify(profile)).toContain('{"kind":"LIST","name":"vips","value":true}');
  });

  it('that is not there is told by near names, and one that is asked about stays', async () => {
    const { upsertSegment } = await world.data<{ upsertSegment: unknown }>(
      `mutation { upsertSegment(segment: { key: "x", name: "x", expression: "listed(\\"vipz\\")" }) {
         ... on Failure { message } } }`,
    );
    expect(upsertSegment).toEqual({ message: 'unknown list "vipz"; did you mean "vips"?' });
    expect(await change('addTo', 'vipz', 'a@example.com')).toMatchObject({
      code: 'NOT_FOUND',
      hint: 'did you mean vips?',
    });
    expect(await world.data('mutation { deleteProfileList(key: "vips") { ... on Failure { message } } }')).toEqual({
      deleteProfileList: { message: 'segment pro_on_vips asks about the list vips' },
    });
  });

  it('that is removed leaves nothing behind, so that another one of its key begins with nobody', async () => {
    await newList('brief');
    await change('addTo', 'brief', 'j@example.com');
    expect(await world.data('mutation { deleteProfileList(key: "brief") { ... on ProfileList { key } } }')).toEqual({
      deleteProfileList: { key: 'brief' },
    });
    await settle();
    await newSegments('brief');
    expect(await membersOf('on_brief')).toEqual([]);
    await change('addTo', 'brief', 'k@example.com');
    expect(await membersOf('on_brief')).toEqual(['k@example.com']);
    const left: string[] = [];
    for await (const page of new ListReader(world.db).identifiersOn('brief'))
      left.push(...page.map(({ value }) => value));
    expect(left).toEqual(['k@example.com']);
  });

  it('that is made anew at the instant at which another one of its key was removed takes what is said of it', async () => {
    await newList('quick');
    await change('addTo', 'quick', 'l@example.com');
    const lists = listsOf(world);
    await lists.remove('quick');
    await lists.upsert({ key: 'quick', name: 'Anew', description: '' });
    await lists.change('quick', 'add', [{ ns: 'email', value: 'm@example.com' }]);
    await lists.remove('quick');
    await lists.upsert({ key: 'quick', name: 'Anew', description: '' });
    const again = lists.change('quick', 'add', [{ ns: 'email', value: 'n@example.com' }]);
    await expect(again).rejects.toMatchObject({ code: 'CONFLICT', hint: 'do the same again' });
    world.clock.advance(1);
    await lists.change('quick', 'add', [{ ns: 'email', value: 'o@example.com' }]);
    await world.defineSegment('on_quick', 'listed("quick")');
    await settle();
    expect(await membersOf('on_quick')).toEqual(['o@example.com']);
  });

  it('that somebody replaces meanwhile takes nothing more of an earlier change', async () => {
    await newSegments('twice');
    await listParts(world).withLists(async ({ lists }) => {
      const older = await lists.begin('twice', 'replace');
      const newer = await lists.begin('twice', 'replace');
      await expect(lists.say(older, [{ ns: 'email', value: 's@example.com' }])).rejects.toMatchObject({
        code: 'CONFLICT',
      });
      await lists.say(newer, [{ ns: 'email', value: 't@example.com' }]);
      return 0;
    });
    await settle();
    expect(await membersOf('on_twice')).toEqual(['t@example.com']);
  });

  it('that was replaced takes nothing of an earlier change, though a later one has begun since, or it was removed', async () => {
    await newSegments('thrice');
    await newList('gone');
    await listParts(world).withLists(async ({ lists }) => {
      const first = await lists.begin('thrice', 'add');
      await lists.begin('thrice', 'replace');
      const last = await lists.begin('thrice', 'add');
      const stale = lists.say(first, [{ ns: 'email', value: 's@example.com' }]);
      await expect(stale).rejects.toMatchObject({ code: 'CONFLICT' });
      await lists.say(last, [{ ns: 'email', value: 't@example.com' }]);
      const ofGone = await lists.begin('gone', 'add');
      await lists.remove('gone');
      const late = lists.say(ofGone, [{ ns: 'email', value: 's@example.com' }]);
      await expect(late).rejects.toMatchObject({ code: 'CONFLICT' });
      return 0;
    });
    await settle();
    expect(await membersOf('on_thrice')).toEqual(['t@example.com']);
  });

  it('is not changed by a file that does not say what its columns are', async () => {
    const twice = await upload('vips', 'email,email\np@example.com,q@example.com\n');
    expect(twice.stderr).toContain('the first row does not name the columns, or two of them alike');
    const headed = await upload('vips', 'E-Mail;User ID\np@example.com;\n', '--add');
    expect(headed.stdout).toContain('on it     1');
  });

  it('forgets the erased, who are refused from then on', async () => {
    await change('addTo', 'vips', 'leo@example.com');
    const { profile } = await world.data<{ profile: { id: string } }>(
      '{ profile(identifier: { namespace: "email", value: "leo@example.com" }) { id } }',
    );
    const { id } = await world.engine.erasures.request({ profileId: profile.id }, { reason: 'asked', actor: 'test' });
    await world.drain();
    await world.engine.erasures.done(id, { signal: AbortSignal.timeout(5_000) });
    expect(await membersOf('on_vips')).not.toContain('leo@example.com');
    expect(await change('addTo', 'vips', 'leo@example.com')).toMatchObject({
      ...{ taken: 0, refused: [{ index: 0, code: 'SUPPRESSED' }] },
    });
    const [letters] = await world.db.query<{ count: number }>('SELECT count(*)::int AS count FROM dead_letters');
    expect(letters?.count).toBe(0);
  });
});

describe('a snapshot of a segment', () => {
  const taken = (
    segment: string,
    list: string,
    { signal = new AbortController().signal, asOf = null }: { signal?: AbortSignal; asOf?: number | null } = {},
  ) => {
    const { db, clock } = world;
    const parts = { db, now: () => clock.now(), lists: listsOf(world), signal, onProgress: () => undefined };
    return snapshotSegment(parts, { segment, list, name: null, asOf });
  };

  it('keeps those who are in it, whatever becomes of them, and says what it is of', async () => {
    await newSegments('source');
    await change('addTo', 'source', 'm@example.com', 'n@example.com');
    await world.accept([anIdentify({ user_id: 'mia', email: 'm@example.com' })]);
    await settle();
    expect(await taken('on_source', 'copied')).toMatchObject({
      ...{ taken: 2, refused: 0 },
      list: { name: 'on_source, as they were', origin: { segment: 'on_source', version: 1, at: world.clock.now() } },
    });
    await world.defineSegment('on_copied', 'listed("copied")');
    await expect(taken('on_copied', 'early')).rejects.toThrow('have yet to be evaluated');
    await settle();
    await change('removeFrom', 'source', 'm@example.com', 'n@example.com');
    await change('addTo', 'source', 'o@example.com');
    expect(await membersOf('on_copied')).toEqual(['m@example.com', 'mia', 'n@example.com']);
    await expect(taken('on_source', 'copied')).rejects.toThrow('a list copied is there already');
    await expect(taken('nothing', 'other')).rejects.toThrow('there is no segment nothing');
    // As soon as it is given other rows, it is a copy no more.
    await change('addTo', 'copied', 'p@example.com');
    expect(await new ListReader(world.db).byKey('copied')).toMatchObject({ origin: null });
  });

  it('that is broken off leaves no list', async () => {
    await expect(taken('on_copied', 'broken', { signal: AbortSignal.abort() })).rejects.toThrow();
    expect(await new ListReader(world.db).byKey('broken')).toBeNull();
  });

  it("that was killed is begun anew by whoever asks for the same, and stands in nobody else's way", async () => {
    await evaluated();
    const lists = listsOf(world);
    const halfMade = async (key: string, segment: string) => {
      await lists.upsert({ key, name: 'Half', description: '' });
      const change = await lists.begin(key, 'replace', { segment, version: 1, at: 1 });
      await lists.say(change, [{ ns: 'email', value: 'stray@example.com' }]);
      await settle();
    };
    await halfMade('killed', 'on_source');
    expect(await taken('on_source', 'killed')).toMatchObject({ list: { lastChange: { isDone: true } } });
    await settle();
    expect(await listed('killed')).not.toContain('stray@example.com');
    await halfMade('killed_too', 'on_copied');
    await evaluated();
    await expect(taken('on_source', 'killed_too')).rejects.toThrow('a list killed_too is there already');
  });

  it('that cannot be removed when it is broken off says so', async () => {
    await evaluated();
    const { db, clock } = world;
    const lists = listsOf(world);
    const parts = { db, now: () => clock.now(), signal: AbortSignal.abort(), onProgress: () => undefined };
    const stuck = {
      begin: lists.begin.bind(lists),
      end: lists.end.bind(lists),
      say: lists.say.bind(lists),
      upsert: lists.upsert.bind(lists),
      remove: () => Promise.reject(new Error('out of order')),
    };
    const ask = { segment: 'on_source', list: 'stuck', name: null, asOf: null };
    await expect(snapshotSegment({ ...parts, lists: stuck }, ask)).rejects.toThrow('the list stuck is left half made');
    world.clock.advance(10);
    expect(await taken('on_source', 'stuck')).toMatchObject({ list: { lastChange: { isDone: true } } });
  });

  it('as of an instant has those who were in it then, whoever came, left and became one since', async () => {
    await world.defineSegment('wavering', 'traits.wave == true');
    await settle();
    const names = ['w0', 'w1', 'w2', 'w3', 'w4'];
    const seen: { at: number; members: string[] }[] = [];
    for (let round = 0; round < 6; round++) {
      const calls = names.map((id, i) => anIdentify({ user_id: id }, { wave: (round * 7 + i * i) % 3 === 0 }));
      await world.accept(calls.filter((_, i) => (round + i) % 2 === 0));
      if (round === 4)
        await world.accept([
          anIdentify({ user_id: 'w0', email: 'w@example.com' }),
          anIdentify({ user_id: 'w5', email: 'w@example.com' }, { wave: true }),
        ]);
      await settle();
      seen.push({ at: world.clock.now() - 5, members: await foundersIn('wavering') });
    }
    expect(new Set(seen.map(({ members }) => members.join(' '))).size).toBeGreaterThan(3);
    for (const [i, { at, members }] of seen.entries()) {
      const found = await taken('wavering', `wavering_${String(i)}`, { asOf: at });
      expect(found).toMatchObject({ taken: members.length, list: { origin: { segment: 'wavering', at } } });
      await settle();
      expect(await listed(`wavering_${String(i)}`)).toEqual(members);
    }
  });

  it('as of an instant is refused where the feed does not tell who was in it', async () => {
    const asked = (more: string) =>
      world.data<{ taken: { message?: string } }>(
        `mutation { taken: snapshotSegment(segment: "wavering", list: "refused"${more}) {
           ... on SegmentSnapshot { taken refused list { key name origin { segment } lastChange { isDone } } }
           ... on Failure { code message } } }`,
      );
    const iso = (ms: number): string => `, asOf: "${new Date(ms).toISOString()}"`;
    const past = world.clock.now() - 5;
    expect((await asked(iso(past + HOUR_MS))).taken.message).toContain('is to come');
    expect((await asked(iso(1_000))).taken.message).toContain('was not there at 1970');
    await world.accept([anIdentify({ user_id: 'w9' }, { wave: true })], { historical: true });
    await settle();
    expect((await asked(iso(past))).taken.message).toContain('history was loaded since');
    expect(await new ListReader(world.db).byKey('refused')).toBeNull();
    expect(await asked(', name: "Now"')).toEqual({
      taken: {
        ...{ taken: (await foundersIn('wavering')).length, refused: 0 },
        list: { key: 'refused', name: 'Now', origin: { segment: 'wavering' }, lastChange: { isDone: true } },
      },
    });
  });

  it('over the API is of no more members than can be waited for', async () => {
    const { db, clock } = world;
    const parts = { db, now: () => clock.now(), lists: listsOf(world), onProgress: () => undefined };
    const ask = { segment: 'wavering', list: 'many', name: null, asOf: null, maxMembers: 1 };
    const { signal } = new AbortController();
    await expect(snapshotSegment({ ...parts, signal }, ask)).rejects.toMatchObject({
      code: 'CONFLICT',
      hint: expect.stringContaining('weft segment snapshot wavering --as many') as string,
    });
    expect(await new ListReader(db).byKey('many')).toBeNull();
  });
});

/** A list that is removed changes the definitions, and everybody is evaluated anew. */
async function evaluated(): Promise<void> {
  const progress = new SegmentProgressReader(world.db);
  do await settle();
  while ((await progress.of([])).profilesLeft > 0);
}

/** The identifiers that founded the members of a segment. */
async function foundersIn(segment: string): Promise<string[]> {
  const rows = await world.db.query<{ value: string }>(
    `SELECT i.value FROM memberships m JOIN segments s ON s.id = m.segment_id JOIN profiles p ON p.id = m.profile_id
     JOIN identifiers i ON i.id = p.founding_id WHERE s.key = $1 ORDER BY 1`,
    [segment],
  );
  return rows.map(({ value }) => value);
}

async function listed(key: string): Promise<string[]> {
  const values: string[] = [];
  for await (const page of new ListReader(world.db).identifiersOn(key)) values.push(...page.map(({ value }) => value));
  return values.sort();
}

describe('members of a segment', () => {
  const exported = (...args: string[]) =>
    runWith(
      (io) => {
        const command = new Command('segment');
        const { db, clock, engine } = world;
        addSegmentExport(command, {
          ...{
            ...io,
            signal: new AbortController().signal,
            view: () => ({ update: () => undefined, stop: () => undefined }),
          },
          exportPeople: (request) =>
            exportPeople({ db, clock, definitions: engine.definitions, sealer: engine.sealer }, request),
        });
        return command;
      },
      ['export', ...args],
    );

  it('are written to a file, with what is asked of each', async () => {
    const out = join(folder, 'members.csv');
    const { code, stdout } = await exported('pro_on_vips', '--fields', 'user_id,email,traits.plan', '--out', out);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `Wrote ${out}.\n  members    1 of segment pro_on_vips\n  manifest   members.csv.manifest.json\n`,
    });
    expect((await readFile(out, 'utf8')).split('\r\n').map((line) => line.replace(/^[^,]+/, ''))).toEqual([
      ',user_id,email,plan',
      ',bob,bob@example.com,pro',
      '',
    ]);
    const told = join(folder, 'told.csv');
    expect((await exported('pro_on_vips', '--evidence', '--out', told)).code).toBe(0);
    expect((await readFile(told, 'utf8')).split('\r\n')[0]).toContain('email,pro_on_vips_since,pro_on_vips_version,');
    expect(await exported('pro_on_vips', '--out', out)).toMatchObject({ code: 2 });
    const none = join(folder, 'none.csv');
    const { stderr } = await exported('pro_on_vipz', '--out', none);
    expect(stderr).toContain('pro_on_vips');
    expect(stderr).not.toContain('--within');
    const refused = await exported('pro_on_vips', '--fields', 'f.nope', '--out', none);
    expect(refused.stderr).toContain('there is no feature nope');
    expect(refused.stderr).toContain('--fields');
    expect(refused.stderr).not.toContain('--features');
    expect(await exported('pro_on_vips', '--fields', 'x.y', '--out', out)).toMatchObject({ code: 1 });
  });
});
