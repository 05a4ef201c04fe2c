import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { StoredFeatureView } from '../features/feature.reader.js';
import { STATISTICS_DAY_MS, STATISTICS_KEPT_DAYS, type TalliedFeature } from '../features/feature-statistics.model.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { isInstant, parseInstant } from '../platform/instant.js';
import { nameHint } from '../platform/near-names.js';
import { DEFAULT_MAX_PSI, mergeDays, windowDrift, type WindowDrift } from './compare-windows.js';
import { REFERENCE_AGE_DAYS, type DayOfFeature } from './feature-drift.model.js';
import { readManifestStatistics } from './feature-reference.model.js';

export interface DriftCommandServices {
  /** Of people and of other entities. */
  views(): Promise<readonly StoredFeatureView[]>;
  /** What is kept of features on the days between, inclusive, ms. */
  days(features: readonly string[], fromMs: number, toMs: number): Promise<readonly DayOfFeature[]>;
  /** As of now, of features that are ready, from a sample of people or items. */
  compute(features: readonly string[]): Promise<readonly TalliedFeature[]>;
  /** What a training set that is registered has, by feature; empty: there is none of the name. */
  reference(name: string): Promise<ReadonlyMap<string, TalliedFeature>>;
  /** Names of those that are registered. */
  references(): Promise<readonly string[]>;
  nowMs(): number;
}

export interface DriftCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withDrift<T>(use: (services: DriftCommandServices) => Promise<T>): Promise<T>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Days, both inclusive, ms. */
interface Days {
  readonly fromMs: number;
  readonly toMs: number;
}

interface Options {
  readonly view?: string;
  readonly feature?: readonly string[];
  readonly from?: Days;
  readonly to?: Days;
  readonly manifest?: string;
  readonly against?: string;
  readonly now?: true;
  readonly maxPsi?: number;
  readonly maxKs?: number;
  readonly json?: true;
}

const HELP = `
Compares how values of features are spread over people in two windows of days, by what a worker has kept of each day
(60 days), or now with a training set: by its manifest, or by the name that weft features reference set gave it.

  psi   population stability index: mostly below 0.1 for no change, above 0.25 for a great one
  ks    statistic of Kolmogorov and Smirnov, 0 to 1, of numbers; p: how probable were nothing different

A feature has drifted beyond --max-psi (default: as its view expects, else ${String(DEFAULT_MAX_PSI)}) or --max-ks (default: as its view expects).

Examples:
  weft features drift                                     # the latest day with that a week before
  weft features drift --view commerce --from 2026-11-01..2026-11-07 --to 2026-11-15..2026-11-21
  weft features drift --manifest intent.parquet.manifest.json --max-psi 0.2
  weft features drift --against purchase_intent_v1 --json

Exit codes: 0 no feature is beyond a threshold, 1 some are, or there is nothing to compare, 2 wrong use, 130 interrupted.`;

/** Adds `weft features drift`. */
export function addDriftCommand(features: Command, deps: DriftCommandDeps): Command {
  features
    .command('drift')
    .description('how far values of features are from what they were, or from a training set')
    .option('--view <name>', 'only features of this view')
    .option('--feature <names>', 'only these, separated by commas', parseNames)
    .addOption(
      new Option(
        '--from <days>',
        'what is compared with: a day in UTC as 2026-11-01, or days as 2026-11-01..2026-11-07',
      )
        .argParser(parseDays)
        .conflicts(['manifest', 'against']),
    )
    .addOption(
      new Option('--to <days>', 'what is compared; default: the latest day').argParser(parseDays).conflicts('now'),
    )
    .addOption(new Option('--manifest <file>', 'compare with the training set of this manifest').conflicts('against'))
    .option('--against <name>', 'compare with a training set that is registered')
    .option('--now', 'compute what is compared now; so do --manifest and --against without --to')
    .option('--max-psi <bound>', 'the greatest index that is no drift', parseBound)
    .option('--max-ks <bound>', 'the greatest statistic that is no drift', parseBound)
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((options: Options) => runCommand(deps, () => run(deps, options), deps.signal));
  return features;
}

function run(deps: DriftCommandDeps, options: Options): Promise<number> {
  return deps.withDrift(async (services) => {
    const views = await chosenViews(services, options);
    const asked = namesOf(views, options);
    const trained = await trainedOn(services, options);
    const names = trained === null || options.feature !== undefined ? asked : asked.filter((name) => trained.has(name));
    const sides =
      trained === null
        ? await twoWindows(services, names, options)
        : await sinceTraining(services, names, options, trained);
    const expected = new Map(views.flatMap(({ expect = {} }) => Object.entries(expect)));
    const { maxPsi, maxKs } = options;
    const found = names.map((name) => {
      const { reference, now } = sides(name);
      return windowDrift(name, reference, now, { maxPsi, maxKs }, expected.get(name));
    });
    if (found.every(({ verdict }) => verdict === 'untold')) throw nothingThere(options);
    const drifted = found.filter(({ verdict }) => verdict === 'drifted').length;
    deps.stdout.write(options.json === true ? jsonText({ drifted, features: found }) : textOf(found, drifted));
    return drifted === 0 ? EXIT_CODES.ok : EXIT_CODES.failed;
  });
}

type Sides = (feature: string) => { readonly reference: TalliedFeature | null; readonly now: TalliedFeature | null };

async function chosenViews(services: DriftCommandServices, { view }: Options): Promise<readonly StoredFeatureView[]> {
  const views = await services.views();
  const chosen = view === undefined ? views : views.filter(({ name }) => name === view);
  if (view === undefined || chosen.length > 0) return chosen;
  throw new WeftError('NOT_FOUND', `there is no view ${view.slice(0, 100)}`, {
    where: '--view',
    hint: nameHint(
      view,
      views.map(({ name }) => name),
      'weft features list shows those that there are',
    ),
  });
}

function namesOf(views: readonly StoredFeatureView[], { feature }: Options): readonly string[] {
  const known = views.flatMap(({ features }) => features.map(({ name }) => name));
  const odd = feature?.find((name) => !known.includes(name));
  if (odd === undefined) return feature ?? known;
  throw new WeftError('NOT_FOUND', `there is no feature ${odd.slice(0, 100)}`, {
    where: '--feature',
    hint: nameHint(odd, known, 'weft features list shows views, and show their features'),
  });
}

/** Null: nothing was asked for that a model was trained on. */
async function trainedOn(
  services: DriftCommandServices,
  { manifest, against }: Options,
): Promise<ReadonlyMap<string, TalliedFeature> | null> {
  if (manifest !== undefined) {
    const text = await readFile(manifest, 'utf8').catch((cause: unknown) => {
      const hint = 'give the .manifest.json that weft export training-set wrote beside the set';
      throw new WeftError('NOT_FOUND', 'the manifest cannot be read', { where: manifest, hint, cause });
    });
    return new Map(readManifestStatistics(text, manifest).features.map((each) => [each.statistics.feature, each]));
  }
  if (against === undefined) return null;
  const found = await services.reference(against);
  if (found.size > 0) return found;
  throw new WeftError('NOT_FOUND', `no training set is registered as ${against.slice(0, 100)}`, {
    where: '--against',
    hint: nameHint(against, await services.references(), 'weft features reference list shows those that there are'),
  });
}

async function sinceTraining(
  services: DriftCommandServices,
  names: readonly string[],
  { to }: Options,
  trained: ReadonlyMap<string, TalliedFeature>,
): Promise<Sides> {
  const now = await (to === undefined ? computed(services, names) : windowOf(services, names, to));
  return (name) => ({ reference: trained.get(name) ?? null, now: now(name) });
}

async function twoWindows(
  services: DriftCommandServices,
  names: readonly string[],
  { from, to, now: isNow }: Options,
): Promise<Sides> {
  const all = byFeature(
    await services.days(names, services.nowMs() - STATISTICS_KEPT_DAYS * STATISTICS_DAY_MS, services.nowMs()),
  );
  const fresh = isNow === true ? await computed(services, names) : null;
  return (name) => {
    const days = all.get(name) ?? [];
    const lastDay = days.at(-1)?.day ?? 0;
    const late = to ?? { fromMs: fresh === null ? lastDay : services.nowMs(), toMs: lastDay };
    const early = from === undefined ? nearest(days, late.fromMs) : within(days, from);
    const now = fresh === null ? mergeDays(within(days, late)) : fresh(name);
    return { reference: mergeDays(early), now };
  };
}

async function computed(
  services: DriftCommandServices,
  names: readonly string[],
): Promise<(name: string) => TalliedFeature | null> {
  const found = new Map((await services.compute(names)).map((each) => [each.statistics.feature, each]));
  return (name) => found.get(name) ?? null;
}

async function windowOf(
  services: DriftCommandServices,
  names: readonly string[],
  { fromMs, toMs }: Days,
): Promise<(name: string) => TalliedFeature | null> {
  const days = byFeature(await services.days(names, fromMs, toMs));
  return (name) => mergeDays(days.get(name) ?? []);
}

function byFeature(days: readonly DayOfFeature[]): Map<string, DayOfFeature[]> {
  const found = new Map<string, DayOfFeature[]>();
  for (const day of days) {
    const { feature } = day.statistics;
    const others = found.get(feature);
    if (others === undefined) found.set(feature, [day]);
    else others.push(day);
  }
  return found;
}

function within(days: readonly DayOfFeature[], { fromMs, toMs }: Days): DayOfFeature[] {
  return days.filter(({ day }) => day >= fromMs && day <= toMs);
}

/** The day a week before, or the one nearest to it. */
function nearest(days: readonly DayOfFeature[], ms: number): DayOfFeature[] {
  const wanted = ms - REFERENCE_AGE_DAYS * STATISTICS_DAY_MS;
  const before = days.filter(({ day }) => day < Math.floor(ms / STATISTICS_DAY_MS) * STATISTICS_DAY_MS);
  return before.sort((a, b) => Math.abs(a.day - wanted) - Math.abs(b.day - wanted)).slice(0, 1);
}

function nothingThere({ manifest, against, from, to }: Options): WeftError {
  const isTraining = manifest !== undefined || against !== undefined;
  return new WeftError('NOT_FOUND', 'there is nothing to compare', {
    hint: isTraining
      ? 'the training set and what is served have no feature in common, or history is still being folded in'
      : from === undefined && to === undefined
        ? 'a worker keeps statistics of each day: there have to be two days'
        : 'days are kept for 60 days, and there have to be some in both windows',
  });
}

function textOf(found: readonly WindowDrift[], drifted: number): string {
  const worst = [...found].sort((a, b) => (b.psi ?? -1) - (a.psi ?? -1));
  const rows = worst.map((each) => [
    each.feature,
    each.verdict,
    number(each.psi),
    number(each.ks),
    number(each.ksP),
    String(each.referenceValues),
    String(each.values),
  ]);
  const table = textTable([['feature', 'verdict', 'psi', 'ks', 'p', 'values before', 'values'], ...rows]);
  return `${table}${drifted === 0 ? 'No feature has' : `${String(drifted)} of ${String(found.length)} features have`} drifted.\n`;
}

function number(value: number | null | undefined): string {
  return value === null || value === undefined ? '-' : String(Number(value.toPrecision(3)));
}

function parseNames(text: string): readonly string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function parseBound(text: string): number {
  const bound = Number(text);
  if (text.trim() !== '' && bound >= 0 && bound <= 100) return bound;
  throw new InvalidArgumentError('Give a number from 0, as 0.25.');
}

/** `2026-11-01` or `2026-11-01..2026-11-07`. @throws InvalidArgumentError */
function parseDays(text: string): Days {
  const [from = '', to = from, ...more] = text.split('..');
  const [fromMs, toMs] = [from, to].map((day) =>
    /^\d{4}-\d\d-\d\d$/.test(day) ? parseInstant(day, { date: 'utc', time: 'utc' }) : Number.NaN,
  ) as [number, number];
  if (more.length === 0 && isInstant(fromMs) && isInstant(toMs) && fromMs <= toMs) return { fromMs, toMs };
  throw new InvalidArgumentError('Give a day in UTC as 2026-11-01, or days as 2026-11-01..2026-11-07.');
}
