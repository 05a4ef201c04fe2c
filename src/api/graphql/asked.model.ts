import { WeftError } from '../../platform/errors.js';
import { parseDocumentId } from '../documents/stored-document.model.js';

/** A request as it came in; nothing of it is checked yet. */
export interface Asked {
  readonly query?: unknown;
  readonly operationName?: unknown;
  readonly variables?: unknown;
  readonly extensions?: unknown;
  readonly documentId?: unknown;
}

/** What names the document of a request. */
export interface DocumentName {
  readonly id: string;
  readonly where: string;
  /** Whether the client sends the text along when it is told that the name is unknown. */
  readonly isAutomatic: boolean;
}

/** Whether the document is named, rather than sent. */
export function isNamed({ documentId, extensions }: Asked): boolean {
  return (documentId ?? null) !== null || (isRecord(extensions) && (extensions['persistedQuery'] ?? null) !== null);
}

/** Null: it is not named. @throws WeftError BAD_REQUEST for a name that is none */
export function nameOf({ documentId, extensions }: Asked): DocumentName | null {
  if (documentId !== undefined && documentId !== null) return namedBy(documentId, 'documentId', false);
  const persisted = isRecord(extensions) ? extensions['persistedQuery'] : undefined;
  if (persisted === undefined || persisted === null) return null;
  const where = 'extensions.persistedQuery';
  if (!isRecord(persisted) || persisted['version'] !== 1) {
    throw new WeftError('BAD_REQUEST', 'Unsupported persisted query version', {
      where,
      hint: 'send { "version": 1, "sha256Hash": "<hex>" }',
    });
  }
  return namedBy(persisted['sha256Hash'], `${where}.sha256Hash`, true);
}

function namedBy(value: unknown, where: string, isAutomatic: boolean): DocumentName {
  const id = typeof value === 'string' ? parseDocumentId(value) : null;
  if (id !== null) return { id, where, isAutomatic };
  throw new WeftError('BAD_REQUEST', 'this names no document', {
    where,
    hint: 'send the SHA-256 of its text, 64 hexadecimal digits',
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
