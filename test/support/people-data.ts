import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';
import type { LinkageRecord } from '../../src/identity/linkage/linkage-model.model.js';

/** Records of a file in seeds/data; empty cells are missing values. */
export function readPeople(file: string, idColumn: string): LinkageRecord[] {
  const bytes = gunzipSync(readFileSync(new URL(`../../seeds/data/${file}`, import.meta.url)));
  const rows: Record<string, string>[] = parse(bytes, { columns: true, trim: true, cast: (value) => value });
  return rows.map((row) => ({
    id: row[idColumn] ?? '',
    values: Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value === '' ? null : value])),
  }));
}
