import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WeftError } from './platform/errors.js';

/** Modules in a folder are run only where their name says that they are meant for it: `orders.weft.ts`. */
const IN_FOLDERS = /\.weft\.m?[jt]s$/;
const MODULE = /\.m?[jt]s$/;
const TYPESCRIPT = /\.m?ts$/;

export function isModule(file: string): boolean {
  return MODULE.test(file);
}

export function isModuleOfFolder(file: string): boolean {
  return IN_FOLDERS.test(file);
}

/**
 * Runs a module and gives the document that it exports by default, in the form of a file of definitions. TypeScript is
 * read where this Node.js does so, by itself (from 22.18 on) or with a loader.
 *
 * @throws WeftError DEFINITION_INVALID for a module that fails or exports no document
 */
export async function readDefinitionModule(file: string): Promise<string> {
  const document = (await imported(file)).default;
  if (typeof document === 'object' && document !== null && !Array.isArray(document)) {
    return JSON.stringify(document, null, 2);
  }
  throw new WeftError('DEFINITION_INVALID', 'the module exports no definitions by default', {
    where: file,
    hint: 'write export default { views: […], services: […] }',
  });
}

async function imported(file: string): Promise<{ readonly default?: unknown }> {
  try {
    return (await import(pathToFileURL(resolve(file)).href)) as { readonly default?: unknown };
  } catch (error) {
    const isUnread = (error as { readonly code?: unknown }).code === 'ERR_UNKNOWN_FILE_EXTENSION';
    const message = error instanceof Error ? error.message : String(error);
    throw new WeftError(
      'DEFINITION_INVALID',
      isUnread && TYPESCRIPT.test(file) ? 'this Node.js reads no TypeScript' : `the module fails: ${message}`,
      {
        where: file,
        hint: isUnread
          ? 'use Node.js 22.18 or later, set NODE_OPTIONS="--import tsx", or compile it to JavaScript'
          : 'correct it; node runs it by itself, too',
        cause: error,
      },
    );
  }
}
