/**
 * Writes the labels file for the purchase-intent model. Run from the repository's root:
 *
 *     npx tsx seeds/labels-purchase-intent.ts --out intent-labels.csv [--time-shift-ms 0] [--data seeds/data]
 *
 * `--time-shift-ms` is the shift that the web source was loaded with.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { formatLabels, intentLabels } from './label-rows.js';
import { readClicks, readCsvGz } from './source-data.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'intent-labels.csv' },
    'time-shift-ms': { type: 'string', default: '0' },
    data: { type: 'string', default: 'seeds/data' },
  },
});
const cookieBySession = new Map<string, string>();
await readCsvGz(join(values.data, 'web-events.csv.gz'), (cells) => cookieBySession.set(cells[4] ?? '', cells[5] ?? ''));
const rows = intentLabels(await readClicks(join(values.data, 'ecom.csv.gz')), cookieBySession);
await writeFile(values.out, formatLabels(rows, Number(values['time-shift-ms'])));
const bought = rows.filter((row) => row.label === 1).length;
process.stdout.write(`${values.out}: ${String(rows.length)} rows, ${String(bought)} followed by a purchase\n`);
