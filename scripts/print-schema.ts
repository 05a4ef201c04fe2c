import { writeFile } from 'node:fs/promises';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { buildApiSchema } from '../src/api/graphql/build-schema.js';

export const SCHEMA_FILE = new URL('../schema/schema.graphql', import.meta.url);

/** The schema as it is committed: sorted, so that moving code does not show. */
export function schemaText(): string {
  return `${printSchema(lexicographicSortSchema(buildApiSchema()))}\n`;
}

if (import.meta.url === `file://${process.argv[1] ?? ''}`) {
  await writeFile(SCHEMA_FILE, schemaText());
}
