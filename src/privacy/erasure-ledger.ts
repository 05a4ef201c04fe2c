import { open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import { makeFolder } from '../platform/make-folder.js';

/** A line of the ledger: that somebody was erased. Names nobody to whoever has not the installation's secret. */
export interface LedgerEntry {
  readonly erasureId: Uuid;
  readonly requestedAt: number;
  readonly reason: string;
  readonly actor: string;
  readonly suppressed: readonly { readonly ns: string; readonly hash: Buffer }[];
}

interface Line {
  readonly erasure: Uuid;
  readonly requestedAt: string;
  readonly reason: string;
  readonly actor: string;
  readonly suppressed: readonly (readonly [ns: string, hash: string])[];
}

/**
 * The record of erasures that lives outside the database, so that a restored backup can be told whom to forget again: a
 * file of JSON lines, appended to and never changed. A line may come twice.
 */
export class ErasureLedger {
  constructor(readonly path: string) {}

  /** Durable when it resolves. @throws the error of the file system */
  async append({ erasureId, requestedAt, reason, actor, suppressed }: LedgerEntry): Promise<void> {
    const line: Line = {
      erasure: erasureId,
      requestedAt: new Date(requestedAt).toISOString(),
      reason,
      actor,
      suppressed: suppressed.map(({ ns, hash }) => [ns, hash.toString('base64url')]),
    };
    await makeFolder(dirname(this.path));
    const file = await open(this.path, 'a', 0o600);
    try {
      // On a line of its own also behind one that a crash cut short.
      await file.write(`\n${JSON.stringify(line)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Every entry, the eldest first; what a crash cut short is passed over. @throws WeftError NOT_FOUND */
  async read(): Promise<LedgerEntry[]> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new WeftError('NOT_FOUND', 'there is no ledger of erasures', {
        where: this.path,
        hint: 'it is in the data folder of the process that applied the events; name it with --ledger',
      });
    }
    return text.split('\n').flatMap((line) => parse(line) ?? []);
  }
}

function parse(text: string): LedgerEntry | null {
  try {
    const line = JSON.parse(text) as Line;
    return {
      erasureId: line.erasure,
      requestedAt: Date.parse(line.requestedAt),
      reason: line.reason,
      actor: line.actor,
      suppressed: line.suppressed.map(([ns, hash]) => ({ ns, hash: Buffer.from(hash, 'base64url') })),
    };
  } catch {
    return null;
  }
}
