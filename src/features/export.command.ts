import type { DamagedRows } from '../events/damaged-rows.model.js';
import { basename, extname } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_CODES, jsonText, runCommand } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { ExportProgress, grouped } from './export-progress.js';
import { addLabelsCommand, exportLabels, type LabelsCommandDeps } from './export-labels.command.js';
import { damageNote } from './damage-note.js';
import { manifestPathOf } from './hashed-file.js';
import { makeTrainingSet, type TrainingSetListener, type TrainingSets } from './make-training-set.js';
import { addLabelOptions, labelRequest, parseNames, type LabelOptions } from './label-options.js';
import { addSplitOptions, splitSpec, splitText, type SplitOptions } from './split-options.js';
import { formatOf, type TrainingSetManifest } from './training-set-file.js';
import type { LabelsSummary, ParseTime } from './training-set-labels.js';
import { CONSENTS_AS_OF, type ConsentAsOf, type KnownAsOf, type TrainingSetPlan } from './training-set.model.js';
import type { TrainingSetProgress } from './training-set.service.js';

export interface ExportCommandDeps extends LabelsCommandDeps {
  /** Starts what an export needs, for as long as `use` runs. */
  withTrainingSets<T>(use: (sets: TrainingSets) => Promise<T>): Promise<T>;
  /** Rows that are kept at a time, to go on with after a kill; default 20,000. */
  readonly keptBlockRows?: number;
}

interface ExportOptions extends LabelOptions, SplitOptions {
  readonly restart?: true;
  readonly labels?: string;
  readonly labelEvent?: readonly string[];
  readonly out: string;
  readonly service?: string;
  readonly features?: readonly string[];
  readonly knownAsOf: KnownAsOf;
  readonly consentAsOf: ConsentAsOf;
  readonly quiet?: true;
  readonly json?: true;
}

const HELP = `
The labels are CSV with the header ns,value,time,label and any others: who, as of when (ISO 8601, or ms since 1970),
and what came of it. What on-demand features read of a request is in columns of its names. Each row comes out with the features of that person as of that time, and <out>.manifest.json
says what they rest on.

With --label-event the labels are made from what people did next (see weft export labels --help), and kept as
<out>.labels.csv.

Examples:
  weft export training-set --labels intent.csv --service purchase_intent_v1 --out intent.parquet
  weft export training-set --label-event order_completed --within 7d --service purchase_intent_v1 --out intent.parquet

Exit codes: 0 done, 1 failed, 2 wrong use or labels, 130 interrupted. Unless it is 0 nothing is left behind but,
of more than 20,000 rows, those that are done in <out>.kept: the same command goes on with them within a day.`;

/** `weft export training-set`. */
export function exportCommand(deps: ExportCommandDeps): Command {
  const trainingSet = new Command('training-set')
    .description('export features as of each row of a labels file, as CSV or Parquet')
    .option('-l, --labels <csv>', 'who and as of when; .gz too')
    .addOption(
      new Option('--label-event <names>', 'make the labels, as weft export labels --event does, beside the set')
        .argParser(parseNames)
        .conflicts('labels'),
    )
    .requiredOption('-o, --out <file>', 'the file to write: .csv or .parquet')
    .option('-s, --service <name>', 'the feature service whose features to export')
    .addOption(new Option('-f, --features <names>', 'further features, separated by commas').argParser(parseNames))
    .addOption(
      new Option(
        '--known-as-of <time>',
        'what may be known: now, event-time (for each row what was known at its own time), or an ISO 8601 time',
      )
        .default('now' satisfies KnownAsOf)
        .argParser((text) => parseKnownAsOf(text, deps.parseTime)),
    )
    .addOption(
      new Option(
        '--consent-as-of <when>',
        'by when people have to allow what features need: now (at the time of the row, and now), or time (only then)',
      )
        .choices(CONSENTS_AS_OF)
        .default('now' satisfies ConsentAsOf),
    )
    .option('--restart', 'begin anew, whatever a run that was killed has kept of the same export')
    .option('--quiet', 'no progress')
    .option('--json', 'the manifest as JSON')
    .addHelpText('after', HELP)
    .action((options: ExportOptions) => runCommand(deps, () => runExport(deps, options), deps.signal));
  addLabelOptions(trainingSet, deps.parseTime);
  addSplitOptions(trainingSet);
  const exported = new Command('export').description('export data for use elsewhere').addCommand(trainingSet);
  addLabelsCommand(exported, deps);
  return exported;
}

async function runExport(deps: ExportCommandDeps, options: ExportOptions): Promise<number> {
  const { out, service, features, knownAsOf, consentAsOf } = options;
  formatOf(out);
  const startedAt = deps.clock.now();
  const labels = await labelsFile(deps, options);
  const told = new ToldProgress(deps, options.quiet !== true);
  const order = { labels, out, service, features, knownAsOf, consentAsOf, split: splitSpec(options) };
  const { parseTime, signal, keptBlockRows } = deps;
  const parts = { parseTime, signal, keptBlockRows, now: () => deps.clock.now() };
  try {
    const manifest = await deps.withTrainingSets((sets) =>
      makeTrainingSet(sets, { ...order, isAnew: options.restart === true }, parts, told),
    );
    told.stop();
    const seconds = (deps.clock.now() - startedAt) / 1_000;
    deps.stdout.write(options.json === true ? jsonText(manifest) : describe(out, manifest, seconds, told.last));
    return EXIT_CODES.ok;
  } finally {
    told.stop();
  }
}

/** How an export goes, on standard error. */
class ToldProgress implements TrainingSetListener {
  readonly #deps: ExportCommandDeps;
  readonly #isTold: boolean;
  #view: ExportProgress | null = null;
  last: TrainingSetProgress | null = null;

  constructor(deps: ExportCommandDeps, isTold: boolean) {
    this.#deps = deps;
    this.#isTold = isTold;
  }

  onLabels({ rows }: LabelsSummary): void {
    if (this.#isTold) this.#view = new ExportProgress(this.#deps, rows, 'rows');
  }

  onPlan({ waitingEvents }: TrainingSetPlan): void {
    if (waitingEvents === 0) return;
    this.#view?.note(`${grouped(waitingEvents)} accepted events are not applied yet and left out`);
  }

  onKept(rows: number): void {
    this.#view?.goOn(rows);
  }

  onProgress(progress: TrainingSetProgress): void {
    this.last = progress;
    this.#view?.update(progress.rows, progress.events);
  }

  onFailed(keptRows: number): void {
    this.stop();
    if (keptRows === 0) return;
    this.#deps.stderr.write(`note: ${grouped(keptRows)} rows are kept for a day: the same command goes on with them\n`);
  }

  onWritten(damaged: DamagedRows): void {
    const note = damageNote(damaged);
    this.stop();
    if (note !== null) this.#deps.stderr.write(note);
  }

  stop(): void {
    this.#view?.stop();
  }
}

/** The labels that are given, or those that are made beside the set. */
async function labelsFile(deps: ExportCommandDeps, options: ExportOptions): Promise<string> {
  const { labels, labelEvent, out, knownAsOf, quiet } = options;
  if (labels !== undefined) return labels;
  if (labelEvent === undefined) {
    throw new WeftError('BAD_REQUEST', 'nothing says who and as of when', {
      where: 'labels',
      hint: 'give --labels a CSV file with the header ns,value,time,label, or --label-event the event to come',
    });
  }
  const path = `${out.slice(0, -extname(out).length)}.labels.csv`;
  const request = { ...labelRequest(labelEvent, options), ...(typeof knownAsOf === 'number' ? { knownAsOf } : {}) };
  const { rows, positiveRows } = await exportLabels(deps, path, request, quiet !== true);
  deps.stderr.write(`note: ${basename(path)} has ${grouped(rows)} labels, ${grouped(positiveRows)} of them 1\n`);
  return path;
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

function parseKnownAsOf(text: string, parseTime: ParseTime): KnownAsOf {
  if (text === 'now' || text === 'event-time') return text;
  const ms = parseTime(text);
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError('Write now, event-time, or an ISO 8601 time such as 2026-01-31T12:00:00Z.');
  }
  return ms;
}
