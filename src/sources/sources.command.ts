import { Command, InvalidArgumentError, Option } from 'commander';
import type { Clock } from '../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import { isRatePerSecond, RATE_HINT } from '../platform/rate-limiter.js';
import { ENRICHMENTS, type EnrichmentSettings } from '../events/enrichment.model.js';
import type { RetentionProgress } from '../events/retention.model.js';
import type { RetentionReader } from '../events/retention.reader.js';
import { durationMs, durationText } from '../platform/duration.js';
import { errorRateOf, firstHourOf, NO_ACTIVITY } from './source-activity.model.js';
import type { SourceActivityReader } from './source-activity.reader.js';
import { readEnrichment } from './source-enrichment.model.js';
import { SOURCE_KINDS, type Source, type SourceChange, type SourceKind } from './source.model.js';
import type { SourceService } from './source.service.js';

/** A key of a source, as far as it is shown with it. */
export interface KeyOfSource {
  readonly prefix: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  readonly lastUsedAt: number | null;
}

export interface SourcesCommandServices {
  readonly sources: Pick<SourceService, 'list' | 'findByKey' | 'create' | 'update'>;
  readonly activity: Pick<SourceActivityReader, 'lastSeen' | 'sums'>;
  readonly retention: Pick<RetentionReader, 'progress'>;
  /** Newest first. */
  readonly keysOf: (sourceId: number) => Promise<readonly KeyOfSource[]>;
}

export interface SourcesCommandDeps extends CommandIo {
  readonly clock: Clock;
  /** Starts what the command needs, for as long as `use` runs. */
  withSources<T>(use: (services: SourcesCommandServices) => Promise<T>): Promise<T>;
  /** The same, and makes the database if there is none. */
  withNewDatabase<T>(use: (services: SourcesCommandServices) => Promise<T>): Promise<T>;
}

interface Options {
  readonly json?: true;
}

interface UpdateOptions extends Options {
  readonly name?: string;
  readonly rate?: number | 'none';
  readonly authenticated?: boolean;
  readonly region?: string;
  readonly retention?: number | 'none';
  readonly strict?: boolean;
  readonly enrich?: readonly string[];
  readonly internalDomains?: readonly string[];
  readonly zone?: string;
  readonly texts?: readonly string[];
}

const HELP = `
A source is where data comes from. One that is paused takes nothing: clients of the tracking API are told to come again
(503 with Retry-After), loads and GraphQL are refused, and nothing is lost. Running servers know of a change within 10 s.

list and show say when anything came in last, and the share of what came in within 24 hours that was refused; both are
some seconds behind.

--enrich says what is found out about events when they are accepted, and kept with them as context.enriched: device
(device, browser, system and bot of the user agent), location (by the address, which is not kept), referrer (where a
visitor came from, and the campaign), local_time (hour and weekday where the person is), sentiment (of
English texts, in the properties that --texts names).

Examples:
  weft sources create web --name "Web shop" --rate 500
  weft sources show web
  weft sources update web --rate none
  weft sources update shop_backend --authenticated --region GB
  weft sources update web --retention 400d
  weft sources update web --enrich device,referrer --internal-domains shop.example.org,example.com
  weft sources update web --enrich device,location,local_time --zone Europe/Berlin
  weft sources update web --enrich device,sentiment --texts review.text,comment
  weft sources pause web
  weft sources resume web

Exit codes: 0 done, 1 failed (no such source), 2 wrong use.`;

/** `weft sources list|show|create|update|pause|resume`. */
export function sourcesCommand(deps: SourcesCommandDeps): Command {
  const command = new Command('sources')
    .description('list, make, change, pause and resume sources')
    .addHelpText('after', HELP);
  withJson(command.command('list').description('all sources')).action((options: Options) =>
    runCommand(deps, () => list(deps, options)),
  );
  withJson(onSource(command, 'show').description('one source, with its keys')).action((key: string, options: Options) =>
    runCommand(deps, () => show(deps, key, options)),
  );
  const create = onSource(command, 'create')
    .description('make a source')
    .addOption(new Option('--kind <kind>', 'how it sends its data').choices(SOURCE_KINDS).default('http'));
  withJson(withChange(create)).action((key: string, options: UpdateOptions & { readonly kind: SourceKind }) =>
    runCommand(deps, () => make(deps, key, options)),
  );
  withJson(withChange(onSource(command, 'update').description('change a source; what is left out stays'))).action(
    (key: string, options: UpdateOptions) => runCommand(deps, () => update(deps, key, options)),
  );
  withJson(onSource(command, 'pause').description('take nothing of it until it is resumed')).action(
    (key: string, options: Options) => runCommand(deps, () => change(deps, key, () => ({ paused: true }), options)),
  );
  withJson(onSource(command, 'resume').description('take its events again')).action((key: string, options: Options) =>
    runCommand(deps, () => change(deps, key, () => ({ paused: false }), options)),
  );
  return command;
}

function onSource(command: Command, name: string): Command {
  return command.command(name).argument('<key>', 'key of the source, such as web');
}

function withChange(command: Command): Command {
  return command
    .option('-n, --name <name>', 'what people call it')
    .addOption(
      new Option(
        '--rate <n>',
        'events a second in the long run, by all of its keys together; none: no bound',
      ).argParser(parseRate),
    )
    .option('--authenticated', 'it is sure of whom it names, as a server is: all namespaces count from it')
    .option('--no-authenticated', 'it is not, as a page in a browser is not')
    .addOption(
      new Option(
        '--retention <duration>',
        'how long events are kept from when they happened, as 400d; none: for ever',
      ).argParser(parseRetention),
    )
    .option('--strict', 'what came of events goes with them, as if they had never been; a profile may, too')
    .option('--no-strict', 'it stays')
    .addOption(
      new Option(
        '--enrich <facts>',
        `what is found out about its events, of ${ENRICHMENTS.join(', ')}, with commas between; none: nothing`,
      ).argParser(listOf),
    )
    .addOption(
      new Option(
        '--internal-domains <domains>',
        'of one’s own pages, beside that of the page that a visitor is on, with commas between; none: no others',
      ).argParser(listOf),
    )
    .addOption(
      new Option(
        '--texts <paths>',
        'for sentiment, properties that hold texts, as review.text, with commas between; the first that an event has is read',
      ).argParser(listOf),
    )
    .option('--zone <zone>', 'for local_time, of those of whom nothing else tells it, as Europe/Berlin; none: no zone')
    .option('--region <code>', 'of its phone numbers without a country code, as GB; none: as the identity rules say');
}

/** What the options of {@link withChange} ask for. @param source as it is; null: it is about to be made */
function changeOf(options: UpdateOptions, source: Source | null): SourceChange {
  const { name, rate, authenticated, region, retention, strict } = options;
  const enrichment = enrichmentOf(options, source?.enrichment ?? null);
  return {
    ...(enrichment === undefined ? {} : { enrichment }),
    ...(name === undefined ? {} : { name }),
    ...(rate === undefined ? {} : { maxEventsPerSecond: rate === 'none' ? null : rate }),
    ...(authenticated === undefined ? {} : { authenticated }),
    ...(region === undefined ? {} : { region: region === 'none' ? null : region }),
    ...(retention === undefined ? {} : { retentionMs: retention === 'none' ? null : retention }),
    ...(strict === undefined ? {} : { retentionStrict: strict }),
  };
}

/** Null: nothing is to be found out any more; undefined: what is, stays. */
function enrichmentOf(
  { enrich, internalDomains, zone, texts }: UpdateOptions,
  standing: EnrichmentSettings | null,
): EnrichmentSettings | null | undefined {
  if ([enrich, internalDomains, zone, texts].every((option) => option === undefined)) return undefined;
  if (enrich?.join() === NONE) return null;
  const domains = internalDomains?.join() === NONE ? [] : internalDomains;
  return readEnrichment({
    facts: enrich ?? standing?.facts ?? [],
    internalDomains: domains ?? standing?.internalDomains ?? [],
    zone: zone === NONE ? null : (zone ?? standing?.zone ?? null),
    texts: texts ?? standing?.texts ?? [],
  });
}

const NONE = 'none';

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function withJson(command: Command): Command {
  return command.option('--json', 'as JSON');
}

async function list(deps: SourcesCommandDeps, options: Options): Promise<number> {
  return deps.withSources(async ({ sources, activity }) => {
    const all = await withActivity(await sources.list(), activity, deps.clock.now());
    if (options.json === true) deps.stdout.write(jsonText(all.map(activeToJson)));
    else if (all.length === 0) deps.stdout.write('There are no sources yet; weft sources create makes them.\n');
    else deps.stdout.write(activityTableOf(all));
    return EXIT_CODES.ok;
  });
}

async function show(deps: SourcesCommandDeps, key: string, options: Options): Promise<number> {
  return deps.withSources(async ({ sources, activity, keysOf, retention }) => {
    const source = await find(sources, key);
    const removed = (await retention.progress([source.id])).get(source.id) ?? null;
    const shown = await withActivity([source], activity, deps.clock.now());
    const keys = await keysOf(source.id);
    if (options.json === true) {
      deps.stdout.write(
        jsonText({ ...shown.map(activeToJson)[0], removed: removedJson(removed), keys: keys.map(keyToJson) }),
      );
      return EXIT_CODES.ok;
    }
    const enrichment = source.enrichment === null ? '' : enrichmentText(source);
    deps.stdout.write(`${activityTableOf(shown)}${retentionText(source, removed)}${enrichment}`);
    if (keys.length === 0) {
      deps.stdout.write(`\nIt has no keys; weft keys create --scope ingest --source ${key} makes one.\n`);
    } else {
      const rows = keys.map((each) => [
        each.prefix,
        each.scopes.join(','),
        each.revokedAt === null ? '' : `revoked ${timeText(each.revokedAt)}`,
        each.expiresAt === null ? '' : timeText(each.expiresAt),
        each.lastUsedAt === null ? 'never' : timeText(each.lastUsedAt),
        each.name,
      ]);
      deps.stdout.write(`\n${textTable([['key', 'scopes', 'revoked', 'ends', 'last used', 'name'], ...rows])}`);
    }
    return EXIT_CODES.ok;
  });
}

async function make(
  deps: SourcesCommandDeps,
  key: string,
  { kind, ...options }: UpdateOptions & { readonly kind: SourceKind },
): Promise<number> {
  return deps.withNewDatabase(async ({ sources }) => {
    const source = await sources.create({
      key,
      kind,
      ...changeOf(options, null),
    });
    tell(deps, source, options);
    return EXIT_CODES.ok;
  });
}

async function update(deps: SourcesCommandDeps, key: string, options: UpdateOptions): Promise<number> {
  const { json: _, ...wanted } = options;
  if (Object.keys(wanted).length === 0) {
    throw new WeftError('BAD_REQUEST', 'there is nothing to change', {
      where: 'weft sources update',
      hint: 'give --name, --rate, --retention, --strict, --no-strict, --authenticated, --no-authenticated, --region, --enrich, --internal-domains, --zone or --texts',
    });
  }
  return change(deps, key, (source) => changeOf(options, source), options);
}

async function change(
  deps: SourcesCommandDeps,
  key: string,
  change: (source: Source) => SourceChange,
  options: Options,
): Promise<number> {
  return deps.withSources(async ({ sources }) => {
    const wanted = change(await find(sources, key));
    const source = await sources.update(key, wanted);
    tell(deps, source, options);
    const isOfRetention = 'retentionMs' in wanted || 'retentionStrict' in wanted;
    if (isOfRetention && options.json !== true) deps.stdout.write(`\n${retentionRuleText(source)}.\n`);
    if ('enrichment' in wanted && options.json !== true) deps.stdout.write(enrichmentText(source));
    return EXIT_CODES.ok;
  });
}

/** @throws WeftError NOT_FOUND with the nearest key */
async function find(sources: SourcesCommandServices['sources'], key: string): Promise<Source> {
  const found = await sources.findByKey(key);
  if (found !== null) return found;
  const keys = (await sources.list()).map((source) => source.key);
  throw new WeftError('NOT_FOUND', `there is no source ${key}`, {
    hint: nameHint(key, keys, 'weft sources list shows all of them'),
  });
}

function tell({ stdout }: SourcesCommandDeps, source: Source, { json }: Options): void {
  stdout.write(json === true ? jsonText(toJson(source)) : tableOf([source]));
}

function retentionRuleText({ retentionMs, retentionStrict }: Source): string {
  if (retentionMs === null) return 'Its events are kept for ever';
  const derived = retentionStrict ? 'and what came of them goes with them' : 'and what came of them stays';
  return `Its events are kept for ${durationText(retentionMs)}, ${derived}`;
}

function retentionText(source: Source, removed: RetentionProgress | null): string {
  if (source.retentionMs === null && removed === null) return '';
  const rule = retentionRuleText(source);
  if (removed === null) return `\n${rule}. A worker has not looked for older ones yet.\n`;
  const { removedEvents, removedLetters, progress, finishedAt } = removed;
  const now = progress === null ? '' : ` It is being looked through, ${String(Math.floor(progress * 100))} %.`;
  const last = finishedAt === null ? '' : ` Looked through last at ${timeText(finishedAt)}.`;
  return `\n${rule}. Removed so far: ${String(removedEvents)} events, ${String(removedLetters)} dead letters.${now}${last}\n`;
}

function enrichmentText({ enrichment }: Source): string {
  if (enrichment === null) return '\nNothing is found out about its events.\n';
  const { facts, internalDomains, zone, texts } = enrichment;
  const own = internalDomains.length === 0 ? '' : ` Own pages: ${internalDomains.join(', ')}.`;
  return `\nFound out about its events: ${facts.join(', ')}.${own}${zone === null ? '' : ` Zone: ${zone}.`}${texts.length === 0 ? '' : ` Texts: ${texts.join(', ')}.`}\n`;
}

function removedJson(removed: RetentionProgress | null): object | null {
  if (removed === null) return null;
  const { finishedAt, removedEvents: events, removedLetters: letters, progress } = removed;
  return { events, letters, progress, finishedAt: finishedAt === null ? null : new Date(finishedAt).toISOString() };
}

const SOURCE_COLUMNS = ['source', 'kind', 'state', 'limit', 'authenticated', 'region', 'made', 'name'] as const;

function tableOf(sources: readonly Source[]): string {
  return textTable([SOURCE_COLUMNS, ...sources.map(rowOf)]);
}

function activityTableOf(sources: readonly ActiveSource[]): string {
  const rows = sources.map(({ source, lastSeenAt, errorRate }) => [
    ...rowOf(source).slice(0, -1),
    lastSeenAt === null ? 'never' : timeText(lastSeenAt),
    errorRate === null ? '' : `${(errorRate * 100).toFixed(1)} %`,
    source.name,
  ]);
  return textTable([[...SOURCE_COLUMNS.slice(0, -1), 'last seen', 'refused (24h)', 'name'], ...rows]);
}

function rowOf(source: Source): string[] {
  const { key, kind, paused, maxEventsPerSecond, authenticated, region, createdAt, name } = source;
  const limit = maxEventsPerSecond === null ? '' : `${String(maxEventsPerSecond)}/s`;
  return [
    key,
    kind,
    paused ? 'paused' : 'open',
    limit,
    authenticated ? 'yes' : 'no',
    region ?? '',
    timeText(createdAt),
    name,
  ];
}

/** Of which the error rate is told, the present one included; as GraphQL does unless it is asked for another. */
const ERROR_RATE_HOURS = 24;

interface ActiveSource {
  readonly source: Source;
  /** ms; null: never. */
  readonly lastSeenAt: number | null;
  /** 0 … 1; null where nothing came in. */
  readonly errorRate: number | null;
}

async function withActivity(
  sources: readonly Source[],
  activity: SourcesCommandServices['activity'],
  nowMs: number,
): Promise<ActiveSource[]> {
  const ids = sources.map(({ id }) => id);
  const seen = await activity.lastSeen(ids);
  const sums = await activity.sums(ids, firstHourOf(nowMs, ERROR_RATE_HOURS));
  return sources.map((source) => ({
    source,
    lastSeenAt: seen.get(source.id) ?? null,
    errorRate: errorRateOf(sums.get(source.id) ?? NO_ACTIVITY),
  }));
}

function activeToJson({ source, lastSeenAt, errorRate }: ActiveSource): Record<string, unknown> {
  const seen = lastSeenAt === null ? null : new Date(lastSeenAt).toISOString();
  return { ...toJson(source), lastSeenAt: seen, errorRate };
}

function toJson({ id: _, config: __, createdAt, retentionMs, ...source }: Source): Record<string, unknown> {
  return {
    ...source,
    retention: retentionMs === null ? null : durationText(retentionMs),
    createdAt: new Date(createdAt).toISOString(),
  };
}

function keyToJson({ prefix, name, scopes, expiresAt, revokedAt, lastUsedAt }: KeyOfSource): Record<string, unknown> {
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return {
    prefix,
    name,
    scopes,
    expiresAt: time(expiresAt),
    revokedAt: time(revokedAt),
    lastUsedAt: time(lastUsedAt),
  };
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}

function parseRate(text: string): number | 'none' {
  if (text === 'none') return text;
  const rate = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (isRatePerSecond(rate)) return rate;
  throw new InvalidArgumentError(`To be a rate: ${RATE_HINT}; none for no bound.`);
}

function parseRetention(text: string): number | 'none' {
  if (text === 'none') return text;
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError('Write it like 400d; none for ever.');
  }
}
