/**
 * Writes the generated part of the demo's data beside the real part. Run from the repository's root:
 *
 *     npx tsx seeds/generate-overlay.ts [folder, default seeds/data]
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { buildOverlay, gzipText } from './build-overlay.js';
import { readClicks, readOrders } from './source-data.js';

const folder = process.argv[2] ?? 'seeds/data';
const [orders, clicks] = await Promise.all([
  readOrders(join(folder, 'online-retail.csv.gz')),
  readClicks(join(folder, 'ecom.csv.gz')),
]);
const overlay = buildOverlay(orders, clicks);
const files = {
  'crm-customers.csv.gz': overlay.crmCsv,
  'web-events.csv.gz': overlay.webCsv,
  'social-interactions.jsonl.gz': overlay.socialJsonLines,
  'truth.csv.gz': overlay.truthCsv,
};
for (const [name, text] of Object.entries(files)) {
  const bytes = gzipText(text);
  await writeFile(join(folder, name), bytes);
  process.stdout.write(`${name}: ${String(text.split('\n').length - 1)} lines, ${String(bytes.length)} bytes\n`);
}
process.stdout.write(`${JSON.stringify(overlay.counts)}\n`);
