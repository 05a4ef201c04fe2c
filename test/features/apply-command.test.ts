import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyCommand } from '../../src/apply.command.js';
import { DefinitionApplier } from '../../src/definition-applier.js';
import type { Confirm } from '../../src/platform/command-line.js';
import { FeatureReader } from '../../src/features/feature.reader.js';
import { TraitDefinitionReader } from '../../src/profiles/trait-definition.reader.js';
import { SegmentReader } from '../../src/segments/segment.reader.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { aTrack, anIdentify, createWorld, type World } from '../support/world.js';

let world: World;
let folder: string;

beforeEach(async () => {
  world = await createWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-apply-'));
});
afterEach(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const files = (contents: Readonly<Record<string, string>>): Promise<unknown> =>
  Promise.all(Object.entries(contents).map(([name, content]) => writeFile(join(folder, name), content)));

/** Runs `weft apply`; names of YAML files, and `.`, are those of the test's folder. `onWatch`: each time it looks how far a worker is. */
function run(
  args: readonly string[],
  confirm: Confirm | null = null,
  signal = new AbortController().signal,
  onWatch: () => void = () => undefined,
): Promise<CommandOutcome> {
  const applier = new DefinitionApplier(world.db, world.engine.services);
  const { reresolved } = applier;
  applier.reresolved = (id, onProgress, ...rest) =>
    reresolved.call(
      applier,
      id,
      (revision) => {
        onWatch();
        onProgress(revision);
      },
      ...rest,
    );
  const inFolder = args.map((arg) => (arg === '.' || arg.endsWith('.yaml') ? join(folder, arg) : arg));
  return runWith((io) => applyCommand({ ...io, signal, withApplier: (use) => use(applier), confirm }), inFolder);
}

const features = async () => (await new FeatureReader(world.db).views()).flatMap((v) => v.features.map((f) => f.name));
const segments = async () =>
  Object.fromEntries((await new SegmentReader(world.db).all()).map((s) => [s.key, `${s.stage} ${String(s.version)}`]));

const VIEWS = `
views:
  - name: web
    features:
      - { name: views, aggregate: count, events: [view] }
`;
const SERVICES = 'services:\n  - { name: intent, features: [views] }\n';
const SEGMENTS = `
segments:
  - { key: fans, expression: segment("keen") && f.views > 9 }
  - { key: keen, expression: 'count("view", "1h") >= 2' }
  - { key: idea, expression: f.views > 99, active: false }
`;

describe('weft apply', () => {
  it('applies a folder of files that refer to each other, and a second time changes nothing', async () => {
    await files({
      'a-segments.yaml': SEGMENTS,
      'b-services.yaml': SERVICES,
      'c-views.yaml': VIEWS,
      'other.yaml': 'x: 1',
    });
    const first = await run(['.', '--yes']);
    expect(first.stderr).toBe('note: nothing is defined in other.yaml\n');
    expect(first.stdout).toBe(
      [
        'Features and services: 2 to create, 0 to change, 0 unchanged, 0 to remove',
        '  + views',
        '  + intent',
        'Segments: 3 to create, 0 to change, 0 unchanged, 0 to remove',
        '  + keen',
        '  + fans',
        '  + idea',
        'To be activated: keen, fans.',
        'History is to be folded into 2 new streams.',
        'Applied.',
        '',
      ].join('\n'),
    );
    expect(first.code).toBe(0);
    expect(await features()).toEqual(['views']);
    expect(await segments()).toEqual({ fans: 'active 1', idea: 'draft 1', keen: 'active 1' });
    const second = await run(['.']);
    expect(second).toMatchObject({
      code: 0,
      stdout: 'Nothing to change: 1 feature and 3 segments as defined already.\n',
    });
  });

  it('makes segments live that the pipeline then fills', async () => {
    await files({ 'views.yaml': VIEWS, 'segments.yaml': SEGMENTS });
    await run(['.', '--yes']);
    const visitor = { anonymous_id: 'a1' };
    await world.accept([aTrack('view', visitor), aTrack('view', visitor)]);
    await world.drain();
    expect((await world.feed()).map((change) => [change.segment, change.kind])).toEqual([['keen', 'enter']]);
  });

  it('writes nothing in a dry run, nor when nobody says yes', async () => {
    await files({ 'views.yaml': VIEWS });
    expect(await run(['views.yaml', '--dry-run'])).toMatchObject({ code: 0 });
    const unasked = await run(['views.yaml']);
    expect(unasked.code).toBe(2);
    expect(unasked.stderr).toContain('pass --yes');
    const asked: string[] = [];
    const answer = (yes: boolean) => (question: string) => {
      asked.push(question);
      return Promise.resolve(yes);
    };
    expect(await run(['views.yaml'], answer(false))).toMatchObject({ code: 1, stderr: 'Nothing was changed.\n' });
    expect(asked).toEqual(['Apply?']);
    expect(await features()).toEqual([]);
    expect(await run(['views.yaml'], answer(true))).toMatchObject({ code: 0 });
    expect(await features()).toEqual(['views']);
  });

  it('changes what differs, and archives what is set inactive', async () => {
    await files({ 'views.yaml': VIEWS, 'segments.yaml': SEGMENTS });
    await run(['.', '--yes']);
    const edited = SEGMENTS.replace('f.views > 9 }', 'f.views > 5, active: false }').replace('>= 2', '>= 3');
    await files({ 'segments.yaml': edited });
    const { stdout, code } = await run(['.', '--yes', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      applied: true,
      features: {
        added: [],
        changed: [],
        removed: [],
        unchanged: ['views'],
        changes: [],
        withdrawn: [],
        historyEvents: 0,
      },
      segments: { added: [], changed: ['keen', 'fans'], removed: ['fans'], unchanged: ['idea'], activated: ['keen'] },
      traits: null,
      purposes: null,
      warnings: [],
      identity: null,
      // A count against 3 keeps more of the latest times than one against 2.
      newStreams: 1,
    });
    expect(await segments()).toEqual({ fans: 'archived 2', idea: 'draft 1', keen: 'active 2' });
  });

  it('takes purposes before what needs them, and lets go of them after it', async () => {
    const viewed = `views:
  - name: web
    purposes: [ads]
    features: [{ name: views, aggregate: count, events: [view] }]
segments:
  - { key: keen, expression: 'f.views > 9 && consent("mail")', purposes: [ads] }
`;
    await files({ 'purposes.yaml': 'purposes: [{ key: ads, default: granted }, { key: mail }]', 'web.yaml': viewed });
    expect((await run(['.', '--dry-run'])).stdout).toContain(
      'Purposes: 2 to create, 0 to change, 0 unchanged, 0 to remove\n  + ads\n  + mail\n',
    );
    expect(await run(['web.yaml', '--yes'])).toMatchObject({ code: 2 });
    expect(await run(['.', '--yes'])).toMatchObject({ code: 0 });
    expect((await run(['.', '--yes'])).stdout).toMatch(/^Nothing to change: .* and 2 purposes as defined already/);
    await files({ 'purposes.yaml': 'purposes: [{ key: ads, default: granted }]' });
    await files({ 'longer.yaml': 'purposes: [{ key: mail, expires_after_days: 30 }]' });
    expect((await run(['longer.yaml', '--dry-run'])).stdout).toContain('  ~ mail: expires_after_days none -> 30\n');
    await rm(join(folder, 'longer.yaml'));
    expect((await run(['purposes.yaml', '--prune', '--yes'])).stderr).toMatch(/segment keen: there is no purpose mail/);
    await files({
      'web.yaml': viewed.replaceAll('purposes: [ads]', 'purposes: []').replace(' && consent("mail")', ''),
    });
    await files({ 'purposes.yaml': 'purposes: [{ key: other }]' });
    expect((await run(['.', '--prune', '--yes'])).stdout).toContain('Purposes: 1 to create, 0 to change');
    expect(await world.db.query('SELECT key FROM purposes')).toEqual([{ key: 'other' }]);
  });

  it('seals traits, lets nothing in the same files read them, and warns before it opens them again', async () => {
    const reads = 'segments:\n  - { key: rich, expression: traits.salary > 3 }\n';
    await files({ 'traits.yaml': 'traits: [{ name: salary, sealed: true }, { name: email }]', 'reads.yaml': reads });
    expect((await run(['.', '--yes'])).stderr).toContain('segment rich: traits.salary is sealed');
    const { stdout, stderr } = await run(['traits.yaml', '--yes']);
    expect(stdout).toContain('Traits: 2 to create');
    expect(stderr).toContain('email may be personal data');
    await files({ 'traits.yaml': 'traits: [{ name: salary }, { name: email, pii: false }]' });
    const { stderr: opening } = await run(['traits.yaml', '--yes']);
    expect(opening).toContain('the trait salary is sealed no more');
    expect(opening).not.toContain('email');
    // Not before what is stored has been opened.
    expect((await run(['reads.yaml', '--yes'])).stderr).toContain('segment rich: traits.salary is sealed');
    await world.drain();
    expect((await run(['reads.yaml', '--yes'])).code).toBe(0);
    await files({ 'traits.yaml': 'traits: [{ name: salary, sealed: true }]' });
    expect((await run(['traits.yaml', '--yes'])).stderr).toContain('while segment rich reads it');
  });

  it('marks what browsers may see, and takes back the mark of what the files leave it out of', async () => {
    const marked = SEGMENTS.replace('key: keen,', 'key: keen, edge: true,');
    const traits = 'traits:\n  - { name: country, edge: true }\n  - { name: email, description: Personal. }\n';
    await files({ 'views.yaml': VIEWS, 'segments.yaml': marked, 'traits.yaml': traits });
    const first = await run(['.', '--yes']);
    expect(first.stdout).toContain(
      'Traits: 2 to create, 0 to change, 0 unchanged, 0 to remove\n  + country\n  + email\n',
    );
    const marks = async () => {
      const stored = (await new SegmentReader(world.db).all()).filter(({ edge }) => edge).map(({ key }) => key);
      const defined = await new TraitDefinitionReader(world.db).all();
      return [stored, defined.filter(({ edge }) => edge).map(({ name }) => name), defined.length];
    };
    expect(await marks()).toEqual([['keen'], ['country'], 2]);
    expect((await run(['.', '--yes'])).stdout).toBe(
      'Nothing to change: 1 feature, 3 segments and 2 traits as defined already.\n',
    );
    await files({ 'segments.yaml': SEGMENTS, 'traits.yaml': 'traits: [{ name: country }]\n' });
    expect((await run(['.', '--dry-run'])).stdout).toContain('  ~ country: edge true -> false\n');
    const plan = JSON.parse((await run(['.', '--yes', '--prune', '--json'])).stdout) as object;
    expect(plan).toMatchObject({ traits: { added: [], changed: ['country'], removed: ['email'], unchanged: [] } });
    expect(plan).toMatchObject({
      traits: { changes: [{ name: 'country', fields: [{ field: 'edge', before: true, after: false }] }] },
    });
    expect(await marks()).toEqual([[], [], 1]);
  });

  it('prunes what the files leave out, of the kinds that they define', async () => {
    await files({ 'views.yaml': VIEWS, 'segments.yaml': SEGMENTS });
    await run(['.', '--yes']);
    const more = VIEWS.replace('name: web', 'name: more').replace('name: views', 'name: other');
    await files({ 'more.yaml': more });
    expect(await run(['more.yaml', '--yes'])).toMatchObject({ code: 0 });
    expect(await features()).toEqual(['other', 'views']);
    const inUse = await run(['more.yaml', '--yes', '--prune']);
    expect(inUse.code).toBe(2);
    expect(inUse.stderr).toContain('feature views is used by segment fans');
    await files({ 'none.yaml': 'segments: []' });
    expect(await run(['none.yaml', '--yes', '--prune'])).toMatchObject({ code: 0 });
    expect(await segments()).toEqual({ fans: 'archived 1', idea: 'archived 1', keen: 'archived 1' });
    expect(await features()).toEqual(['other', 'views']);
    expect(await run(['more.yaml', '--yes', '--prune'])).toMatchObject({ code: 0 });
    expect(await features()).toEqual(['other']);
  });

  it('drops a feature together with the segments that read it, or read it until now', async () => {
    const both = VIEWS.replace(/$/, '      - { name: carts, aggregate: count, events: [cart] }\n');
    const reading = (...expressions: string[]): string =>
      `segments:\n${expressions.map((expression, i) => `  - { key: s${String(i)}, expression: ${expression} }\n`).join('')}`;
    await files({ 'views.yaml': both, 'segments.yaml': reading('f.views > 1', 'f.carts > 1', 'segment("s1")') });
    await run(['.', '--yes']);
    await files({ 'views.yaml': VIEWS, 'segments.yaml': reading('f.views > 1 && performed("cart")') });
    const dryRun = await run(['.', '--dry-run', '--prune']);
    expect(dryRun.stdout).toBe(
      [
        'Features and services: 0 to create, 0 to change, 1 unchanged, 1 to remove',
        '  - carts',
        'Segments: 0 to create, 1 to change, 0 unchanged, 2 to remove',
        '  ~ s0',
        '  - s2',
        '  - s1',
        'To be activated: s0.',
        'To be archived, so that their members leave: s2, s1.',
        'History is to be folded into 1 new stream.',
        'Dry run: nothing was changed.',
        '',
      ].join('\n'),
    );
    expect(await features()).toEqual(['views', 'carts']);
    expect((await run(['views.yaml', '--yes'])).stderr).toContain('feature carts is used by segment s1');
    expect(await run(['.', '--yes', '--prune'])).toMatchObject({ code: 0 });
    expect(await features()).toEqual(['views']);
    expect(await segments()).toEqual({ s0: 'active 2', s1: 'archived 1', s2: 'archived 1' });
    expect((await run(['.', '--prune'])).stdout).toContain('Nothing to change');
  });

  it('drops a whole view with the segments that read it, and moves a feature of it to another view', async () => {
    await files({
      'all.yaml': `${VIEWS}      - { name: carts, aggregate: count, events: [cart] }
segments:
  - { key: viewers, expression: f.views > 1 }
  - { key: owners, expression: f.carts > 1 }
`,
    });
    await run(['.', '--yes']);
    await files({
      'all.yaml': `
segments:
  - { key: viewers, expression: f.views > 2 }
views:
  - name: shop
    features: [{ name: views, aggregate: count, events: [view] }]
`,
    });
    expect(await run(['.', '--yes', '--prune'])).toMatchObject({ code: 0, stderr: '' });
    expect((await new FeatureReader(world.db).views()).map((view) => [view.name, view.features.length])).toEqual([
      ['shop', 1],
    ]);
    expect(await segments()).toEqual({ owners: 'archived 1', viewers: 'active 2' });
  });

  it('takes features and the segments that read them from one file, whatever comes first', async () => {
    await files({ 'all.yaml': `${SEGMENTS}${VIEWS}${SERVICES}` });
    expect(await run(['all.yaml', '--yes'])).toMatchObject({ code: 0, stderr: '' });
    expect(await features()).toEqual(['views']);
    expect(await segments()).toEqual({ fans: 'active 1', idea: 'draft 1', keen: 'active 1' });
  });

  it('warns of names that nobody has sent, once anything was sent, and applies all the same', async () => {
    await files({
      'all.yaml': `
views:
  - name: web
    source: wep
    features:
      - { name: views, aggregate: count, events: [View] }
      - { name: viewed, aggregate: recency, events: [View] }
      - { name: spend, aggregate: sum, events: [buy], value: properties.totl, where: properties.kind == "x" }
segments:
  - { key: buyers, expression: 'performed("buyy") && traits.contry == "AT"' }
`,
    });
    expect(await run(['all.yaml', '--dry-run'])).toMatchObject({ code: 0, stderr: '' });
    const who = { anonymous_id: 'a1' };
    await world.accept([aTrack('view', who), aTrack('buy', who, { properties: { total: 1 } })]);
    await world.accept([anIdentify(who, { country: 'AT' })]);
    const { code, stderr, stdout } = await run(['all.yaml', '--yes']);
    expect(stderr).toBe(
      [
        'warning: no event is named "View" so far; did you mean "view"?',
        '  at: features views, viewed',
        'warning: no source is called wep so far; did you mean web?',
        '  at: features views, viewed, spend',
        'warning: no event buy has had properties.totl so far; did you mean properties.total?',
        '  at: feature spend',
        'warning: no event buy has had properties.kind so far; known are properties.total',
        '  at: feature spend',
        'warning: no event is named "buyy" so far; did you mean "buy"?',
        '  at: segment buyers, 1:12',
        'warning: nobody has had a trait contry so far; did you mean traits.country?',
        '  at: segment buyers, 1:29',
        '',
      ].join('\n'),
    );
    expect(stdout).toContain('Applied.');
    expect(code).toBe(0);
    const again = JSON.parse((await run(['all.yaml', '--json'])).stdout) as { warnings: unknown[] };
    expect(again.warnings).toHaveLength(6);
  });

  it('warns of a segment that says what another one says, once for two of them', async () => {
    await files({
      'a.yaml': 'segments: [{ key: shoppers, expression: \'performed("buy", "1d")\' }]',
      'b.yaml': 'segments: [{ key: purchasers, expression: \'performed( "buy","1d" )\' }]',
    });
    expect(await run(['a.yaml', '--yes'])).toMatchObject({ code: 0, stderr: '' });
    const { code, stderr } = await run(['b.yaml', '--yes']);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr:
        'warning: segment shoppers says the same; use shoppers, or refer to it by segment("shoppers")\n  at: segment purchasers\n',
    });
    expect(await run(['b.yaml', '--yes'])).toMatchObject({ code: 0, stderr });
  });

  it('checks everything before it writes anything', async () => {
    await files({ 'views.yaml': VIEWS });
    const wrong: [string, string][] = [
      ['segments:\n  - { key: a, expression: f.viewz > 1 }', 'segment a: unknown feature'],
      ['segments:\n  - { key: a, expression: segment("b") }', 'segment a: '],
      ['segments:\n  - { key: a, expression: segment("a") }', 'segment a: '],
      [
        'segments:\n  - { key: a, expression: segment("b") }\n  - { key: b, expression: segment("a") }',
        'segments refer to each other in a circle: a → b → a',
      ],
      [
        'segments:\n  - { key: a, expression: segment("b") }\n  - { key: b, expression: f.views > 1, active: false }',
        'segment a refers to b, which would not be active',
      ],
      ['segments:\n  - { key: a, expression: f.views > 1 }\nview: []', 'the file has no field'],
      [
        'segments:\n  - { key: a, expression: score("m") > 0.5 }',
        'weft model register model.onnx manifest.yaml --promote',
      ],
      ['segments: [', 'segments.yaml:1:12'],
      ['views:\n  - name: web\n    features: []\n', 'view web is defined in segments.yaml and in views.yaml'],
    ];
    for (const [content, message] of wrong) {
      await files({ 'segments.yaml': content });
      const { code, stderr } = await run(['.', '--yes']);
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
    expect(await features()).toEqual([]);
  });

  it('wants files that define something', async () => {
    await files({ 'other.yaml': 'x: 1' });
    expect((await run(['other.yaml'])).stderr).toContain(
      'a file of definitions has views, services, entities, segments, traits, purposes, identity at its top',
    );
    expect((await run(['.'])).code).toBe(2);
    expect((await run(['none.yaml'])).stderr).toContain('there is no such file');
    expect((await run(['--help'])).stdout).toContain('weft apply features.yaml segments.yaml --dry-run');
  });

  it('says whom other rules of who is who concern, and has them resolved anew where that is asked', async () => {
    for (const n of ['1', '2', '3']) await world.accept([anIdentify({ user_id: 'ann', email: `a${n}@example.org` })]);
    await world.drain();
    await files({
      'identity.yaml': 'identity: { namespaces: { email: { limit: 2 } } }',
      'blocked.yaml': 'identity: { blocked: { values: [demo] } }',
      'region.yaml': 'identity: { default_region: GB }',
    });
    const dry = await run(['identity.yaml', '--dry-run']);
    expect(dry.stdout).toBe(
      [
        'Rules of who is who: version 1 to 2, for what is accepted from then on',
        '  ~ email: limit 5 -> 2',
        '  Those who are there are concerned by: email (limit).',
        '  weft identity rules preview says what that would come to; --re-resolve resolves them anew.',
        'Dry run: nothing was changed.',
        '',
      ].join('\n'),
    );
    expect((await run(['blocked.yaml', '--dry-run'])).stdout).toContain('are concerned by: blocked (values).');
    expect((await run(['region.yaml', '--dry-run'])).stdout).toContain('These concern nobody who is there.');
    const interrupted = await run(['identity.yaml', '--re-resolve', '--yes'], null, AbortSignal.abort());
    expect(interrupted).toMatchObject({ code: 130, stderr: 'Interrupted.\n' });
    expect(interrupted.stdout).toContain('They are resolved anew once the rules are applied.\nApplied.\n');
    // A worker that begins before the command looks may be done by then.
    const drained: Promise<unknown>[] = [];
    const again = await run(['identity.yaml', '--re-resolve', '--yes'], null, undefined, () => {
      if (drained.length === 0) drained.push(world.drain());
    });
    await Promise.all(drained);
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 component resolved, 1 identifier moved, 0 contested, 0 failed.') as string,
    });
    const people = await world.db.query('SELECT DISTINCT profile_id FROM identifiers');
    expect(people).toHaveLength(2);
    const done = await run(['identity.yaml', '--re-resolve', '--yes']);
    expect(done).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nobody is to be resolved anew.') as string,
    });
    await files({ 'views.yaml': VIEWS });
    expect(await run(['views.yaml', '--re-resolve', '--yes'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('the files have no rules of who is who') as string,
    });
  });

  it('takes the definitions of the demo', async () => {
    const seeds = join(dirname(import.meta.dirname), '..', 'seeds');
    const { code, stdout } = await runWith(
      (io) =>
        applyCommand({
          ...io,
          signal: new AbortController().signal,
          withApplier: (use) => use(new DefinitionApplier(world.db, world.engine.services)),
          confirm: null,
        }),
      [join(seeds, 'features.yaml'), '--yes'],
    );
    expect(code).toBe(0);
    expect(stdout).toContain('  + purchase_intent_v1\n');
  });
});
