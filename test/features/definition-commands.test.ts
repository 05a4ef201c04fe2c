import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiKeyEntity } from '../../src/api/auth/api-key.entity.js';
import { ApiKeyService } from '../../src/api/auth/api-key.service.js';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { keysCommand } from '../../src/api/auth/keys.command.js';
import type { Database } from '../../src/platform/postgres.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import { modelCommand } from '../../src/scoring/model.command.js';
import { ModelReader } from '../../src/scoring/model.reader.js';
import { ModelService } from '../../src/scoring/model.service.js';
import { parseSegments } from '../../src/segments/parse-segments.js';
import { segmentServices } from '../../src/segments/segment-command-services.js';
import { segmentCommand } from '../../src/segments/segment.command.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { runWith } from '../support/command-runner.js';
import { fixtureCatalog, harmlessTrial, readModelFixture } from '../support/model-fixtures.js';
import { aTrack, createWorld, DAY_MS, type World } from '../support/world.js';

let world: World;
let db: Database;
let keys: ApiKeyService;
let sources: SourceService;

beforeAll(async () => {
  world = await createWorld();
  db = await world.test.connect({ entities: [SourceEntity, ApiKeyEntity] });
  sources = new SourceService(new SourceStore(db.dataSource), world.clock);
  keys = new ApiKeyService({
    store: new ApiKeyStore(db.dataSource),
    clock: world.clock,
    secret: new RootSecret(Buffer.from('the secret of a test')),
    randomBytes,
    onLastUsedError: (error) => {
      throw error as Error;
    },
  });
});
afterAll(() => world.close());

const weftSegment = (...args: string[]) =>
  runWith(
    (io) =>
      segmentCommand({
        ...io,
        user: 'ann',
        clock: world.clock,
        withSegments: (use) => use(segmentServices(db, world.engine.services.segments, world)),
      }),
    args,
  );

const modelService = (): ModelService => {
  const uses = () => Promise.resolve(new Map<string, string>());
  const catalog = () => Promise.resolve(fixtureCatalog);
  const purposes = () => Promise.resolve(new Set<string>());
  return new ModelService({ db, clock: world.clock, catalog, uses, purposes, startTrial: harmlessTrial });
};

const weftModel = (...args: string[]) => {
  const service = modelService();
  const folder = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
  const inFolder = args.map((arg) => (/\.(onnx|yaml)$/.test(arg) ? `${folder}${arg}` : arg));
  const withModels = <T>(use: (models: { reader: ModelReader; service: ModelService }) => Promise<T>): Promise<T> =>
    use({ reader: new ModelReader(db), service });
  const others = {
    signal: new AbortController().signal,
    confirm: null,
    withPromotionPreviews: () => Promise.reject(new Error('not asked for')),
    withProgress: <T>(run: (onProgress: () => void) => Promise<T>): Promise<T> => run(() => undefined),
  };
  return runWith((io) => modelCommand({ ...io, ...others, withModels }), inFolder);
};

const weftKeys = (...args: string[]) =>
  runWith(
    (io) =>
      keysCommand({
        ...io,
        clock: world.clock,
        withKeys: (use) =>
          use({
            keys,
            sourceKeys: async () => new Map((await sources.list()).map(({ id, key }) => [id, key])),
            ensureSource: async (key) => (await sources.ensure({ key, kind: 'http' })).id,
          }),
      }),
    args,
  );

describe('weft segment', () => {
  it('lists, shows, activates and archives', async () => {
    expect((await weftSegment('list')).stdout).toContain('There are no segments yet');
    const draft = { name: 'Buyers', description: 'Bought something.', tags: ['shop'] };
    await world.engine.services.segments.upsert({ key: 'buyers', ...draft, expression: 'performed("purchase")' });
    expect(await weftSegment('activate', 'buyers')).toMatchObject({
      code: 0,
      stdout: 'Segment buyers is active in version 1.\n',
    });
    await world.accept([aTrack('purchase', { user_id: 'u1' })]);
    await world.drain();
    await world.engine.services.segments.upsert({ key: 'buyers', ...draft, expression: 'performed("order")' });
    expect((await weftSegment('list')).stdout).toBe(
      'key     stage   version        members  name\nbuyers  active  2 (1 is live)  1        Buyers\n',
    );
    const shown = await weftSegment('show', 'buyers');
    expect(shown.stdout).toContain('buyers: Buyers\n  Bought something.\n  stage    active, version 2 (1 is live)\n');
    expect(shown.stdout).toContain('\n\n  performed("order")\n');
    const archived = await weftSegment('archive', 'buyers', '--json');
    expect(JSON.parse(archived.stdout)).toMatchObject({ key: 'buyers', stage: 'archived', activeVersion: null });
  });

  it('makes segments from templates, and says what these need that is not there', async () => {
    await world.accept([aTrack('purchase', { user_id: 'u1' }), aTrack('basket', { user_id: 'u1' })]);
    await world.drain();
    const templates = JSON.parse((await weftSegment('templates', '--json')).stdout) as {
      readonly key: string;
      readonly missing: readonly { readonly message: string }[];
    }[];
    const missing = new Map(templates.map((each) => [each.key, each.missing.map(({ message }) => message)]));
    expect([missing.get('repeat_buyers'), missing.get('holdout')]).toEqual([[], []]);
    expect(missing.get('active')).toEqual(['no event is named "product_view" so far']);
    expect(missing.get('top_by_score')).toEqual(['unknown model "purchase_intent"']);
    expect(missing.get('newsletter_engaged')).toEqual(['unknown purpose "newsletter"']);
    const made = await weftSegment('new', '--template', 'cart_abandoned', '--set', 'cart=basket', '--key', 'left');
    expect([made.code, made.stderr]).toEqual([0, '']);
    const [segment] = parseSegments(made.stdout, 'made.yaml');
    const expression = `since("basket") >= "5m" && since("basket") < "1d"
  && (!performed("purchase") || last("purchase") < last("basket"))`;
    expect(segment).toMatchObject({ key: 'left', name: 'Cart abandoned', expression, tags: ['cart', 'real-time'] });
    const taken = await weftSegment('new', '--template', 'holdout', '--key', 'buyers');
    expect(taken).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('there is a segment buyers already') as string,
    });
    const wrong = await weftSegment('new', '--template', 'cart_abandoned', '--set', 'after');
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain('"after" sets nothing');
    expect(wrong.stderr).toContain('write name=value, as --set after=10m');
  });

  it('shows what was said, when and by whom, and brings it back', async () => {
    const { segments } = world.engine.services;
    const draft = { key: 'hot', name: 'Hot', description: '', tags: [] };
    await segments.upsert({ ...draft, expression: 'performed("a")', minDwellMs: 600_000 }, 'bob');
    await segments.upsert({ ...draft, expression: 'performed("b")', exitExpression: 'performed("c")' }, 'eve');
    await segments.activate('hot');
    expect(await weftSegment('restore', 'hot', '1')).toMatchObject({
      code: 0,
      stdout: 'Segment hot has version 3, as version 1 was. weft segment activate hot lets it decide who is in.\n',
    });
    expect((await weftSegment('restore', 'hot', '1')).stdout).toBe('Segment hot says that already, in version 3.\n');
    const at = new Date(world.clock.now()).toISOString();
    expect((await weftSegment('versions', 'hot')).stdout).toBe(
      [
        `version 3, ${at}, by ann, restores 1`,
        '  dwell    members stay at least 10m\n\n  performed("a")\n',
        `version 2, ${at}, by eve, live`,
        '  dwell    members stay at least 10m\n\n  performed("b")\n\n  Members leave on:\n  performed("c")\n',
        `version 1, ${at}, by bob`,
        '  dwell    members stay at least 10m\n\n  performed("a")\n',
      ].join('\n'),
    );
    const json = JSON.parse((await weftSegment('versions', 'hot', '--json')).stdout) as unknown[];
    expect(json).toMatchObject([
      { version: 3, createdAt: at, createdBy: 'ann', restoredFrom: 1, exitExpression: null, minDwellMs: 600_000 },
      { version: 2, createdBy: 'eve', exitExpression: 'performed("c")' },
      { version: 1, createdBy: 'bob', restoredFrom: null },
    ]);
    expect(await weftSegment('restore', 'hot', '9')).toMatchObject({
      code: 1,
      stderr: 'error: segment hot has no version 9\n  hint: it has the versions 1 to 3\n',
    });
    expect(await weftSegment('restore', 'hot', 'two')).toMatchObject({ code: 2 });
    await segments.archive('hot');
  });

  it('checks a condition, and says what it reads and what nobody has sent', async () => {
    expect(await weftSegment('check', 'performed("purchase") && !segment("buyers")')).toMatchObject({ code: 2 });
    const condition = 'performed("purchases", "7d") && traits.country == "AT"';
    const checked = await weftSegment('check', condition);
    expect(checked).toEqual({
      code: 0,
      stdout: 'The condition is valid.\n  events  purchases\n  traits  country\n',
      stderr:
        'warning: no event is named "purchases" so far; did you mean "purchase"?\n  at: 1:12\n' +
        'warning: nobody has had a trait country so far; there is none yet\n  at: 1:40\n',
    });
    const json = JSON.parse((await weftSegment('check', condition, '--json')).stdout) as { warnings: unknown[] };
    expect(json.warnings).toHaveLength(2);
    const wrong = await weftSegment('check', 'performed("purchase") and true');
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain('at: 1:23');
    expect((await weftSegment('show', 'buyers')).stderr).toContain('no event is named "order" so far');
  });

  it('says which segment was meant', async () => {
    for (const what of ['show', 'activate', 'archive']) {
      const { code, stderr } = await weftSegment(what, 'buyer');
      expect(code).toBe(1);
      expect(stderr).toBe('error: there is no segment buyer\n  hint: did you mean buyers?\n');
    }
  });

  it('stays while another one refers to it', async () => {
    await world.defineSegment('base', 'performed("a")');
    await world.defineSegment('upon', 'segment("base")');
    const { code, stderr } = await weftSegment('archive', 'base');
    expect(code).toBe(1);
    expect(stderr).toContain('archive or change upon first');
  });
});

describe('weft model', () => {
  it('registers once, promotes, lists and retires', async () => {
    expect((await weftModel('list')).stdout).toContain('There are no models yet');
    const files = ['iris_named.onnx', 'iris_named.manifest.yaml'];
    const first = await weftModel('register', ...files);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/^Registered: model iris_named version 1 is shadow; weft model promote iris_named 1 /);
    const again = await weftModel('register', ...files, '--promote');
    expect(again.stdout).toBe('Registered before: model iris_named version 1 is active.\n');
    const [header, row] = (await weftModel('list')).stdout.split('\n');
    expect(header).toMatch(/^key {9}version {2}label {6}stage {3}edge {2}feature service/);
    expect(row).toMatch(/^iris_named {2}1 {8}fixture-1 {2}active /);
    expect((await weftModel('retire', 'iris_named', '1')).stdout).toBe('Model iris_named version 1 is retired.\n');
    const promoted = await weftModel('promote', 'iris_named', '1', '--json');
    expect(JSON.parse(promoted.stdout)).toMatchObject({ key: 'iris_named', version: 1, stage: 'active' });
  });

  it('says whether browsers may be told what a model says, of later versions too', async () => {
    expect((await weftModel('edge', 'iris_clusters')).stderr).toContain('there is no model iris_clusters');
    await weftModel('register', 'iris_clusters.onnx', 'iris_clusters.manifest.yaml');
    expect((await weftModel('edge', 'iris_clusters')).stdout).toBe(
      'Edge keys may be told what model iris_clusters says.\n',
    );
    expect((await weftModel('edge', 'iris_cluster')).stderr).toContain('did you mean iris_clusters?');
    expect((await weftModel('promote', 'iris_cluster', '1')).stderr).toContain('did you mean iris_clusters?');
    expect((await weftModel('promote', 'iris_clusters', '7')).stderr).toContain('it has 1');
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const later = await modelService().register(bytes, { ...manifest, version: 'later' });
    expect(later.model).toMatchObject({ version: 2, edge: true });
    const own = await modelService().register(bytes, { ...manifest, version: 'own', edge: false });
    expect(own.model).toMatchObject({ version: 3, edge: false });
    expect((await weftModel('edge', 'iris_clusters', '--off', '--json')).stdout).toContain('"edge": false');
    const listed = JSON.parse((await weftModel('list', '--json')).stdout) as { key: string; edge: boolean }[];
    expect(listed.filter(({ key }) => key === 'iris_clusters').map(({ edge }) => edge)).toEqual([false, false, false]);
  });

  it('ends with 2 for a model that does not fit, and with 1 for what is not there', async () => {
    const zipmap = await weftModel('register', 'benign_logistic_zipmap.onnx', 'benign_logistic_zipmap.manifest.yaml');
    expect(zipmap.code).toBe(2);
    expect(zipmap.stderr).toContain('zipmap');
    expect((await weftModel('register', 'none.onnx', 'iris_named.manifest.yaml')).code).toBe(1);
    expect((await weftModel('promote', 'iris_named', '9')).stderr).toContain('no version 9 of model iris_named');
    expect((await weftModel('rollback', 'iris_named')).stderr).toContain(
      'no other version of model iris_named was active',
    );
    expect((await weftModel('promote', 'iris_named', 'latest')).stderr).toContain('whole number');
  });
});

describe('a segment that names a model', () => {
  it('is told how to bring it in, and how to let it answer', async () => {
    const condition = 'score("benign_forest") > 0.5';
    expect((await weftSegment('check', condition)).stderr).toContain(
      'hint: register it first: weft model register model.onnx manifest.yaml --promote',
    );
    await weftModel('register', 'benign_forest.onnx', 'benign_forest.manifest.yaml');
    expect((await weftSegment('check', condition)).stderr).toContain(
      'hint: it is registered; let it answer by weft model promote benign_forest 1',
    );
    await weftModel('promote', 'benign_forest', '1');
    expect((await weftSegment('check', condition)).code).toBe(0);
  });
});

describe('weft keys', () => {
  it('shows a secret once, alone on standard output, and it works', async () => {
    const { code, stdout, stderr } = await weftKeys('create', '-s', 'read', '-n', 'shop website');
    expect(code).toBe(0);
    expect(stderr).toContain('shop website');
    expect(await keys.verify(stdout.trim())).toMatchObject({ name: 'shop website', scopes: ['read'] });
    const listed = await weftKeys('list');
    expect(listed.stdout).toContain(stdout.slice(0, 11));
    expect(listed.stdout).not.toContain(stdout.trim());
  });

  it('makes the source that a sending key belongs to', async () => {
    const args = ['create', '-s', 'ingest,read', '-n', 'tracking', '--source', 'shop', '--expires-in', '90d', '--json'];
    const made = JSON.parse((await weftKeys(...args)).stdout) as { secret: string };
    expect(made).toMatchObject({ source: 'shop', scopes: ['read', 'ingest'], usable: true });
    const key = await keys.verify(made.secret);
    expect(key?.sourceId).toBe((await sources.findByKey('shop'))?.id);
    expect(key?.expiresAt).toBe(world.clock.now() + 90 * DAY_MS);
    expect((await weftKeys('list')).stdout).toMatch(/read,ingest {2}shop {4}until 20\d\d-/);
  });

  it('makes a key for pages, and shows its signing secret again', async () => {
    const args = ['create', '-s', 'edge', '-n', 'pages', '--origin', 'https://shop.example', '--rate', '50', '--json'];
    const made = JSON.parse((await weftKeys(...args)).stdout) as Record<string, unknown>;
    expect(made).toMatchObject({ scopes: ['edge'], origins: ['https://shop.example'], ratePerSecond: 50 });
    expect(made['secret']).toMatch(/^weft_e_/);
    const shown = await weftKeys('signing-secret', String(made['id']));
    expect(shown.stdout).toMatch(/^weft_s_[0-9A-Za-z]{43}\n$/);
    expect(shown.stdout.trim()).toBe(made['signingSecret']);
    const refused = await weftKeys('create', '-s', 'edge', '-n', 'pages', '--origin', 'https://Shop.example/');
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('origins[0]');
    expect((await weftKeys('create', '-s', 'edge', '-n', 'pages', '--rate', '0')).stderr).toContain('whole number');
  });

  it('rotates a key by prefix or id', async () => {
    const made = (await weftKeys('create', '-s', 'read', '-n', 'rotated')).stdout.trim();
    const { code, stdout, stderr } = await weftKeys('rotate', made.slice(0, 11), '--overlap', '2h');
    expect(code).toBe(0);
    expect(stderr).toContain(`in the place of ${made.slice(0, 11)}, which ends 20`);
    expect(await keys.verify(stdout.trim())).toMatchObject({ name: 'rotated', scopes: ['read'] });
    expect((await keys.verify(made))?.expiresAt).toBe(world.clock.now() + 2 * 3_600_000);
    const again = await weftKeys('rotate', made.slice(0, 11));
    expect(again).toMatchObject({ code: 1 });
    expect(again.stderr).toContain('rotatedFrom');
  });

  it('revokes by prefix or id, once', async () => {
    const secret = (await weftKeys('create', '-s', 'admin', '-n', 'gone')).stdout.trim();
    const prefix = secret.slice(0, 11);
    expect((await weftKeys('revoke', prefix)).stdout).toBe(`Key ${prefix} (gone) is revoked.\n`);
    expect(await keys.verify(secret)).toBeNull();
    expect(await weftKeys('revoke', prefix)).toMatchObject({ code: 1 });
    expect((await weftKeys('list')).stdout).toContain('revoked');
  });

  it('refuses what makes no key', async () => {
    expect((await weftKeys('create', '-s', 'write', '-n', 'x')).stderr).toContain(
      'Scopes are admin, read, pii, ingest, edge.',
    );
    const noSource = await weftKeys('create', '-s', 'ingest', '-n', 'x');
    expect(noSource.code).toBe(2);
    expect(noSource.stderr).toContain('--source web');
    expect((await weftKeys('create', '-s', 'read')).stderr).toContain('--name');
    expect((await weftKeys('create', '-s', 'read', '-n', 'x', '--expires-in', 'soon')).stderr).toContain('90d');
  });
});

describe('each of these commands', () => {
  it.each([
    ['segment', weftSegment, 'weft segment show cart_abandoned'],
    ['model', weftModel, 'weft model register intent.onnx'],
    ['keys', weftKeys, 'weft keys create --scope read'],
  ])('%s shows an example in its help', async (_, run, example) => {
    expect((await run('--help')).stdout).toContain(example);
  });
});
