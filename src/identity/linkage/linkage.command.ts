import { Command, InvalidArgumentError, Option } from 'commander';
import { RE2JS } from 're2js';
import { EXIT_CODES, jsonText, runCommand, textTable } from '../../platform/command-line.js';
import { WeftError } from '../../platform/errors.js';
import { refuseExisting, withForce, type ForceOption } from '../../platform/existing-output.js';
import { writeFileAtomically } from '../../platform/write-file-atomically.js';
import {
  breathing,
  noteMissing,
  parseShare,
  progress,
  readModelFile,
  withFiles,
  type FileOptions,
  type LinkageCommandDeps,
} from './command-files.js';
import type { Quality } from './evaluate-clusters.js';
import { evaluateLinkage, type Evaluation } from './evaluate-linkage.js';
import { addLinkCommand, type LinkCommandDeps } from './link.command.js';
import { estimatePairs, MAX_RULE_PAIRS } from './link-records.js';
import type { LinkageModel } from './linkage-model.model.js';
import { missingColumns } from './missing-columns.js';
import {
  inferPersonColumns,
  peopleRecipe,
  PERSON_ROLES,
  type PersonColumns,
  type PersonRole,
} from './people-recipe.js';
import { writeLinkageModel } from './read-linkage-model.js';
import { readRecordFiles, type RecordFiles } from './read-record-files.js';
import { DEFAULT_TRAINING, trainLinkage, type TrainingStep } from './train-linkage.js';

const HELP = `
Records of one person are found by what they have in common and by how rare that is (Fellegi and Sunter). A model is
trained on the records themselves, without knowing who is who. Files are CSV with a header, gzip too. These commands need
no database. A model holds the values that are frequent in the files it was trained on: keep it like them.

Examples:
  weft identity train people.csv --out model.json
  weft identity train crm.csv.gz --column first_name=vorname --column surname=nachname --out model.json
  weft identity train people.csv --settings splink.json --out model.json
  weft identity evaluate people.csv --model model.json --truth person_id
  weft identity evaluate people.csv --model model.json --truth rec_id --truth-pattern 'rec-(\\d+)' --min-f1 0.95 --json

Exit codes: 0 done, 1 failed or below --min-f1, 2 wrong use or a file that is not right, 130 interrupted.`;

/** It holds values of people's records. */
const MODEL_FILE_MODE = 0o600;

interface TrainOptions extends FileOptions, ForceOption {
  readonly settings?: string;
  readonly out: string;
  readonly column?: PersonColumns;
  readonly seed: number;
  readonly pairs: number;
}

interface EvaluateOptions extends FileOptions {
  readonly model: string;
  readonly truth: string;
  readonly truthPattern?: string;
  readonly threshold?: number;
  readonly minF1?: number;
}

/** `weft identity train|evaluate|link`. */
export function linkageCommand(deps: LinkCommandDeps): Command {
  const command = new Command('identity')
    .description('who is who: what people decide, and records of one person that no identifier connects')
    .addHelpText('after', HELP);
  withForce(withFiles(command.command('train').description('train a model on records, without knowing who is who')))
    .option('--settings <json>', 'what to train, ours or Splink’s; default: the recipe for people')
    .requiredOption('--out <json>', 'where the model is written')
    .addOption(
      new Option('--column <role=name>', `a column and its role: ${PERSON_ROLES.join(', ')}`).argParser(parseColumn),
    )
    .addOption(new Option('--seed <n>', 'of the random pairs').argParser(parseCount).default(DEFAULT_TRAINING.seed))
    .addOption(
      new Option('--pairs <n>', 'random pairs to learn from how often strangers agree')
        .argParser(parseCount)
        .default(DEFAULT_TRAINING.maxSampledPairs),
    )
    .action((files: string[], options: TrainOptions) =>
      runCommand(deps, () => train(deps, files, options), deps.signal),
    );
  withFiles(command.command('evaluate').description('link records and compare with who is who'))
    .requiredOption('--model <json>', 'the model, ours or Splink’s')
    .requiredOption('--truth <column>', 'the column that says who a record is of')
    .option('--truth-pattern <regex>', 'what of that column says it: the first group (RE2)')
    .addOption(new Option('--threshold <p>', 'link from this match probability on').argParser(parseShare))
    .addOption(new Option('--min-f1 <f1>', 'end with 1 if the F1 of the clusters is below').argParser(parseShare))
    .action((files: string[], options: EvaluateOptions) =>
      runCommand(deps, () => evaluate(deps, files, options), deps.signal),
    );
  addLinkCommand(command, deps);
  return command;
}

async function train(deps: LinkageCommandDeps, paths: readonly string[], options: TrainOptions): Promise<number> {
  await refuseExisting(options, options.out);
  const tell = progress(deps, options);
  const files = await readRecordFiles(paths, options.id ?? null);
  tell(`${files.records.length} records read`);
  const settings = await settingsFor(files, options);
  noteMissing(missingColumns(settings, files.columns), tell);
  const model = await trainLinkage(settings, files.records, {
    ...DEFAULT_TRAINING,
    seed: options.seed,
    maxSampledPairs: options.pairs,
    onProgress: (step) => {
      tell(stepText(step));
    },
    breathe: breathing(deps.signal),
  });
  const estimates = estimatePairs(model.blockingRules, model, files.records);
  await writeFileAtomically(options.out, writeLinkageModel(model), MODEL_FILE_MODE);
  if (options.json === true) {
    deps.stdout.write(
      jsonText({ version: model.version, prior: model.prior, records: files.records.length, blocking: estimates }),
    );
    return EXIT_CODES.ok;
  }
  const rows = estimates.map(({ rule, pairs, largestBlock }) => [rule, String(pairs), String(largestBlock)]);
  deps.stdout.write(textTable([['blocking rule', 'pairs', 'largest block'], ...rows]));
  deps.stdout.write(`Model ${model.version.slice(0, 12)} written to ${options.out}.\n`);
  for (const { rule, pairs } of estimates) {
    if (pairs > MAX_RULE_PAIRS) deps.stderr.write(`The rule ${rule} makes too many pairs to link these records by.\n`);
  }
  return EXIT_CODES.ok;
}

async function settingsFor({ columns }: RecordFiles, { settings, column = {} }: TrainOptions): Promise<LinkageModel> {
  if (settings !== undefined) return readModelFile(settings);
  const missing = Object.values(column)
    .flat()
    .filter((name) => !columns.includes(name));
  if (missing.length > 0) {
    throw new WeftError('BAD_REQUEST', `there is no column ${missing.join(', ')}`, {
      where: '--column',
      hint: `the files have ${columns.join(', ')}`,
    });
  }
  return peopleRecipe({ ...inferPersonColumns(columns), ...column });
}

async function evaluate(deps: LinkageCommandDeps, paths: readonly string[], options: EvaluateOptions): Promise<number> {
  const tell = progress(deps, options);
  const read = await readModelFile(options.model);
  const { threshold } = options;
  const model = threshold === undefined ? read : { ...read, thresholds: { link: threshold, review: threshold } };
  const files = await readRecordFiles(paths, options.id ?? null);
  const personOf = truthOf(files, options);
  tell(`${files.records.length} records read`);
  noteMissing(missingColumns(model, files.columns), tell);
  const evaluation = await evaluateLinkage(model, files.records, personOf, {
    onProgress: (scored, rule) => {
      tell(`${scored} pairs scored, at ${rule}`);
    },
    breathe: breathing(deps.signal),
  });
  deps.stdout.write(options.json === true ? jsonText(evaluation) : evaluationText(evaluation));
  const { f1 } = evaluation.linked.clusters.pairs;
  if (options.minF1 === undefined || f1 >= options.minF1) return EXIT_CODES.ok;
  deps.stderr.write(`F1 is ${f1.toFixed(4)}, below ${options.minF1}.\n`);
  return EXIT_CODES.failed;
}

function truthOf({ records, columns }: RecordFiles, { truth, truthPattern }: EvaluateOptions): Map<string, string> {
  if (!columns.includes(truth)) {
    throw new WeftError('BAD_REQUEST', `there is no column ${truth}`, {
      where: '--truth',
      hint: `the files have ${columns.join(', ')}`,
    });
  }
  const personIn = truthPattern === undefined ? (value: string) => value : firstGroup(truthPattern);
  const personOf = new Map<string, string>();
  for (const { id, values } of records) {
    const value = values[truth];
    const person = typeof value === 'string' ? personIn(value) : null;
    if (person !== null) personOf.set(id, person);
  }
  return personOf;
}

function firstGroup(pattern: string): (value: string) => string | null {
  try {
    const compiled = RE2JS.compile(pattern);
    if (compiled.groupCount() < 1) throw new Error('no group');
    return (value) => {
      const matcher = compiled.matcher(value);
      return matcher.find() ? matcher.group(1) : null;
    };
  } catch (error) {
    throw new WeftError('BAD_REQUEST', 'it is no pattern of RE2 with a group', {
      where: '--truth-pattern',
      hint: "write one such as 'rec-(\\d+)'",
      cause: error,
    });
  }
}

function stepText(step: TrainingStep): string {
  switch (step.kind) {
    case 'prior':
      return `${step.pairs} certain pairs: one pair in ${Math.round(1 / step.prior)} is of one person`;
    case 'u':
      return `${step.pairs} random pairs compared`;
    case 'pass':
      return `learnt from ${step.pairs} pairs of ${step.rule}, ${step.iterations} iterations`;
    case 'skipped':
      return `nothing learnt from ${step.rule}: ${step.reason}`;
  }
}

function evaluationText({ records, pairs, rules, blockingRecall, linked, thresholds }: Evaluation): string {
  const { clusters } = linked;
  const summary = [
    ['', 'precision', 'recall', 'F1'],
    ['pairs of clusters', ...qualityCells(clusters.pairs)],
    ['B-cubed', ...qualityCells(clusters.bCubed)],
    ['links alone', ...qualityCells(linked.links)],
  ];
  const table = thresholds.map(({ threshold, links, clusters: { pairs: together, exactClusters } }) => [
    String(threshold),
    ...qualityCells(links),
    ...qualityCells(together),
    exactClusters.toFixed(4),
  ]);
  return [
    `${records} records of ${clusters.people} people in ${clusters.clusters} clusters, ${pairs} pairs scored\n`,
    `linked from ${linked.threshold} on; ${percent(clusters.exactClusters)} of the people are exactly one cluster\n\n`,
    textTable(summary),
    `\nblocking finds ${percent(blockingRecall)} of the pairs of one person\n\n`,
    textTable([
      ['rule', 'new pairs', 'recall'],
      ...rules.map(({ rule, pairs: made, recall }) => [rule, String(made), recall.toFixed(4)]),
    ]),
    '\n',
    textTable([['from', 'links: precision', 'recall', 'F1', 'clusters: precision', 'recall', 'F1', 'exact'], ...table]),
  ].join('');
}

function qualityCells({ precision, recall, f1 }: Quality): string[] {
  return [precision.toFixed(4), recall.toFixed(4), f1.toFixed(4)];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function parseColumn(text: string, before: PersonColumns = {}): PersonColumns {
  const at = text.indexOf('=');
  const role = PERSON_ROLES.find((each): each is PersonRole => each === text.slice(0, at));
  if (role === undefined || at === text.length - 1) {
    throw new InvalidArgumentError(`Write role=name; roles are ${PERSON_ROLES.join(', ')}.`);
  }
  return { ...before, [role]: [...(before[role] ?? []), text.slice(at + 1)] };
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d{1,9}$/.test(text) || count < 1) throw new InvalidArgumentError('Write a whole number from 1 to 999999999.');
  return count;
}
