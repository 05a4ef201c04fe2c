import { hash } from 'node:crypto';
import { Kind, parse } from 'graphql';
import { WeftError } from '../../platform/errors.js';

/** A GraphQL document that requests may name by its id. */
export interface StoredDocument {
  /** SHA-256 of the text, 64 lower-case hexadecimal digits. */
  readonly id: string;
  /** Its operations, for people. */
  readonly name: string;
  readonly text: string;
  /** Of Weft's own clients: there from the start, and not to be removed. */
  readonly isStandard: boolean;
  /** ms; null for standard documents. */
  readonly createdAt: number | null;
}

export const DOCUMENT_LIMITS = {
  maxDocuments: 1_000,
  /** Of one document, in UTF-16 units. */
  maxTextLength: 32_768,
  /** Stored by one call. */
  maxAtOnce: 200,
} as const;

const ID = /^[0-9a-f]{64}$/;
const PREFIX = 'sha256:';

export function documentId(text: string): string {
  return hash('sha256', text, 'hex');
}

let lastName = '';
let lastId: string | null = null;

/**
 * The id that a text names, with or without `sha256:` before it; null where it names none. Most requests name what the one
 * before them did.
 */
export function parseDocumentId(text: string): string | null {
  if (text === lastName) return lastId;
  const id = (text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text).toLowerCase();
  lastName = text;
  lastId = ID.test(id) ? id : null;
  return lastId;
}

/** The names of a document's operations; `anonymous` where they have none. */
export function documentName(text: string): string {
  try {
    const names = parse(text).definitions.flatMap((node) =>
      node.kind === Kind.OPERATION_DEFINITION && node.name !== undefined ? [node.name.value] : [],
    );
    return names.length === 0 ? 'anonymous' : names.join(', ').slice(0, 200);
  } catch {
    return 'anonymous';
  }
}

/**
 * The documents in a file: one, or those of a manifest, either Apollo's (`format`, `version`, `operations` with `id` and
 * `body`) or an object of texts by id, as Relay's compiler writes it. An id in a manifest has to be the text's SHA-256.
 *
 * @param file how messages call it
 * @throws WeftError BAD_REQUEST for a manifest that is none, or an id that is not its text's
 */
export function parseDocumentFile(text: string, file: string): string[] {
  if (!file.endsWith('.json')) return [text];
  const entries = manifestEntries(text, file);
  for (const [id, body] of entries) {
    if (parseDocumentId(id) === documentId(body)) continue;
    throw new WeftError('BAD_REQUEST', `${id.slice(0, 80)} is not the SHA-256 of its document`, {
      where: file,
      hint: 'let the manifest be generated anew, with SHA-256 of the text as ids, and send documents as they are in it',
    });
  }
  return entries.map(([, body]) => body);
}

function manifestEntries(text: string, file: string): (readonly [id: string, body: string])[] {
  const manifest = jsonOf(text);
  const operations = isRecord(manifest) ? manifest['operations'] : undefined;
  const entries = Array.isArray(operations)
    ? operations.map((operation: unknown) => (isRecord(operation) ? [operation['id'], operation['body']] : []))
    : Object.entries(isRecord(manifest) ? manifest : {});
  const isWhole = entries.length > 0 && entries.every((entry) => entry.length === 2 && entry.every(isText));
  if (isWhole) return entries as [string, string][];
  throw new WeftError('BAD_REQUEST', 'this is no manifest of documents', {
    where: file,
    hint: 'it is JSON: { "operations": [{ "id": …, "body": … }] }, or { "<id>": "<text>" }',
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
