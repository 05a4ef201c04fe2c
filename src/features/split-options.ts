import { InvalidArgumentError, Option, type Command } from 'commander';
import { grouped } from './export-progress.js';
import { MAX_SEED, parseWithin, wholeNumber } from './label-options.js';
import { SPLITS, type SplitRatios, type SplitSpec } from './split.model.js';
import type { SplitManifest } from './training-set-file.js';

/** What is written of how rows are parted. */
export interface SplitOptions {
  readonly split?: SplitSpec['by'];
  readonly splitRatios: SplitRatios;
  readonly splitSeed: number;
  readonly horizon?: number;
  /** Whether labels are made, and how far they look then, ms. */
  readonly labelEvent?: readonly string[];
  readonly within: number;
}

const WAYS: readonly SplitSpec['by'][] = ['time', 'profile'];
const DEFAULT_RATIOS: SplitRatios = [70, 15, 15];

export function addSplitOptions(command: Command): void {
  command
    .addOption(
      new Option(
        '--split <by>',
        'a column split (train, validation, test) by time, or by profile: nobody on two sides, labels alike on all',
      ).choices(WAYS),
    )
    .addOption(
      new Option('--split-ratios <percents>', 'percent of train, validation and test')
        .default(DEFAULT_RATIOS, DEFAULT_RATIOS.join('/'))
        .argParser(parseRatios),
    )
    .option('--split-seed <n>', 'another number parts profiles otherwise', wholeNumber(0, MAX_SEED), 1)
    .option(
      '--horizon <duration>',
      'by time: how far after its time a label looks; rows that look into a later part are in none (default: --within)',
      parseWithin,
    );
}

/** Null: rows are not parted. */
export function splitSpec(options: SplitOptions): SplitSpec | null {
  const { split, splitRatios: ratios, splitSeed: seed, horizon, labelEvent, within } = options;
  if (split === undefined) return null;
  if (split === 'profile') return { by: split, ratios, seed };
  return { by: split, ratios, horizonMs: horizon ?? (labelEvent === undefined ? 0 : within) };
}

/** `3,410 train, 730 validation, 731 test by profile`. */
export function splitText({ by, rows, embargoedRows }: SplitManifest): string {
  const parts = SPLITS.map((part) => `${grouped(rows[part])} ${part}`).join(', ');
  return `${parts} by ${by}${embargoedRows === 0 ? '' : `; ${grouped(embargoedRows)} in none`}`;
}

function parseRatios(text: string): SplitRatios {
  const percents = text.split('/').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : NaN));
  const [train = NaN, validation = NaN, test = NaN] = percents;
  if (percents.length !== 3 || train + validation + test !== 100) {
    throw new InvalidArgumentError('Write three whole percents that are 100 together, as in 70/15/15.');
  }
  return [train, validation, test];
}
