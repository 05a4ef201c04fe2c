import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import { PROFILE_ENTITY } from '../features/entity.model.js';
import type { StoredStatistics } from '../features/feature-statistics.model.js';

export interface StatisticsCommandServices {
  /** Names of all features. */
  names(): Promise<readonly string[]>;
  /** As the standing job computed them last; null: not yet. */
  latest(feature: string): Promise<StoredStatistics | null>;
  /** As of now, from a sample of people or items; null: history is still being folded in. */
  compute(feature: string): Promise<StoredStatistics | null>;
}

export interface StatisticsCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withStatistics<T>(use: (services: StatisticsCommandServices) => Promise<T>): Promise<T>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

interface Options {
  readonly now?: true;
  readonly json?: true;
}

const BAR_WIDTH = 40;

const HELP = `
Values are those of everybody, or of ten thousand people chosen by hash; of features of another entity, of its items. A worker computes them every hour; --now does so
at once and keeps nothing. Of features that look personal, and where fewer than 5 people or items have a value, none is told.

Examples:
  weft features stats orders_60d
  weft features stats orders_60d --now
  weft features stats last_category --json

Exit codes: 0 done, 1 failed (no such feature, nothing computed yet), 2 wrong use, 130 interrupted.`;

/** Adds `weft features stats`. */
export function addStatisticsCommand(features: Command, deps: StatisticsCommandDeps): Command {
  features
    .command('stats <name>')
    .description('how values of a feature are spread over people, or over items')
    .option('--now', 'compute them now')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((name: string, options: Options) => runCommand(deps, () => run(deps, name, options), deps.signal));
  return features;
}

function run(deps: StatisticsCommandDeps, name: string, { now, json }: Options): Promise<number> {
  return deps.withStatistics(async (services) => {
    const names = await services.names();
    if (!names.includes(name)) {
      throw new WeftError('NOT_FOUND', `there is no feature ${name.slice(0, 100)}`, {
        hint: nameHint(name, names, 'weft features list shows views, and show their features'),
      });
    }
    const found = now === true ? await services.compute(name) : await services.latest(name);
    if (found === null) {
      throw new WeftError('NOT_FOUND', `there are no statistics of ${name} yet`, {
        hint: now === true ? 'history is still being folded in: ask again later' : 'give --now to compute them at once',
      });
    }
    deps.stdout.write(json === true ? jsonText(found) : textOf(found));
    return EXIT_CODES.ok;
  });
}

function textOf(found: StoredStatistics): string {
  const { feature, entity, profiles, nulls, numbers, topValues, distinct, approximate, computedAt } = found;
  const whose = entity === PROFILE_ENTITY ? 'people' : 'items';
  const rows = [
    [whose, String(profiles)],
    ['without a value', `${String(nulls)} (${share(nulls, profiles)})`],
    ['different values', String(distinct)],
    ...(approximate === 0 ? [] : [['estimates', String(approximate)]]),
    ...(found.newestEventAt === null ? [] : [['newest event', new Date(found.newestEventAt).toISOString()]]),
    ...(found.medianAgeMs === null ? [] : [['median age', `${rounded(found.medianAgeMs / 3_600_000)} h`]]),
    ...(numbers === null
      ? []
      : [
          ...(['min', 'max', 'mean', 'stddev'] as const).map((key) => [key, rounded(numbers[key])]),
          ...numbers.quantiles.map(({ p, value }) => [`p${rounded(p * 100)}`, rounded(value)]),
        ]),
  ];
  const filled = (numbers?.histogram ?? []).filter(({ count }) => count > 0);
  const most = Math.max(1, ...filled.map(({ count }) => count));
  const bars = filled.map(({ from, to, count }) => [
    `${rounded(from)} … ${rounded(to)}`,
    String(count),
    '#'.repeat(Math.ceil((count / most) * BAR_WIDTH)),
  ]);
  const top = topValues.map(({ value, count }) => [value, String(count)]);
  return [
    `${feature}, as of ${new Date(computedAt).toISOString()}\n`,
    textTable(rows),
    ...(bars.length === 0 ? [] : ['\n', textTable([['from … to', whose, ''], ...bars])]),
    ...(top.length === 0 ? [] : ['\n', textTable([['value', whose], ...top])]),
  ].join('');
}

function share(part: number, whole: number): string {
  return whole === 0 ? '0 %' : `${((100 * part) / whole).toFixed(1)} %`;
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(6)));
}
