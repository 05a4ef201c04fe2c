import type { DamagedRows } from '../events/damaged-rows.model.js';
import { rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { Command, Option } from 'commander';
import { EXIT_CODES, runCommand } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { refuseExisting, withForce } from '../platform/existing-output.js';
import { writeFileAtomically } from '../platform/write-file-atomically.js';
import { ExportProgress, grouped } from './export-progress.js';
import { addTableCommands, type TableCommandDeps } from './export-table.command.js';
import { addLabelsCommand } from './export-labels.command.js';
import type { ItemHistoryCounts } from './item-histories.js';
import { damageNote } from './damage-note.js';
import { manifestPathOf, manifestText, sha256Of } from './hashed-file.js';
import { hasKeptRows } from './kept-rows.js';
import { makeTrainingSet, type TrainingSetListener, type TrainingSetOrder } from './make-training-set.js';
import { addLabelOptions, parseNames } from './label-options.js';
import { labelsOfExport, type LabelsOfExportDeps, type LabelsOfExportOptions } from './labels-of-export.js';
import { addImputeOptions, imputeYaml, type ImputeOptions } from './impute-options.js';
import { ImputeStatistics, type StatisticChoice } from './impute-statistics.js';
import { addSplitOptions, splitSpec, splitText, type SplitOptions } from './split-options.js';
import { formatOf, type TrainingSetManifest } from './training-set-file.js';
import { orderOfManifest } from './reproduce-order.js';
import { addSetOptions, type SetOptions } from './set-options.js';
import type { LabelsSummary, OpenLabels } from './training-set-labels.js';
import type { Splitter } from './split.model.js';
import type { TrainingSetPlan, WrittenRow } from './training-set.model.js';
import type { TrainingSetProgress } from './training-set-request.model.js';

export interface ExportCommandDeps extends LabelsOfExportDeps, TableCommandDeps {
  /** What reads labels of other formats than CSV. */
  readonly openLabels: OpenLabels;
  /** Rows that are kept at a time, to go on with after a kill; default 20,000. */
  readonly keptBlockRows?: number;
}

interface ExportOptions extends SetOptions, LabelsOfExportOptions, SplitOptions, ImputeOptions {
  readonly reproduce?: string;
  readonly service?: string;
  readonly features?: readonly string[];
  readonly json?: true;
}

/** What a manifest says already. */
const OWN_OPTIONS = [
  'labelEvent',
  'labelQuery',
  'service',
  'features',
  'knownAsOf',
  'consentAsOf',
  'maxAge',
  'fullNames',
  'split',
  'imputed',
];
/** Of a set that was made again, and is another. */
const DIFFERS = 3;

const HELP = `
The labels are CSV, JSON lines or Parquet with the columns ns,value,time,label and any others: who, as of when (ISO 8601, or
ms since 1970), and what came of it. What on-demand features read of a request is in columns of its names. Each row comes out with the features of that person as of that time, and <out>.manifest.json
says what they rest on.

With --label-event the labels are made from what people did next (see weft export labels --help), and kept as
<out>.labels.csv. With --label-query a database answers them: the file holds "from" as in the mapping of a load (postgres,
bigquery or snowflake, with the query), and "zone" where times name none. The answer is kept as <out>.labels.csv.

Examples:
  weft export training-set --labels intent.csv --service purchase_intent_v1 --out intent.parquet
  weft export training-set --label-event order_completed --within 7d --service purchase_intent_v1 --out intent.parquet
  weft export training-set --label-query orders.yaml --service purchase_intent_v1 --out intent.parquet
  weft export training-set --labels intent.csv --service purchase_intent_v1 --split time --impute-out impute.yaml --out intent.csv
  weft export training-set --reproduce intent.parquet.manifest.json --labels intent.csv --out again.parquet

Exit codes: 0 done, 1 failed, 2 wrong use or labels, 3 made again and not the same, 130 interrupted. Unless it is 0 or 3
nothing is left behind but, of more than 20,000 rows, those that are done in <out>.kept: the same command goes on with them
within a day, unless somebody is erased meanwhile or features need a consent.`;

/** `weft export training-set`. */
export function exportCommand(deps: ExportCommandDeps): Command {
  const trainingSet = new Command('training-set')
    .description('export features as of each row of a labels file, as CSV or Parquet')
    .option('-l, --labels <file>', 'who and as of when: .csv, .jsonl or .parquet; .gz and .zst too')
    .addOption(
      new Option('--label-event <names>', 'make the labels, as weft export labels --event does, beside the set')
        .argParser(parseNames)
        .conflicts('labels'),
    )
    .addOption(
      new Option('--label-query <yaml>', 'ask a database for the labels, and keep them beside the set').conflicts([
        'labels',
        'labelEvent',
      ]),
    )
    .requiredOption('-o, --out <file>', 'the file to write: .csv or .parquet')
    .option('-s, --service <name>', 'the feature service whose features to export')
    .addOption(new Option('-f, --features <names>', 'further features, separated by commas').argParser(parseNames))
    .addOption(
      new Option(
        '--reproduce <manifest>',
        'make the set of this manifest again, of the same labels, and tell whether it is the same',
      ).conflicts(OWN_OPTIONS),
    )
    .option('--restart', 'begin anew, whatever a run that was killed has kept of the same export')
    .option('--quiet', 'no progress')
    .option('--json', 'the manifest as JSON')
    .addHelpText('after', HELP)
    .action((options: ExportOptions) => runCommand(deps, () => runExport(deps, options), deps.signal));
  withForce(trainingSet);
  addSetOptions(trainingSet, deps.parseTime);
  addLabelOptions(trainingSet, deps.parseTime);
  addSplitOptions(trainingSet);
  addImputeOptions(trainingSet);
  const exported = new Command('export').description('export data for use elsewhere').addCommand(trainingSet);
  addLabelsCommand(exported, deps);
  addTableCommands(exported, deps);
  return exported;
}

async function runExport(deps: ExportCommandDeps, options: ExportOptions): Promise<number> {
  const { out, reproduce, labels } = options;
  formatOf(out);
  if (labels !== undefined && (await isSameFile(labels, out))) throw overLabels(out);
  await refuseExisting(options, out, ...(options.imputeOut === undefined ? [] : [options.imputeOut]));
  const startedAt = deps.clock.now();
  const { parseTime, openLabels, signal, keptBlockRows } = deps;
  const again = reproduce === undefined ? null : await orderOfManifest(reproduce, { labels, out, parseTime });
  await checkSelection(deps, options);
  const order = again?.order ?? (await writtenOrder(deps, options));
  const told = new ToldProgress(
    deps,
    options.quiet !== true,
    options.imputeOut === undefined ? null : options.imputeBy,
  );
  const parts = { parseTime, openLabels, signal, keptBlockRows, now: () => deps.clock.now() };
  try {
    const manifest = await deps.withTrainingSets((sets) =>
      makeTrainingSet(sets, { ...order, isAnew: options.restart === true }, parts, told),
    );
    told.stop();
    await writeImputed(options, told.statistics, manifest);
    const seconds = (deps.clock.now() - startedAt) / 1_000;
    deps.stdout.write(options.json === true ? manifestText(manifest) : describe(out, manifest, seconds, told.last));
    if (again === null) return EXIT_CODES.ok;
    deps.stderr.write(`${comparison(again.manifest, manifest)}\n`);
    return again.manifest.sha256 === manifest.sha256 ? EXIT_CODES.ok : DIFFERS;
  } catch (error) {
    // What a query answered, or was made of events, is there for the set alone.
    const areForSet = labels === undefined && again === null;
    if (areForSet && !(await isFinishedOrKept(out))) {
      await Promise.all([order.labels, manifestPathOf(order.labels)].map((path) => rm(path, { force: true })));
    }
    throw error;
  } finally {
    told.stop();
  }
}

async function isFinishedOrKept(out: string): Promise<boolean> {
  return (await stat(manifestPathOf(out)).catch(() => null)) !== null || (await hasKeptRows(out));
}

/**
 * So that no database is asked for labels of a set that cannot be, and none are made that would replace others.
 * @throws WeftError as `exportTrainingSet`
 */
async function checkSelection(
  deps: ExportCommandDeps,
  {
    labelQuery,
    labelEvent,
    service,
    features,
    knownAsOf,
    consentAsOf,
    maxAge: maxAges,
    imputed,
    imputeOut,
  }: ExportOptions,
): Promise<void> {
  if (labelQuery === undefined && labelEvent === undefined) return;
  const imputeFolder = imputeOut === undefined ? null : await stat(dirname(imputeOut)).catch(() => null);
  if (imputeOut !== undefined && imputeFolder?.isDirectory() !== true) {
    const hint = 'give --impute-out a path in a folder that exists';
    throw new WeftError('BAD_REQUEST', 'the file cannot be written', { where: imputeOut, hint });
  }
  const selected = { ...(service === undefined ? {} : { service }), ...(features === undefined ? {} : { features }) };
  try {
    await deps.withTrainingSets((sets) =>
      sets.exportTrainingSet({
        ...selected,
        labels: [],
        knownAsOf,
        consentAsOf,
        isImputed: imputed === true,
        ...(maxAges === undefined ? {} : { maxAges }),
      }),
    );
  } catch (error) {
    // The columns of the labels are not known yet: what is said of these is said once they are.
    if (!(error instanceof WeftError) || error.where !== 'labels') throw error;
  }
}

async function writtenOrder(deps: ExportCommandDeps, options: ExportOptions): Promise<TrainingSetOrder> {
  const { out, service, features, knownAsOf, consentAsOf, maxAge: maxAges, fullNames, imputed } = options;
  return {
    ...(await labelsOfExport(deps, options)),
    ...{ out, service, features, knownAsOf, consentAsOf, maxAges },
    fullNames: fullNames === true,
    isImputed: imputed === true,
    split: splitSpec(options),
  };
}

/** What may stand for missing values, as the set has just shown. */
async function writeImputed(
  { out, imputeOut }: ExportOptions,
  statistics: ImputeStatistics | null,
  { file, split }: TrainingSetManifest,
): Promise<void> {
  if (statistics === null || imputeOut === undefined) return;
  const of = await sha256Of(manifestPathOf(out));
  const shown = { file, of, rows: statistics.rows, isSplit: split !== null };
  await writeFileAtomically(imputeOut, imputeYaml(statistics.found(), shown), 0o644).catch((cause: unknown) => {
    const hint = 'give --impute-out a path in a folder that exists and may be written to';
    throw new WeftError('BAD_REQUEST', 'the file cannot be written; the training set is', {
      where: imputeOut,
      hint,
      cause,
    });
  });
}

/** Whether a set that was made again is the same, and if not, what may be why. */
function comparison(former: TrainingSetManifest, made: TrainingSetManifest): string {
  if (former.sha256 === made.sha256) return `The same as ${former.file}, to the byte.`;
  const counts = ['rows', 'notFoundRows', 'invalidRows', 'withheldRows', 'damagedEvents'] as const;
  const others = counts.filter((name) => former[name] !== made[name]);
  const told = others.map((name) => `${name} ${grouped(made[name])} instead of ${grouped(former[name])}`);
  const learned =
    former.knownAsOf === 'now'
      ? 'who is whom may have been learned since: a set that is known as of an instant is without that'
      : 'events may have been erased, taken back or removed since';
  return `Not the same as ${former.file}${told.length === 0 ? '' : `: ${told.join(', ')}`}; ${learned}.`;
}

/** How an export goes, on standard error. */
class ToldProgress implements TrainingSetListener {
  readonly #deps: ExportCommandDeps;
  readonly #isTold: boolean;
  readonly #imputeBy: StatisticChoice | null;
  #view: ExportProgress | null = null;
  last: TrainingSetProgress | null = null;
  /** Null: none are asked for. */
  statistics: ImputeStatistics | null = null;

  constructor(deps: ExportCommandDeps, isTold: boolean, imputeBy: StatisticChoice | null) {
    this.#deps = deps;
    this.#isTold = isTold;
    this.#imputeBy = imputeBy;
  }

  onLabels({ rows }: LabelsSummary): void {
    if (this.#isTold) this.#view = new ExportProgress(this.#deps, rows, 'rows');
  }

  onPlan({ features, waitingEvents }: TrainingSetPlan, splitter: Splitter | null): void {
    if (this.#imputeBy !== null) this.statistics = new ImputeStatistics(features, this.#imputeBy, splitter);
    if (waitingEvents === 0) return;
    this.#view?.note(`${grouped(waitingEvents)} accepted events are not applied yet and left out`);
  }

  onRow(row: WrittenRow): void {
    this.statistics?.add(row);
  }

  onKept(rows: number): void {
    this.#view?.goOn(rows);
  }

  onProgress(progress: TrainingSetProgress): void {
    this.last = progress;
    this.#view?.update(progress.rows, progress.events);
  }

  onAnew(): void {
    this.last = null;
    this.#view?.beginAnew('people were erased meanwhile');
  }

  onFailed(keptRows: number): void {
    this.stop();
    if (keptRows === 0) return;
    this.#deps.stderr.write(`note: ${grouped(keptRows)} rows are kept for a day: the same command goes on with them\n`);
  }

  onWritten(damaged: DamagedRows, histories: ItemHistoryCounts | null): void {
    this.stop();
    for (const note of [damageNote(damaged), histories === null ? null : historiesNote(histories)]) {
      if (note !== null) this.#deps.stderr.write(note);
    }
  }

  stop(): void {
    this.#view?.stop();
  }
}

/** Why a set that names items took longer than others; null: each history was read once. */
function historiesNote({ hits, misses, tooLong, dropped }: ItemHistoryCounts): string | null {
  if (tooLong + dropped === 0) return null;
  const why = `${grouped(tooLong)} as they are too long to be kept, ${grouped(dropped)} gave way to others`;
  return `note: histories of items were read ${grouped(misses)} times, and ${grouped(hits)} times were at hand: ${why}\n`;
}

/** By whatever path, or link. */
async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((path) => stat(path).catch(() => null)));
  if (a == null || b == null) return false;
  return a.ino === b.ino && a.dev === b.dev;
}

function overLabels(out: string): WeftError {
  return new WeftError('BAD_REQUEST', 'the training set would be written over its labels', {
    where: out,
    hint: 'give --out another file',
  });
}

function describe(
  out: string,
  manifest: TrainingSetManifest,
  seconds: number,
  progress: TrainingSetProgress | null,
): string {
  const { rows, features, service, notFoundRows, invalidRows, withheldRows } = manifest;
  const rate = seconds > 0 ? `, ${grouped(Math.round(rows / seconds))} rows/s` : '';
  const future = progress === null || progress.future === 0 ? [] : [`${grouped(progress.future)} lie in the future`];
  const odd = [
    ...(notFoundRows > 0 ? [`${grouped(notFoundRows)} of nobody known`] : []),
    ...(invalidRows > 0 ? [`${grouped(invalidRows)} with an identifier that cannot be used`] : []),
    ...(withheldRows > 0 ? [`${grouped(withheldRows)} without features that were not allowed`] : []),
    ...future,
  ];
  const lines = [
    `Wrote ${basename(out)}.`,
    `  rows        ${grouped(rows)}${odd.length === 0 ? '' : ` (${odd.join(', ')})`}`,
    `  features    ${String(features.length)}${service === null ? '' : ` of ${service.name} version ${String(service.version)}`}`,
    `  known as of ${manifest.knownAsOf}`,
    ...(manifest.split === null ? [] : [`  split       ${splitText(manifest.split)}`]),
    `  manifest    ${basename(manifestPathOf(out))}`,
    `  took        ${seconds.toFixed(1)} s${progress === null ? '' : ` over ${grouped(progress.events)} events`}${rate}`,
  ];
  return `${lines.join('\n')}\n`;
}
