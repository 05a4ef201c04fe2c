import type { AcceptResult } from './events/event.model.js';
import type { ListCounts, ListService, NamedIdentifier, RunningChange } from './profiles/list.service.js';
import type { ReadListRow } from './read-list-rows.js';
import { retryUnavailable } from './sources/retry-unavailable.js';
import type { RowFeed } from './sources/row.model.js';

/** A row that was not taken, by what is wrong with it; never by what it says. */
export interface RefusedListRow {
  /** As in `SourceRow.number`. */
  readonly number: number;
  readonly reason: string;
}

export interface ListUpload {
  readonly change: RunningChange;
  readonly feed: RowFeed;
  readonly read: ReadListRow;
  readonly onRefused: (row: RefusedListRow) => void;
  readonly onProgress: (progress: { readonly rows: number; readonly bytesRead: number }) => void;
  readonly signal: AbortSignal;
}

export interface ListUploadParts {
  readonly lists: Pick<ListService, 'say'>;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Identifiers that are said at once, and of these some sayings at a time. */
const IDENTIFIERS_PER_CALL = 1_000;
const MAX_IN_FLIGHT = 4;

interface Said {
  readonly numbers: readonly number[];
  readonly results: readonly AcceptResult[];
}

/**
 * Says of all identifiers in the rows of a file that they are on a list, or are not. Memory does not grow with the file.
 * Refused are rows that cannot be read, and identifiers that are not taken.
 * @returns counts of what was said; `removed` is 0
 * @throws WeftError where the file cannot be read to its end, or the log stays unavailable: what was said stays
 */
export async function uploadList({ lists, sleep }: ListUploadParts, upload: ListUpload): Promise<ListCounts> {
  const { change, feed, read, onRefused, onProgress, signal } = upload;
  let [rows, taken, refused] = [0, 0, 0];
  const inFlight: Promise<Said>[] = [];
  let named: { identifier: NamedIdentifier; number: number }[] = [];
  const settleFirst = async (): Promise<void> => {
    const said = await inFlight[0];
    void inFlight.shift();
    if (said === undefined) return;
    for (const [i, result] of said.results.entries()) {
      if (result.status !== 'refused') taken++;
      else {
        refused++;
        onRefused({ number: said.numbers[i] ?? 0, reason: result.reason });
      }
    }
  };
  const send = async (): Promise<void> => {
    const sent = named;
    named = [];
    const saying = retryUnavailable(
      () =>
        lists.say(
          change,
          sent.map(({ identifier }) => identifier),
        ),
      sleep,
    ).then((results) => ({ numbers: sent.map(({ number }) => number), results }));
    // A failure is met when its turn comes; until then it must not count as unhandled.
    saying.catch(() => undefined);
    inFlight.push(saying);
    while (inFlight.length >= MAX_IN_FLIGHT) await settleFirst();
  };
  try {
    for await (const chunk of feed.chunks) {
      for (const row of chunk.rows) {
        signal.throwIfAborted();
        rows++;
        const listed = read(row);
        if ('fault' in listed) {
          refused++;
          onRefused({ number: listed.number, reason: listed.fault });
          continue;
        }
        for (const identifier of listed.identifiers) named.push({ identifier, number: listed.number });
        if (named.length >= IDENTIFIERS_PER_CALL) await send();
      }
      onProgress({ rows, bytesRead: chunk.bytesRead });
    }
    if (named.length > 0) await send();
    while (inFlight.length > 0) await settleFirst();
  } catch (error) {
    await Promise.allSettled(inFlight);
    throw error;
  }
  return { rows, taken, refused, removed: 0 };
}
