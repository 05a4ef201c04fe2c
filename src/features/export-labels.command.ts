import { basename } from 'node:path';
import { Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { refuseExisting, withForce, type ForceOption } from '../platform/existing-output.js';
import { damageNote } from './damage-note.js';
import { ExportProgress, grouped, type ExportProgressParts } from './export-progress.js';
import { manifestPathOf } from './hashed-file.js';
import { checkLabelPath, writeLabels, type LabelManifest, type MadeFor } from './label-file.js';
import {
  addLabelOptions,
  labelRequest,
  parseNames,
  parseTimeOption,
  segmentLabelRequest,
  type LabelOptions,
} from './label-options.js';
import type { LabelRequest, LabelsKnownAsOf, LabelService } from './label.service.js';
import type { ParseTime } from './training-set-labels.js';

export interface LabelsCommandDeps extends CommandIo, ExportProgressParts {
  /** Starts what labels need, for as long as `use` runs. */
  withLabels<T>(use: (service: Pick<LabelService, 'makeLabels'>) => Promise<T>): Promise<T>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly stderr: ExportProgressParts['stderr'];
  readonly parseTime: ParseTime;
}

interface Options extends LabelOptions, ForceOption {
  readonly event?: readonly string[];
  readonly segment?: string;
  readonly out: string;
  readonly knownAsOf: LabelsKnownAsOf;
  readonly quiet?: true;
  readonly json?: true;
}

const HELP = `
For everybody, instants are drawn from a range; the label is 1 where an event that matches came within the time after the
instant, else 0. Who had no event up to an instant is not asked about it, and an instant whose time was not over by the last
event that is known is left out; both are counted. The same data, seed and range give the same file. With --segment the label is 1
where the person was in the segment at the instant, as it is defined now, by their events up to then.

Examples:
  weft export labels --event order_completed --within 7d --out labels.csv
  weft export labels --event order_completed --where 'properties.total > 50' --samples 5 --seed 2 \\
    --from 2026-01-01 --to 2026-06-30 --out labels.csv
  weft export labels --segment big_spenders --samples 3 --out tags.csv
  weft export training-set --labels labels.csv --service purchase_intent_v1 --out intent.parquet

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. Nothing is left behind unless it is 0.`;

/** `weft export labels`. */
export function addLabelsCommand(exported: Command, deps: LabelsCommandDeps): void {
  const command = exported
    .command('labels')
    .description('make the labels of a training set from what people did next, or from a segment, as CSV')
    .option('-e, --event <names>', 'the event to come, by name; several, separated by commas: any', parseNames)
    .addOption(
      new Option('--segment <key>', 'instead of an event: whether they were in this segment').conflicts([
        'event',
        'where',
        'within',
      ]),
    )
    .requiredOption('-o, --out <file>', 'the CSV file to write');
  addLabelOptions(command, deps.parseTime);
  withForce(command)
    .addOption(
      new Option('--known-as-of <time>', 'what may be known: now, or what was at an ISO 8601 time')
        .default('now' satisfies LabelsKnownAsOf)
        .argParser((text) => (text === 'now' ? text : parseTimeOption(text, deps.parseTime))),
    )
    .option('--quiet', 'no progress')
    .option('--json', 'the manifest as JSON')
    .addHelpText('after', HELP)
    .action((options: Options) => runCommand(deps, () => run(deps, options), deps.signal));
}

async function run(deps: LabelsCommandDeps, options: Options): Promise<number> {
  const { out, knownAsOf, quiet, json } = options;
  checkLabelPath(out);
  await refuseExisting(options, out);
  const startedAt = deps.clock.now();
  const request = { ...requestOf(options), knownAsOf };
  const manifest = await exportLabels(deps, out, request, { isTold: quiet !== true });
  const seconds = (deps.clock.now() - startedAt) / 1_000;
  deps.stdout.write(json === true ? jsonText(manifest) : describe(out, manifest, seconds));
  return EXIT_CODES.ok;
}

function requestOf(options: Options): LabelRequest {
  const { event, segment } = options;
  if (segment !== undefined) return segmentLabelRequest(segment, options);
  if (event !== undefined) return labelRequest(event, options);
  throw new WeftError('BAD_REQUEST', 'nothing says what the label is', {
    where: 'event',
    hint: 'give --event the event to come, or --segment the segment that people were in',
  });
}

/**
 * Makes labels and writes them, with progress and notes on standard error.
 * @param madeFor the training set that they are for alone; default: none
 */
export async function exportLabels(
  deps: LabelsCommandDeps,
  out: string,
  request: LabelRequest,
  { isTold, madeFor }: { readonly isTold: boolean; readonly madeFor?: MadeFor },
): Promise<LabelManifest> {
  return deps.withLabels(async (labels) => {
    let view: ExportProgress | null = null;
    try {
      const { signal } = deps;
      const set = await labels.makeLabels({
        ...request,
        signal,
        onProgress: ({ people, events }) => view?.update(people, events),
      });
      view = isTold ? new ExportProgress(deps, set.plan.profiles, 'people') : null;
      const manifest = await writeLabels(out, set, { nowMs: deps.clock.now(), madeFor });
      view?.stop();
      const damage = damageNote(set.damaged);
      if (damage !== null) deps.stderr.write(damage);
      return manifest;
    } finally {
      view?.stop();
    }
  });
}

function describe(out: string, manifest: LabelManifest, seconds: number): string {
  const { rows, positiveRows, beforeFirstEvent, unfinished, from, to, observedUntil } = manifest;
  const share = rows === 0 ? '' : ` (${((100 * positiveRows) / rows).toFixed(1)} %)`;
  const lines = [
    `Wrote ${basename(out)}.`,
    `  rows         ${grouped(rows)}`,
    `  positive     ${grouped(positiveRows)}${share}`,
    `  left out     ${grouped(beforeFirstEvent)} before the first event of the person, ${grouped(unfinished)} whose time is not over`,
    `  drawn from   ${from} to ${to}`,
    `  observed to  ${observedUntil}`,
    `  manifest     ${basename(manifestPathOf(out))}`,
    `  took         ${seconds.toFixed(1)} s`,
  ];
  return `${lines.join('\n')}\n`;
}
