import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../../platform/command-line.js';
import { WeftError } from '../../platform/errors.js';
import { parseDocumentFile } from './stored-document.model.js';
import type { CheckedDocument, StoredDocumentService } from './stored-document.service.js';

export interface DocumentsCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withDocuments<T>(
    use: (documents: Pick<StoredDocumentService, 'list' | 'store' | 'remove'>) => Promise<T>,
  ): Promise<T>;
}

interface Options {
  readonly json?: true;
}

const MAX_FILE_BYTES = 16 * 1_024 * 1_024;

const HELP = `
Requests may name a stored document by its id, the SHA-256 of its text. Edge keys, which sit in browsers, may ask by stored
documents only; so may all keys but those of admins where WEFT_STORED_DOCUMENTS_ONLY is true. A document is stored to the
last character, white space included, because that is what clients hash. The documents of Weft's own clients are there.

Examples:
  weft documents add page.graphql
  weft documents add persisted-query-manifest.json
  weft documents list
  weft documents remove sha256:5f9a…

Exit codes: 0 done, 1 failed (no such file or document), 2 wrong use, or a document that is not valid.`;

/** `weft documents add|list|remove`. */
export function documentsCommand(deps: DocumentsCommandDeps): Command {
  const command = new Command('documents').description('store the GraphQL documents that pages may ask by');
  command.addHelpText('after', HELP);
  command
    .command('add <file...>')
    .description('store documents: files of GraphQL, or manifests as JSON; all or none')
    .option('--json', 'the documents as JSON')
    .action((files: string[], options: Options) => runCommand(deps, () => add(deps, files, options)));
  command
    .command('list')
    .description('all stored documents, and what is wrong with those that the schema broke')
    .option('--json', 'as JSON, with their texts')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  command
    .command('remove <id>')
    .description('remove a document: pages that ask by it are refused')
    .action((id: string) => runCommand(deps, () => remove(deps, id)));
  return command;
}

async function add(deps: DocumentsCommandDeps, files: readonly string[], options: Options): Promise<number> {
  const texts = (await Promise.all(files.map(readDocuments))).flat();
  return deps.withDocuments(async (documents) => {
    const stored = await documents.store(texts);
    if (options.json === true) deps.stdout.write(jsonText(stored.map(toJson)));
    else deps.stdout.write(stored.map(({ id, name }) => `Stored ${name}: sha256:${id}\n`).join(''));
    return EXIT_CODES.ok;
  });
}

async function list(deps: DocumentsCommandDeps, options: Options): Promise<number> {
  return deps.withDocuments(async (documents) => {
    const all = await documents.list();
    if (options.json === true) {
      deps.stdout.write(jsonText(all.map(toJson)));
      return EXIT_CODES.ok;
    }
    const rows = all.map((each) => [`sha256:${each.id}`, storedText(each), each.name]);
    deps.stdout.write(textTable([['id', 'stored', 'name'], ...rows]));
    for (const { name, problem } of all) {
      if (problem !== null) deps.stderr.write(`warning: ${name} cannot be executed any more: ${problem}\n`);
    }
    return EXIT_CODES.ok;
  });
}

async function remove(deps: DocumentsCommandDeps, id: string): Promise<number> {
  return deps.withDocuments(async (documents) => {
    await documents.remove(id);
    deps.stdout.write(`Document ${id} is removed.\n`);
    return EXIT_CODES.ok;
  });
}

async function readDocuments(path: string): Promise<string[]> {
  try {
    if ((await stat(path)).size > MAX_FILE_BYTES) {
      throw new WeftError('PAYLOAD_TOO_LARGE', 'the file is too large', {
        where: path,
        hint: `at most ${String(MAX_FILE_BYTES)} bytes are taken`,
      });
    }
    return parseDocumentFile(await readFile(path, 'utf8'), basename(path));
  } catch (error) {
    if (error instanceof WeftError) throw error;
    const hint = 'name files of GraphQL, or manifests whose names end with .json';
    throw new WeftError('NOT_FOUND', 'there is no such file that can be read', { where: path, hint, cause: error });
  }
}

function storedText({ createdAt }: CheckedDocument): string {
  return createdAt === null ? 'from the start' : new Date(createdAt).toISOString().slice(0, 16).replace('T', ' ');
}

function toJson({ id, name, text, isStandard, createdAt, problem }: CheckedDocument): unknown {
  const time = createdAt === null ? null : new Date(createdAt).toISOString();
  return { id, name, text, isStandard, createdAt: time, problem };
}
