import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { WeftError } from '../platform/errors.js';

const MAX_FILES = 10_000;
const WILDCARDS = /[*?]/;

/**
 * The files that arguments of a command name, in the order of the arguments, each once; those of a pattern in the order
 * of their names. `*` and `?` stand for characters of one name, `**` for any folders; hidden files are left out. An
 * argument that is the name of a file is that file, whatever characters it has.
 * @throws WeftError BAD_REQUEST where a pattern fits no file, or too many
 */
export async function expandFiles(patterns: readonly string[]): Promise<string[]> {
  const files = new Set<string>();
  for (const pattern of patterns) {
    const isPattern = WILDCARDS.test(pattern) && !(await isThere(pattern));
    for (const file of isPattern ? await matching(pattern) : [pattern]) files.add(file);
    if (files.size > MAX_FILES) throw tooMany(pattern);
  }
  return [...files];
}

/** Whether arguments may name several files. */
export function mayBeSeveral(patterns: readonly string[]): boolean {
  return patterns.length > 1 || patterns.some((pattern) => WILDCARDS.test(pattern));
}

async function isThere(path: string): Promise<boolean> {
  return (await kindOf(path)) !== null;
}

async function kindOf(path: string): Promise<'file' | 'folder' | null> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch {
    return null;
  }
}

async function matching(pattern: string): Promise<string[]> {
  const segments = pattern.split('/').filter((segment, i) => segment !== '' || i === 0);
  const isAbsolute = segments[0] === '';
  const found: string[] = [];
  await collect(isAbsolute ? '/' : '', isAbsolute ? segments.slice(1) : segments, found, pattern);
  if (found.length > 0) return found.sort();
  throw new WeftError('BAD_REQUEST', 'no file fits the pattern', {
    where: pattern,
    hint: '* and ? stand for characters of a name, ** for folders; it is read from the folder in which the command runs',
  });
}

/** Appends the files beneath a folder that the segments fit; `''` is the current folder. */
async function collect(folder: string, segments: readonly string[], found: string[], pattern: string): Promise<void> {
  const [segment = '', ...rest] = segments;
  if (segment === '**') await collect(folder, rest.length === 0 ? ['*'] : rest, found, pattern);
  if (!WILDCARDS.test(segment)) return visit(join(folder, segment), rest, found, pattern);
  const fits = segment === '**' ? (): boolean => true : nameMatcher(segment);
  for (const entry of await namesIn(folder)) {
    if (entry.startsWith('.') || !fits(entry)) continue;
    const path = join(folder, entry);
    if (segment !== '**') await visit(path, rest, found, pattern);
    else if ((await kindOf(path)) === 'folder') await collect(path, segments, found, pattern);
  }
}

async function visit(path: string, rest: readonly string[], found: string[], pattern: string): Promise<void> {
  const kind = await kindOf(path);
  if (rest.length > 0) {
    if (kind === 'folder') await collect(path, rest, found, pattern);
    return;
  }
  if (kind === 'file') found.push(path);
  if (found.length > MAX_FILES) throw tooMany(pattern);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder === '' ? '.' : folder);
  } catch {
    return [];
  }
}

/** One name; without a regular expression, whose backtracking has no bound. */
function nameMatcher(pattern: string): (name: string) => boolean {
  const parts = pattern.split('*');
  return (name) => {
    let at = 0;
    for (const [i, part] of parts.entries()) {
      const isLast = i === parts.length - 1;
      const from = i === 0 ? 0 : isLast ? Math.max(at, name.length - part.length) : find(name, part, at);
      if (from < at || !fitsAt(name, part, from)) return false;
      at = from + part.length;
    }
    return at === name.length;
  };
}

function find(name: string, part: string, from: number): number {
  for (let at = from; at + part.length <= name.length; at++) if (fitsAt(name, part, at)) return at;
  return -1;
}

function fitsAt(name: string, part: string, at: number): boolean {
  if (at < 0 || at + part.length > name.length) return false;
  for (let i = 0; i < part.length; i++) if (part[i] !== '?' && part[i] !== name[at + i]) return false;
  return true;
}

function tooMany(pattern: string): WeftError {
  return new WeftError('BAD_REQUEST', `more than ${String(MAX_FILES)} files`, {
    where: pattern,
    hint: 'load them in several commands',
  });
}
