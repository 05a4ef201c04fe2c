/**
 * Writes the rows to cluster customers by. Run from the repository's root:
 *
 *     npx tsx seeds/labels-rfm.ts --out rfm-labels.csv [--time-shift-ms 0] [--data seeds/data]
 *
 * `--time-shift-ms` is the shift that the orders were loaded with.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { formatLabels, rfmRows } from './label-rows.js';
import { readOrders } from './source-data.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'rfm-labels.csv' },
    'time-shift-ms': { type: 'string', default: '0' },
    data: { type: 'string', default: 'seeds/data' },
  },
});
const orders = await readOrders(join(values.data, 'online-retail.csv.gz'));
const rows = rfmRows(orders.customers, orders.lastInvoiceAt);
await writeFile(values.out, formatLabels(rows, Number(values['time-shift-ms'])));
process.stdout.write(`${values.out}: ${String(rows.length)} rows\n`);
