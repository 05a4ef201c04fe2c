import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createLabelReaders } from '../../src/create-label-readers.js';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import type { App } from '../../src/app.js';
import { createPromotionPreviews } from '../../src/create-promotion-previews.js';
import { createFeaturesCommand } from '../../src/create-features-command.js';
import { applyCommand } from '../../src/apply.command.js';
import { DefinitionApplier } from '../../src/definition-applier.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { exportCommand } from '../../src/features/export.command.js';
import { LabelService } from '../../src/features/label.service.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { WeftError } from '../../src/platform/errors.js';
import { listCommand } from '../../src/list.command.js';
import { listParts } from '../support/list-parts.js';
import { modelCommand } from '../../src/scoring/model.command.js';
import { ModelReader } from '../../src/scoring/model.reader.js';
import { segmentServices } from '../../src/segments/segment-command-services.js';
import { segmentCommand } from '../../src/segments/segment.command.js';
import type { ApiWorld } from '../support/api-world.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { createDemoWorld } from '../support/demo-world.js';
import { aTrack, MINUTE_MS } from '../support/world.js';

/*
 * What the pages show is done here, on the definitions of the demo and part of its data: queries, conditions, files and
 * commands, with what they print.
 */

const ROOT = new URL('../../', import.meta.url);
const page = (name: string): Promise<string> => readFile(new URL(`docs/${name}`, ROOT), 'utf8');
const [graphql, segments, features, models, privacy, monitoring, lists] = await Promise.all(
  ['graphql.md', 'segments.md', 'features.md', 'models.md', 'privacy.md', 'monitoring-features.md', 'lists.md'].map(
    page,
  ) as [
    Promise<string>,
    Promise<string>,
    Promise<string>,
    Promise<string>,
    Promise<string>,
    Promise<string>,
    Promise<string>,
  ],
);

/** In the rows of the demo's files, the people whom the pages name. */
const PEOPLE = [
  ...['7c05542a', 'acc-100985', '16255', 'ava-tann', 'a.tanner@'],
  ...['lina_falk', 'bf603d1e', 'acc-103643', '12480'],
  ...['oscarormond', 'fd51df45', 'acc-101692', '16985'],
];
const AVA = { anonymous_id: '7c05542a-a638-43fd-b185-e15b72e2fa6b' };

let world: ApiWorld;
let folder: string;
/** What stands for the placeholders of the pages. */
let given: Record<string, unknown>;

beforeAll(async () => {
  world = await createDemoWorld(PEOPLE);
  folder = await mkdtemp(join(tmpdir(), 'weft-docs-'));
  const file = (name: string): Promise<Buffer> => readFile(new URL(`seeds/models/purchase_intent.${name}`, ROOT));
  given = {
    onnx: (await file('onnx')).toString('base64'),
    manifest: (await file('manifest.yaml')).toString(),
    after: Buffer.from('["changes.1",0]').toString('base64url'),
  };
  const [, purposes = ''] = /```yaml\n(purposes:.*?)```/s.exec(privacy) ?? [];
  await writeFile(join(folder, 'purposes.yaml'), purposes);
  const [, taste = ''] = /```yaml\n(views:\n {2}- name: taste\n.*?)```/s.exec(features) ?? [];
  await writeFile(join(folder, 'taste.yaml'), taste);
  for (const file of ['purposes.yaml', 'taste.yaml']) {
    expect(await weft(`apply ${file} --yes`)).toMatchObject({ code: 0, stderr: '' });
  }
  await world.data('mutation { upsertProfileList(key: "staff", name: "Our own people") { __typename } }');
  await world.drain();
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
  await rm(folder, { recursive: true });
});

describe('docs/segments.md', () => {
  const section = (title: string): string => segments.slice(segments.indexOf(title)).split('\n## ')[0] ?? '';
  const column = (title: string, index: number): string[] =>
    section(title)
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
      .flatMap((line) =>
        [...(line.split(/(?<!\\)\|/)[index] ?? '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code),
      )
      .map((code) => code.replaceAll('\\|', '|'));
  const conditions = column('## Examples', 2);
  const questions = column('## What a condition can ask', 1);

  it('has examples', () => {
    expect(conditions.length).toBeGreaterThanOrEqual(9);
    expect(questions.length).toBeGreaterThanOrEqual(20);
  });

  it.each(conditions)('shows a condition that names what the demo has: %s', async (condition) => {
    expect((await world.services.segments.check(condition)).warnings).toEqual([]);
  });

  it.each(questions)('shows what a condition can ask of the demo: %s', async (value) => {
    expect((await world.services.segments.check(await asCondition(value))).warnings).toEqual([]);
  });

  /** The value compared with one of its kind, where it is no condition by itself. */
  async function asCondition(value: string): Promise<string> {
    try {
      await world.services.segments.check(value);
      return value;
    } catch (error) {
      const type = error instanceof WeftError ? /must be bool, found (\w+)/.exec(error.message)?.[1] : undefined;
      if (type === 'int' || type === 'double') return `${value} > 0`;
      // Whatever a model answers is text; one that it gives is in the examples.
      if (type === 'string') return `${value}.size() > 0`;
      throw error;
    }
  }
});

describe.each([
  ['docs/segments.md', segments],
  ['docs/features.md', features],
  ['docs/models.md', models],
  ['docs/monitoring-features.md', monitoring],
  // Last: what it does would change what the others show.
  ['docs/lists.md', lists],
])('%s', (_name, text) => {
  const shown = commandsOf(text);

  it('shows commands with what they print', () => {
    expect(shown.length).toBeGreaterThanOrEqual(1);
  });

  it.each(shown.map((each) => [each.command, each] as const))('%s prints what it says', async (_, example) => {
    for (const { path, content } of example.files) await writeFile(join(folder, path), content);
    const { stdout, stderr } = await weft(example.command);
    const same = example.command.endsWith(' --dry-run') ? unvaryingPreview : unvarying;
    expect(same(stdout + stderr)).toBe(same(example.output));
  });
});

/** Its records are not among the data of the demo. */
const OF_ROWS_THAT_THE_DEMO_HAS_NOT = /^views:\n {2}- name: customer_records\n/;

describe('the files of definitions on a page', () => {
  it.each([
    ['docs/segments.md', segments],
    ['docs/features.md', features],
    ['docs/monitoring-features.md', monitoring],
    ['docs/lists.md', lists],
  ])('of %s can be applied together', async (name, text) => {
    const blocks = [...text.matchAll(/```yaml\n((?:views|segments):.*?)```/gs)]
      .map(([, content = '']) => content)
      .filter((content) => !OF_ROWS_THAT_THE_DEMO_HAS_NOT.test(content));
    expect(blocks.length).toBeGreaterThan(0);
    const paths = blocks.map((_, i) => `${basename(name)}-${String(i)}.yaml`);
    for (const [i, content] of blocks.entries()) await writeFile(join(folder, paths[i] ?? ''), content);
    expect(await weft(`apply ${paths.join(' ')} --dry-run`)).toMatchObject({ code: 0, stderr: '' });
  });
});

interface ShownCommand {
  readonly command: string;
  readonly output: string;
  /** Files that the command reads, as the block of their kind before it has them. */
  readonly files: readonly { readonly path: string; readonly content: string }[];
}

/** Each block of one command that is followed by what it prints. */
function commandsOf(text: string): ShownCommand[] {
  return [...text.matchAll(/```sh\n(?:npx )?weft ([^\n]+)\n```\n\n```\n(.*?)```/gs)].map((match) => {
    const [, command = '', output = ''] = match;
    const before = text.slice(0, match.index);
    const files = [...command.matchAll(/(?<=\s)(?<!--out )([\w-]+\.(yaml|csv))(?=\s|$)/g)].flatMap(
      ([, path = '', kind = '']) => {
        const blocks = [...before.matchAll(new RegExp(`\`\`\`${kind}\\n(.*?)\`\`\``, 'gs'))];
        const content = blocks.at(-1)?.[1];
        return content === undefined ? [] : [{ path, content }];
      },
    );
    return { command, output, files };
  });
}

/** Without times and durations. */
function unvarying(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/( took +).*/g, '$1…')
    .replace(/[\d.e+-]+ ms\b/g, 'N ms')
    .replace(/^( +is run +).*/gm, '$1…');
}

/** Of a preview also without counts, which are of everybody in the demo, and here of some. */
function unvaryingPreview(text: string): string {
  return unvarying(text)
    .replace(/\d[\d.]*/g, 'N')
    .replace(/ +/g, ' ');
}

/** Runs a command in the folder of the test; paths in `seeds/` are those of the repository. */
async function weft(line: string): Promise<CommandOutcome> {
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  const [name = '', ...args] = words.map((word) => {
    if (word.startsWith('seeds/')) return new URL(word, ROOT).pathname;
    return /^[\w.-]+\.(?:yaml|csv)$/.test(word) ? join(folder, word) : word;
  });
  const { engine, db, clock, services } = world;
  const outcome = await runWith((io) => {
    switch (name) {
      case 'apply':
        return applyCommand({
          ...io,
          signal: new AbortController().signal,
          withApplier: (use) => use(new DefinitionApplier(db, engine.services)),
          confirm: null,
        });
      case 'features': {
        const app = { db, clock, engine, onlineStore: () => world.store } as unknown as App;
        return createFeaturesCommand(io, (use) => use(app), new AbortController().signal);
      }
      case 'segment':
        return segmentCommand({
          ...io,
          user: 'ann',
          clock,
          withSegments: (use) => use(segmentServices(db, engine.services.segments, world)),
        });
      case 'list':
        return listCommand({ ...io, ...listParts(world) });
      case 'model':
        return modelCommand({
          ...io,
          signal: new AbortController().signal,
          confirm: null,
          withModels: (use) => use({ reader: new ModelReader(db), service: services.models }),
          withPromotionPreviews: (use) =>
            use(
              createPromotionPreviews({
                ...{ db, clock, models: services.models, observer: {} },
                definitions: engine.definitions,
              }),
            ),
          withProgress: (run) => run(() => undefined),
        });
      case 'export': {
        const events = new EventHistoryReader();
        const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
        const sets = new TrainingSetService({ db, clock, policy: engine.policy, identity, events });
        const signal = new AbortController().signal;
        return exportCommand({
          ...io,
          withTrainingSets: (use) => use(sets),
          withLabels: (use) => use(new LabelService({ db, clock, identity, events })),
          withTables: () => Promise.reject(new Error('not asked for')),
          ...createLabelReaders(clock),
          signal,
          clock,
          parseTime: parseTimestamp,
        });
      }
      default:
        throw new Error(`a page shows weft ${name}, which this test cannot run`);
    }
  }, args);
  return { ...outcome, stdout: outcome.stdout.replaceAll(`${folder}/`, '') };
}

interface Example {
  readonly name: string;
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Each query with the variables in the JSON block right behind it. */
const examples: Example[] = [
  ...`${graphql}\n${monitoring}`.matchAll(/```graphql\n(.*?)```(?:\s*```json\n(.*?)```)?/gs),
].map(([, query = '', json = '{}']) => ({
  name: /^(?:query|mutation|subscription) (\w+)/.exec(query)?.[1] ?? query,
  query,
  variables: JSON.parse(json) as Record<string, unknown>,
}));

/** Fills placeholders, and takes only the variables that the page names. */
function variablesOf({ variables }: Example): Record<string, unknown> {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, given[name] ?? value]));
}

/** Warnings anywhere in an answer. */
function warningsIn(answer: unknown): unknown[] {
  if (typeof answer !== 'object' || answer === null) return [];
  return Object.entries(answer).flatMap(([key, value]) =>
    key === 'warnings' ? (value as unknown[]) : warningsIn(value),
  );
}

describe('docs/graphql.md and docs/monitoring-features.md', () => {
  beforeAll(async () => {
    await world.accept([aTrack('add_to_cart', AVA, { properties: { sku: '22423', value: 12.75 } })]);
    await world.drain();
    world.clock.advance(5 * MINUTE_MS);
    await world.drain();
  });

  it('has queries of every kind', () => {
    expect(examples.length).toBeGreaterThanOrEqual(15);
  });

  it.each(examples.map((example) => [example.name, example] as const))(
    '%s answers as described',
    async (_name, example) => {
      const { query } = example;
      const variables = variablesOf(example);
      if (query.startsWith('subscription')) {
        const client = createClient({
          url: `${world.url.replace('http', 'ws')}/graphql`,
          webSocketImpl: WebSocket,
          connectionParams: { apiKey: world.keys.read },
        });
        for await (const result of client.iterate({ query, variables })) {
          expect(result).toMatchObject({
            data: {
              segmentChanges: { kind: 'ENTER', cause: { kind: 'TIMER' }, profile: { traits: { first_name: 'Ava' } } },
            },
          });
          break;
        }
        await client.dispose();
        return;
      }
      const answer = await world.ask(query, variables);
      expect(answer.errors).toBeUndefined();
      const values = Object.values(answer.data ?? {});
      expect(values).not.toContain(null);
      for (const value of values) expect(value).not.toHaveProperty('message');
      expect(warningsIn(answer.data)).toEqual([]);
    },
  );
});
