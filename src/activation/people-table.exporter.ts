import type { Uuid } from '../platform/ids.js';
import type { ExportedRowStore } from './exported-rows.store.js';
import { type ExportRun } from './exported-rows.store.js';
import { changesOf, rowHash, type TableChanges, type TablePage } from './people-table.model.js';

/** Where a table goes. */
export interface TableTarget {
  /** Whether what was written is there for good as soon as `write` resolves; else only once all is. */
  readonly isDurable: boolean;
  write(changes: TableChanges): Promise<void>;
}

export interface TableExport {
  /** Under which what is exported is remembered; null: it is not. */
  readonly name: string | null;
  /** Of what the table is to be. */
  readonly specHash: string;
  /** Only what differs from what was exported last. */
  readonly onlyChanges: boolean;
  readonly pages: AsyncIterable<TablePage>;
  readonly target: TableTarget;
  readonly signal?: AbortSignal;
  readonly onProgress?: (profiles: number) => void;
}

export interface TableCounts {
  /** Rows that were written; of an export of changes: those that are new or changed. */
  rows: number;
  removed: number;
  /** Rows that are as they were exported before. */
  unchanged: number;
  withheld: number;
}

export interface ExportedTable extends TableCounts {
  /** When the export before it ended, ms; null: there was none, or it has no name. */
  readonly since: number | null;
  /** To be called once what was written is there. */
  readonly confirm: (nowMs: number) => Promise<void>;
}

/**
 * Exports a table of people, whole or by what changed since it was exported last under its name.
 *
 * What changed is found by comparing each row with a hash of what was exported, not by following events: values change
 * with time alone, too, and a row goes when a person is erased, merged, leaves a segment or withdraws a consent.
 *
 * A row counts as exported once its target has it: where that is durable page by page, an export that was stopped goes
 * on with what is missing; else its rows count once all are there.
 */
export class PeopleTableExporter {
  constructor(private readonly store: ExportedRowStore) {}

  /** @throws WeftError CONFLICT where the table was another one under its name, and only changes are asked for */
  async run(request: TableExport): Promise<ExportedTable> {
    const { name, specHash, onlyChanges, pages, target, signal, onProgress } = request;
    const run = name === null ? null : await this.store.begin(name, specHash, !onlyChanges);
    const counts: TableCounts = { rows: 0, removed: 0, unchanged: 0, withheld: 0 };
    let after: Uuid | null = null;
    let profiles = 0;
    for await (const page of pages) {
      signal?.throwIfAborted();
      const before = run === null ? NOTHING : await this.store.between(run, after, page.upTo);
      const changes = changesOf(page.rows, before);
      const written = onlyChanges ? changes : { ...changes, changed: page.rows };
      if (written.changed.length + written.removed.length > 0) await target.write(written);
      if (run !== null) await this.#note(run, changes, target.isDurable);
      counts.rows += written.changed.length;
      counts.removed += changes.removed.length;
      counts.unchanged += page.rows.length - changes.changed.length;
      counts.withheld += page.withheld;
      profiles += page.profiles;
      onProgress?.(profiles);
      after = page.upTo;
    }
    return {
      ...counts,
      since: run?.confirmedAt ?? null,
      confirm: async (nowMs) => {
        if (run !== null) await this.store.confirm(run, nowMs);
      },
    };
  }

  #note(run: ExportRun, { changed, removed }: TableChanges, isThere: boolean): Promise<void> {
    const rows = [
      ...changed.map((row) => ({ profileId: row.profileId, hash: rowHash(row) })),
      ...removed.map((profileId) => ({ profileId, hash: null })),
    ];
    return this.store.put(run, rows, isThere);
  }
}

const NOTHING: ReadonlyMap<Uuid, Buffer> = new Map();
