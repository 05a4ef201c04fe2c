import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { SingleBar } from 'cli-progress';
import { parse } from 'csv-parse/sync';
import { WeftError } from '../src/platform/errors.js';
import type { Clock } from '../src/platform/clock.js';
import { createProgressView } from '../src/sources/load-progress.js';
import type { LoadProgress, LoadResult } from '../src/sources/load.model.js';
import type { Mapping } from '../src/sources/mapping.model.js';
import { parseMapping } from '../src/sources/parse-mapping.js';
import * as queries from './demo-queries.js';
import { formatSummary, type DemoSummary, type SegmentLine } from './demo-report.js';
import { GraphQLClient } from './graphql-client.js';
import { matchQuality, type TruthRow } from './match-quality.js';
import { parseSeedSegments, parseSeedSources, type SeedSegment, type SeedSource } from './seed-definitions.js';

const SEEDS = new URL('./', import.meta.url);
const HISTORY_ENDS_BEFORE_START_MS = 60 * 60 * 1000;
/** The models and what they are for; a demo whose models are not there runs without the segments that read them. */
const MODELS = ['purchase_intent', 'rfm_clusters'];

export interface DemoHost {
  /** Of the server's HTTP interface, as `http://127.0.0.1:4000`. */
  readonly url: string;
  readonly adminKey: string;
  readonly clock: Clock;
  /** When the demo was first started on this data folder: history is shifted so that it ends an hour before. */
  readonly firstStartMs: number;
  readonly signal: AbortSignal;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WriteStream;
  /** What `weft load` does. */
  load(request: {
    readonly file: string;
    readonly mapping: Mapping;
    readonly timeShiftMs: number;
    readonly onProgress: (progress: LoadProgress) => void;
    readonly signal: AbortSignal;
  }): Promise<LoadResult>;
  /** Waits until everything accepted so far is applied. */
  applied(onProgress: (done: number, total: number) => void, signal: AbortSignal): Promise<void>;
}

/** Defines features, models and segments, loads the sources, and tells what came of it. */
export async function loadDemo(host: DemoHost): Promise<DemoSummary> {
  const client = new GraphQLClient(host.url, host.adminKey);
  const { sources, truth } = parseSeedSources(await read('sources.yaml'));
  const segments = parseSeedSegments(await read('segments.yaml'));
  say(host, 'Features, models and segments');
  await client.mutate(queries.APPLY_FEATURES, { yaml: await read('features.yaml') });
  const models = await registerModels(host, client);
  await defineSegments(host, client, segments, models);
  say(host, '');

  const startedAt = performance.now();
  const loads: LoadResult[] = [];
  for (const source of sources) loads.push(await loadSource(host, source));
  await waitUntilApplied(host);
  const seconds = (performance.now() - startedAt) / 1_000;
  return summarise(client, loads, segments, await readTruth(truth), seconds);
}

async function registerModels(host: DemoHost, client: GraphQLClient): Promise<string[]> {
  const registered: string[] = [];
  for (const key of MODELS) {
    const onnx = await readFile(new URL(`models/${key}.onnx`, SEEDS)).catch(() => null);
    if (onnx === null) {
      say(host, `  no seeds/models/${key}.onnx: its segments are left out (trainer/README.md trains it)`);
      continue;
    }
    const { registerModel } = await client.mutate<{ registerModel: { model: { version: number } } }>(
      queries.REGISTER_MODEL,
      { onnx: onnx.toString('base64'), manifest: await read(`models/${key}.manifest.yaml`) },
    );
    await client.mutate(queries.PROMOTE_MODEL, { key, version: registerModel.model.version });
    registered.push(key);
  }
  return registered;
}

async function defineSegments(
  host: DemoHost,
  client: GraphQLClient,
  segments: readonly SeedSegment[],
  models: readonly string[],
): Promise<void> {
  const left = new Set<string>();
  for (const { key, name, description, tags, expression } of segments) {
    const needs = [...expression.matchAll(/(?:score|label|cluster)\("([^"]+)"\)/g)].map((match) => match[1] ?? '');
    const refers = [...expression.matchAll(/segment\("([^"]+)"\)/g)].map((match) => match[1] ?? '');
    if (needs.some((model) => !models.includes(model)) || refers.some((other) => left.has(other))) {
      left.add(key);
      continue;
    }
    await client.mutate(queries.UPSERT_SEGMENT, { key, segment: { key, name, description, tags, expression } });
  }
  say(host, `  ${String(segments.length - left.size)} segments, ${String(models.length)} models`);
}

async function loadSource(host: DemoHost, source: SeedSource): Promise<LoadResult> {
  const mapping = parseMapping(await read(source.mapping), source.mapping);
  // In a file or a pipe a line of progress would stand between those of the log.
  const view = host.stderr.isTTY ? createProgressView(host.stderr, () => performance.now()) : null;
  try {
    say(host, `Loading ${source.name} (${source.licence})`);
    const result = await host.load({
      file: new URL(source.file, SEEDS).pathname,
      mapping,
      timeShiftMs: host.firstStartMs - HISTORY_ENDS_BEFORE_START_MS - source.lastEventMs,
      onProgress: (progress) => {
        view?.update(progress);
      },
      signal: host.signal,
    });
    view?.stop();
    if (result.outcome === 'interrupted') throw interrupted();
    say(host, `  ${describeLoad(result)}`);
    return result;
  } finally {
    view?.stop();
  }
}

function describeLoad(result: LoadResult): string {
  if (result.outcome === 'already_loaded') return 'loaded before, nothing to do';
  const { rows, accepted, duplicates, refused, seconds, rowsPerSecond } = result;
  const parts = [`${rows.toLocaleString('en-US')} rows`, `${accepted.toLocaleString('en-US')} events`];
  if (duplicates > 0) parts.push(`${duplicates.toLocaleString('en-US')} known already`);
  if (refused > 0) parts.push(`${refused.toLocaleString('en-US')} quarantined`);
  return `${parts.join(', ')} in ${seconds.toFixed(1)} s (${Math.round(rowsPerSecond).toLocaleString('en-US')} rows/s)`;
}

async function waitUntilApplied(host: DemoHost): Promise<void> {
  say(host, 'Resolving identities, computing features, evaluating segments');
  const isTerminal = host.stderr.isTTY;
  const bar = new SingleBar({
    format: '{bar} {percentage}%  {value} of {total} events, {speed} events/s, {left} s left',
    barsize: 30,
    stream: host.stderr,
    hideCursor: true,
    clearOnComplete: true,
    fps: 5,
  });
  const startedAt = performance.now();
  await host.applied((done, total) => {
    if (!isTerminal || total === 0) return;
    const speed = (done / (performance.now() - startedAt)) * 1_000;
    const numbers = { speed: Math.round(speed), left: speed === 0 ? '?' : Math.ceil((total - done) / speed) };
    if (bar.isActive) bar.update(done, numbers);
    else bar.start(total, done, numbers);
  }, host.signal);
  if (bar.isActive) bar.stop();
  say(host, '');
}

interface Connection<T> {
  readonly edges: readonly { readonly node: T }[];
}

interface Statistics {
  readonly statistics: { events: number; identifiers: number; profiles: number; merges: number };
  readonly featureViews: Connection<{ features: readonly { name: string }[] }>;
  readonly models: Connection<{ key: string; version: number; stage: string }>;
  readonly segments: Connection<{ key: string; size: number }>;
}

async function summarise(
  client: GraphQLClient,
  loads: readonly LoadResult[],
  segments: readonly SeedSegment[],
  truth: readonly TruthRow[],
  seconds: number,
): Promise<DemoSummary> {
  const { statistics, featureViews, models, segments: live } = await client.query<Statistics>(queries.STATISTICS);
  const sizes = new Map(live.edges.map(({ node }) => [node.key, node.size]));
  const lines = segments
    .filter(({ key }) => sizes.has(key))
    .map(({ key, name, audience }): SegmentLine => ({
      key,
      name,
      size: sizes.get(key) ?? 0,
      audience: audience === null ? null : { key: audience.key, size: sizes.get(audience.key) ?? 0 },
    }));
  const profileOf = await allIdentifiers(client);
  return {
    loads,
    ...statistics,
    features: featureViews.edges.reduce((sum, { node }) => sum + node.features.length, 0),
    models: models.edges
      .filter(({ node }) => node.stage === 'ACTIVE')
      .map(({ node }) => `${node.key} v${String(node.version)}`),
    segments: lines,
    quality: matchQuality(truth, (ns, value) => profileOf.get(`${ns}:${value}`)),
    seconds,
  };
}

interface ProfilePage {
  readonly profiles: {
    readonly edges: readonly {
      readonly node: { readonly id: string; readonly identifiers: readonly { namespace: string; value: string }[] };
    }[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}

/** The profile of every identifier, page by page. */
async function allIdentifiers(client: GraphQLClient): Promise<Map<string, string>> {
  const profileOf = new Map<string, string>();
  for (let after: string | null = null; ;) {
    const page: ProfilePage = await client.query<ProfilePage>(queries.PROFILES, { after });
    for (const { node } of page.profiles.edges) {
      for (const { namespace, value } of node.identifiers) profileOf.set(`${namespace}:${value}`, node.id);
    }
    if (!page.profiles.pageInfo.hasNextPage) return profileOf;
    after = page.profiles.pageInfo.endCursor;
  }
}

async function readTruth(path: string): Promise<TruthRow[]> {
  const text = gunzipSync(await readFile(new URL(path, SEEDS))).toString();
  const rows = parse<{ person_id: string; ns: string; value: string }>(text, { columns: true });
  return rows.map(({ person_id: personId, ns, value }) => ({ personId, ns, value }));
}

export function printSummary(host: Pick<DemoHost, 'stdout'>, summary: DemoSummary): void {
  host.stdout.write(`${formatSummary(summary)}\n`);
}

function say(host: Pick<DemoHost, 'stdout'>, line: string): void {
  host.stdout.write(`${line}\n`);
}

async function read(path: string): Promise<string> {
  return readFile(new URL(path, SEEDS), 'utf8');
}

function interrupted(): WeftError {
  return new WeftError('UNAVAILABLE', 'the demo was stopped while it loaded', {
    hint: 'Run it again: it goes on where it stopped.',
  });
}
