import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WeftError } from './platform/errors.js';
import { programArguments } from './platform/program-arguments.js';
import type { ModuleOutcome } from './run-definition-module.js';

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

/** Time that a module has, on a busy machine, too. */
const TIMEOUT_MS = 60_000;

/**
 * Runs a module and gives the document that it exports by default, in the form of a file of definitions. It runs in a
 * process of its own, where what it prints goes to standard error. TypeScript is read where this Node.js does so, by
 * itself (from 22.18 on) or with a loader.
 *
 * @throws WeftError DEFINITION_INVALID for a module that fails, does not end or exports no document
 */
export async function readDefinitionModule(file: string, timeoutMs = TIMEOUT_MS): Promise<string> {
  const outcome = await outcomeOf(file, timeoutMs);
  if ('failure' in outcome) throw failed(file, outcome.failure, outcome.code);
  if (outcome.document !== null) return outcome.document;
  throw new WeftError('DEFINITION_INVALID', 'the module exports no definitions by default', {
    where: file,
    hint: 'write export default { views: […], services: […] }',
  });
}

function outcomeOf(file: string, timeoutMs: number): Promise<ModuleOutcome> {
  const program = programArguments('./run-definition-module', import.meta.url);
  const child = spawn(process.execPath, [...program, pathToFileURL(resolve(file)).href], {
    stdio: ['ignore', 2, 2, 'ipc'],
  });
  const end = (): void => {
    child.kill('SIGKILL');
  };
  return new Promise<ModuleOutcome>((done) => {
    const fail = (failure: string): void => {
      done({ failure, code: null });
    };
    const timer = setTimeout(() => {
      fail(`it was not done within ${String(timeoutMs / 1_000)} s`);
    }, timeoutMs);
    child.once('message', (outcome) => {
      done(outcome as ModuleOutcome);
    });
    child.once('error', (error) => {
      fail(error.message);
    });
    // A message that came before is delivered before this.
    child.once('close', () => {
      clearTimeout(timer);
      fail('it ended before it exported anything');
    });
    process.once('exit', end);
  }).finally(() => {
    process.off('exit', end);
    end();
  });
}

function failed(file: string, failure: string, code: string | null): WeftError {
  const isUnread = code === 'ERR_UNKNOWN_FILE_EXTENSION' && TYPESCRIPT.test(file);
  return new WeftError(
    'DEFINITION_INVALID',
    isUnread ? 'this Node.js reads no TypeScript' : `the module fails: ${failure}`,
    {
      where: file,
      hint: isUnread
        ? 'use Node.js 22.18 or later, set NODE_OPTIONS="--import tsx", or compile it to JavaScript'
        : 'correct it; node runs it by itself, too',
    },
  );
}
