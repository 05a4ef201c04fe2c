import { InvalidArgumentError, Option, type Command } from 'commander';
import { stringify } from 'yaml';
import { IMPUTE_STATISTICS, type ImputeStatistic } from './feature.model.js';
import { imputationsOf, type FoundStatistic, type StatisticChoice } from './impute-statistics.js';

/** What is written of missing values. */
export interface ImputeOptions {
  readonly imputed?: true;
  readonly imputeOut?: string;
  readonly imputeBy: StatisticChoice;
}

const DEFAULT_CHOICE: StatisticChoice = { others: 'median', byFeature: new Map() };

export function addImputeOptions(command: Command): void {
  command
    .option('--impute-out <yaml>', 'also write what may stand for missing values, of train rows, for a feature service')
    .addOption(
      new Option(
        '--impute-by <statistics>',
        `${IMPUTE_STATISTICS.join(', ')}, or of some features as in mean,credit=median; of texts always the last`,
      )
        .default(DEFAULT_CHOICE, DEFAULT_CHOICE.others)
        .argParser(parseChoice),
    )
    .option('--imputed', 'give missing values what the service imputes, and name them in a column imputed_features');
}

/** `median`, `credit=mean`, or both. @throws InvalidArgumentError */
export function parseChoice(text: string): StatisticChoice {
  let others = DEFAULT_CHOICE.others;
  const byFeature = new Map<string, ImputeStatistic>();
  for (const part of text.split(',').map((each) => each.trim())) {
    const [name = '', written] = part.includes('=') ? part.split('=', 2) : ['', part];
    const statistic = IMPUTE_STATISTICS.find((known) => known === (written ?? '').trim());
    if (statistic === undefined) {
      throw new InvalidArgumentError(
        `Write ${IMPUTE_STATISTICS.join(', ')}, of some features as in mean,credit=median.`,
      );
    }
    if (name === '') others = statistic;
    else byFeature.set(name.trim(), statistic);
  }
  return { others, byFeature };
}

/**
 * What a service may have as it stands, with what the values are of.
 * @param of SHA-256 of the manifest of their training set, in hex
 */
export function imputeYaml(
  found: readonly FoundStatistic[],
  {
    file,
    of,
    rows,
    isSplit,
  }: { readonly file: string; readonly of: string; readonly rows: number; readonly isSplit: boolean },
): string {
  const none = found.filter(({ imputation }) => imputation === null).map(({ feature }) => feature);
  const bounded = found.filter(({ uncounted }) => uncounted > 0);
  const lines = [
    `# Of ${String(rows)} ${isSplit ? 'train ' : ''}rows of ${file}. Put it in the feature service.`,
    ...(none.length === 0 ? [] : [`# No value that can be told: ${none.join(', ')}`]),
    ...(bounded.length === 0
      ? []
      : [
          `# Not of all values, as more would have to be held (values left out): ${bounded.map(({ feature, uncounted }) => `${feature} (${String(uncounted)})`).join(', ')}`,
        ]),
  ];
  return `${lines.join('\n')}\n${stringify({ impute: imputationsOf(found, of) }, { lineWidth: 0 })}`;
}
