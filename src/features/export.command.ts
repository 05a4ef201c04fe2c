import { basename } from 'node:path';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Clock } from '../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { formatOf, manifestPathOf, writeTrainingSet, type TrainingSetManifest } from './training-set-file.js';
import { summariseLabels, readLabels, type ParseTime } from './training-set-labels.js';
import { CONSENTS_AS_OF, type ConsentAsOf, type KnownAsOf } from './training-set.model.js';
import type { TrainingSet, TrainingSetProgress, TrainingSetService } from './training-set.service.js';

export interface ExportCommandDeps extends CommandIo {
  /** Starts what an export needs, for as long as `use` runs. */
  withTrainingSets<T>(use: (service: Pick<TrainingSetService, 'exportTrainingSet'>) => Promise<T>): Promise<T>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly stderr: CommandIo['stderr'] & NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly parseTime: ParseTime;
}

interface ExportOptions {
  readonly labels: string;
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
and what came of it. Each row comes out with the features of that person as of that time, and <out>.manifest.json
says what they rest on.

Example:
  weft export training-set --labels intent.csv --service purchase_intent_v1 --out intent.parquet

Exit codes: 0 done, 1 failed, 2 wrong use or labels, 130 interrupted. Nothing is left behind unless it is 0.`;

/** `weft export training-set`. */
export function exportCommand(deps: ExportCommandDeps): Command {
  const trainingSet = new Command('training-set')
    .description('export features as of each row of a labels file, as CSV or Parquet')
    .requiredOption('-l, --labels <csv>', 'who and as of when; .gz too')
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
    .option('--quiet', 'no progress')
    .option('--json', 'the manifest as JSON')
    .addHelpText('after', HELP)
    .action((options: ExportOptions) => runCommand(deps, () => runExport(deps, options), deps.signal));
  return new Command('export').description('export data for use elsewhere').addCommand(trainingSet);
}

async function runExport(deps: ExportCommandDeps, options: ExportOptions): Promise<number> {
  const { labels, out, service, features, knownAsOf, consentAsOf } = options;
  formatOf(out);
  const startedAt = deps.clock.now();
  const times = { parseTime: deps.parseTime, nowMs: startedAt };
  const summary = await summariseLabels(labels, times);
  const view = options.quiet === true ? null : new ExportProgress(deps, summary.rows);
  try {
    const manifest = await deps.withTrainingSets(async (sets) => {
      const set = await sets.exportTrainingSet({
        labels: readLabels(labels, times),
        ...(service === undefined ? undefined : { service }),
        ...(features === undefined ? undefined : { features }),
        knownAsOf,
        consentAsOf,
        signal: deps.signal,
        onProgress: (progress) => view?.update(progress),
      });
      const { waitingEvents } = set.plan;
      if (waitingEvents > 0) view?.note(`${grouped(waitingEvents)} accepted events are not applied yet and left out`);
      const written = await writeTrainingSet(out, set, summary.passed, deps.clock.now());
      const damage = damageNote(set.damaged);
      if (damage !== null) {
        view?.stop();
        deps.stderr.write(damage);
      }
      return written;
    });
    view?.stop();
    const seconds = (deps.clock.now() - startedAt) / 1_000;
    deps.stdout.write(
      options.json === true ? jsonText(manifest) : describe(out, manifest, seconds, view?.last ?? null),
    );
    return EXIT_CODES.ok;
  } finally {
    view?.stop();
  }
}

function damageNote({ count, first }: TrainingSet['damaged']): string | null {
  if (first === null) return null;
  const place = `position ${String(first.pos)}, partition ${String(first.part)}`;
  const events = count === 1 ? 'event of the log cannot be read and is' : 'events of the log cannot be read and are';
  return `note: ${grouped(count)} ${events} left out, the first at ${place}\n`;
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
    `  manifest    ${basename(manifestPathOf(out))}`,
    `  took        ${seconds.toFixed(1)} s${progress === null ? '' : ` over ${grouped(progress.events)} events`}${rate}`,
  ];
  return `${lines.join('\n')}\n`;
}

const LINE_EVERY_MS = 5_000;

/** A bar on a terminal, else a line every 5 s. */
class ExportProgress {
  last: TrainingSetProgress | null = null;
  readonly #deps: ExportCommandDeps;
  readonly #totalRows: number;
  readonly #startedAt: number;
  readonly #bar: SingleBar | null;
  #nextLineAt: number;

  constructor(deps: ExportCommandDeps, totalRows: number) {
    this.#deps = deps;
    this.#totalRows = totalRows;
    this.#startedAt = deps.clock.now();
    this.#nextLineAt = this.#startedAt + LINE_EVERY_MS;
    const { stderr: stream } = deps;
    const format = '{bar} {percentage}%  {value} of {total} rows{text}';
    const options = { format, stream, barsize: 30, hideCursor: true, clearOnComplete: true, fps: 5 };
    this.#bar = stream.isTTY === true ? new SingleBar(options) : null;
    this.#bar?.start(totalRows, 0, { text: '' });
  }

  update(progress: TrainingSetProgress): void {
    this.last = progress;
    const now = this.#deps.clock.now();
    const elapsedMs = now - this.#startedAt;
    const leftMs = (elapsedMs * (this.#totalRows - progress.rows)) / progress.rows;
    const text = `, ${grouped(progress.events)} events, ${String(Math.ceil(leftMs / 1_000))} s left`;
    this.#bar?.update(progress.rows, { text });
    if (this.#bar !== null || now < this.#nextLineAt) return;
    this.#nextLineAt = now + LINE_EVERY_MS;
    this.#deps.stderr.write(`${grouped(progress.rows)} of ${grouped(this.#totalRows)} rows${text}\n`);
  }

  note(text: string): void {
    this.#deps.stderr.write(`note: ${text}\n`);
  }

  stop(): void {
    this.#bar?.stop();
  }
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Separate the names by one comma each, as in views_1h,spend.');
  return names;
}

function parseKnownAsOf(text: string, parseTime: ParseTime): KnownAsOf {
  if (text === 'now' || text === 'event-time') return text;
  const ms = parseTime(text);
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError('Write now, event-time, or an ISO 8601 time such as 2026-01-31T12:00:00Z.');
  }
  return ms;
}
