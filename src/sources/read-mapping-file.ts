import { readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';

import { unreadableFile } from '../platform/file-errors.js';
import { MAPPING_LIMITS, type Mapping } from './mapping.model.js';
import { parseMapping } from './parse-mapping.js';

/** A mapping with the tables that it names by path from its folder. @throws WeftError where it cannot be read */
export async function readMappingFile(path: string): Promise<Mapping> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw unreadableFile('the mapping', path, error);
  }
  return parseMapping(text, basename(path), (table) => readTable(resolve(dirname(path), table)));
}

function readTable(path: string): string {
  if (statSync(path).size > MAPPING_LIMITS.maxFileBytes) throw new Error('it is too large');
  return readFileSync(path, 'utf8');
}
