/**
 * Record linkage beside Splink, by the same settings: `npx tsx test/bench/linkage.bench.ts [records]` prints one JSON
 * object. `WEFT_TEST_SPLINK_PYTHON` names a Python that has what trainer/requirements-linkage.txt lists; without it, our
 * half alone is measured. Both get the same records, sample as many random pairs and link from the same probability.
 * Splink's DuckDB has as many threads as the machine has cores; ours is one.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clusterRecords } from '../../src/identity/linkage/cluster-records.js';
import { evaluateClusters } from '../../src/identity/linkage/evaluate-clusters.js';
import { linkRecords } from '../../src/identity/linkage/link-records.js';
import type { LinkageModel, LinkageRecord } from '../../src/identity/linkage/linkage-model.model.js';
import { readSqlRule } from '../../src/identity/linkage/read-blocking-rule.js';
import { readLinkageModel } from '../../src/identity/linkage/read-linkage-model.js';
import { DEFAULT_TRAINING, trainLinkage } from '../../src/identity/linkage/train-linkage.js';
import { readPeople } from '../support/people-data.js';
import { generatePeople } from './linkage/generated-people.js';
import { FEBRL, PEOPLE, type SplinkCase } from './linkage/splink-settings.js';

const THRESHOLD = 0.9;
const PAIRS = 1_000_000;
const python = process.env['WEFT_TEST_SPLINK_PYTHON'];
const records = Number(process.argv[2] ?? 100_000);
const folder = mkdtempSync(join(tmpdir(), 'weft-linkage-bench-'));

/** Seconds by wall clock, and of the processor, all threads together. */
type Seconds = readonly [wall: number, cpu: number];

interface Took {
  readonly train: Seconds;
  readonly link: Seconds;
  readonly cluster: Seconds;
}

const rounded = (value: number): number => Number(value.toPrecision(3));

function figures({ train, link, cluster }: Took, f1: number, count: number) {
  const perSecond = (...parts: readonly Seconds[]): number =>
    Math.round(count / parts.reduce((sum, [wall]) => sum + wall, 0));
  const [trainS, linkS, clusterS] = [train, link, cluster].map(([wall, cpu]) => ({
    wall: rounded(wall),
    cpu: rounded(cpu),
  }));
  return {
    f1: Number(f1.toFixed(4)),
    seconds: { train: trainS, link: linkS, cluster: clusterS },
    recordsPerSecondLinked: perSecond(link, cluster),
    recordsPerSecondInAll: perSecond(train, link, cluster),
  };
}

async function timed<T>(run: () => T | Promise<T>): Promise<[result: T, seconds: Seconds]> {
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  const result = await run();
  const { user, system } = process.cpuUsage(cpu);
  return [result, [(performance.now() - started) / 1_000, (user + system) / 1_000_000]];
}

function numbered(names: readonly string[]): number[] {
  const numbers = new Map<string, number>();
  return names.map((name) => {
    const number = numbers.get(name) ?? numbers.size;
    numbers.set(name, number);
    return number;
  });
}

function truthBy(ids: readonly string[], personOf: ReadonlyMap<string, string>): number[] {
  return numbered(ids.map((id) => personOf.get(id) ?? id));
}

async function ours(settings: LinkageModel, people: readonly LinkageRecord[], personOf: ReadonlyMap<string, string>) {
  const [model, train] = await timed(() =>
    trainLinkage(settings, people, { ...DEFAULT_TRAINING, maxSampledPairs: PAIRS }),
  );
  return { ...(await linked(model, people, personOf, train)), version: model.version };
}

async function linked(
  model: LinkageModel,
  people: readonly LinkageRecord[],
  personOf: ReadonlyMap<string, string>,
  train: Seconds,
) {
  const [{ table, links, pairsByRule }, link] = await timed(() =>
    linkRecords(model, people, { leastProbability: THRESHOLD }),
  );
  const [{ clusterOf }, cluster] = await timed(() => clusterRecords(table.size, links));
  const { pairs } = evaluateClusters(clusterOf, truthBy(table.ids, personOf));
  const scored = pairsByRule.reduce((sum, each) => sum + each, 0);
  return {
    ...figures({ train, link, cluster }, pairs.f1, people.length),
    pairsScored: scored,
    links: links.left.length,
  };
}

function splink(
  name: string,
  each: SplinkCase,
  people: readonly LinkageRecord[],
  personOf: ReadonlyMap<string, string>,
) {
  const at = (file: string): string => join(folder, `${name}-${file}`);
  const columns = Object.keys(people[0]?.values ?? {});
  const cell = (value: unknown): string => (typeof value === 'string' ? `"${value.replaceAll('"', '""')}"` : '');
  const rows = people.map(({ id, values }) => [id, ...columns.map((column) => values[column])].map(cell).join());
  writeFileSync(at('records.csv'), `${['unique_id', ...columns].join()}\n${rows.join('\n')}\n`);
  writeFileSync(
    at('case.json'),
    JSON.stringify({ ...each, pairs: PAIRS, threshold: THRESHOLD, threads: availableParallelism() }),
  );
  const script = fileURLToPath(new URL('linkage/bench_splink.py', import.meta.url));
  const args = [script, at('case.json'), at('records.csv'), at('clusters.csv'), at('model.json')];
  const out = execFileSync(python ?? 'python3', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const { took, links } = JSON.parse(out.trim().split('\n').at(-1) ?? '') as { took: Took; links: number };
  const clusters = readFileSync(at('clusters.csv'), 'utf8')
    .trim()
    .split(/\r?\n/)
    .map((line) => line.split(','));
  const clusterOf = numbered(clusters.map(([, cluster = '']) => cluster));
  const { pairs } = evaluateClusters(
    clusterOf,
    truthBy(
      clusters.map(([id = '']) => id),
      personOf,
    ),
  );
  return { ...figures(took, pairs.f1, people.length), links, model: readFileSync(at('model.json'), 'utf8') };
}

async function measure(
  name: string,
  each: SplinkCase,
  people: readonly LinkageRecord[],
  personOf: ReadonlyMap<string, string>,
) {
  const settings: LinkageModel = {
    ...readLinkageModel(JSON.stringify(each.settings), 'settings'),
    training: {
      deterministicRules: each.deterministic.map((rule) => readSqlRule(rule)),
      recall: each.recall,
      passes: each.passes.map((rule) => readSqlRule(rule)),
    },
  };
  const weft = await ours(settings, people, personOf);
  if (python === undefined) return { name, records: people.length, weft };
  const { model, ...theirs } = splink(name, each, people, personOf);
  const byTheirModel = await linked(readLinkageModel(model, 'model'), people, personOf, [0, 0]);
  return { name, records: people.length, weft, splink: theirs, weftByModelOfSplink: byTheirModel };
}

/** A record without the columns that tell who it is. */
function without(record: LinkageRecord, ...columns: readonly string[]): LinkageRecord {
  return {
    ...record,
    values: Object.fromEntries(Object.entries(record.values).filter(([name]) => !columns.includes(name))),
  };
}

try {
  const fake = readPeople('fake_1000.csv.gz', 'unique_id');
  const febrl = readPeople('febrl3.csv.gz', 'rec_id');
  const made = generatePeople(records, 1);
  const generated = made.map(({ unique_id: id, cluster: _, ...values }): LinkageRecord => {
    return {
      id,
      values: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === '' ? null : value])),
    };
  });
  const results = [
    await measure(
      'fake_1000',
      PEOPLE,
      fake.map((record) => without(record, 'unique_id', 'cluster')),
      new Map(fake.map(({ id, values }) => [id, String(values['cluster'])])),
    ),
    await measure(
      'febrl3',
      FEBRL,
      febrl.map((record) => without(record, 'rec_id', 'soc_sec_id')),
      new Map(febrl.map(({ id }) => [id, /rec-(\d+)/.exec(id)?.[1] ?? id])),
    ),
    await measure('generated', PEOPLE, generated, new Map(made.map(({ unique_id: id, cluster }) => [id, cluster]))),
  ];
  process.stdout.write(
    `${JSON.stringify({ cores: availableParallelism(), threshold: THRESHOLD, results }, null, 2)}\n`,
  );
} finally {
  rmSync(folder, { recursive: true });
}
