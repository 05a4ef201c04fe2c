import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { manifestPathOf, sha256Of, writeWithManifest } from './features/hashed-file.js';
import type { LabelQueryManifest, LabelQueryRequest, QueriedLabels } from './features/label-query.model.js';
import { csvRows } from './features/training-set-csv.js';
import { labelHeader, type LabelFault } from './features/training-set-labels.js';
import { ENTITY_COLUMNS } from './features/training-set.model.js';
import { labelRow, labelTexts } from './open-labels.js';
import { parseLabelQuery, type LabelQuery } from './parse-label-query.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import { refuseExisting } from './platform/existing-output.js';
import { unreadableFile } from './platform/file-errors.js';
import { parseInstant } from './platform/instant.js';
import { compileTime } from './sources/mapping-time.js';
import {
  queryHash,
  WAREHOUSE_LIMITS,
  type WarehouseQuery,
  type WarehouseSource,
} from './sources/warehouse/warehouse.model.js';

export interface QueryLabelsParts {
  readonly clock: Clock;
  /** @throws WeftError NOT_CONFIGURED where its secrets are not there */
  readonly open: (query: WarehouseQuery) => WarehouseSource;
  /** Of an answer as CSV; default: that of a window of a load. */
  readonly maxBytes?: number;
}

/** Stores that write names in capitals unless they are quoted know these columns, too. */
const OWN_COLUMNS: readonly string[] = [...ENTITY_COLUMNS, 'label'];
/** It names people, as rows that are kept do. */
const FILE_MODE = 0o600;
/** The whole answer, in one transaction, in the order that the query gives. */
const FROM_THE_START = { after: null, overlap: null } as const;

/** See `QueryLabels`. The answer is streamed to the file, which is there as a whole or not at all. */
export async function queryLabels(parts: QueryLabelsParts, request: LabelQueryRequest): Promise<QueriedLabels> {
  const { definition, out, keptSinceMs, isFinished = false, force } = request;
  const yaml = await readFile(definition, 'utf8').catch((cause: unknown) => {
    throw unreadableFile('the label query', definition, cause);
  });
  const query = parseLabelQuery(yaml, basename(definition));
  const kept = await keptManifest(out);
  const isSame = kept?.queryHash === hashOf(query) && (await sha256Of(out).catch(() => null)) === kept.sha256;
  if (kept !== null && isSame && keptSinceMs !== null && Date.parse(kept.createdAt) >= keptSinceMs) {
    return { manifest: kept, isKept: true };
  }
  if (!isSame || isFinished) await refuseExisting({ force }, out);
  const source = parts.open(query.from);
  try {
    return { manifest: await keepAnswer(parts, source, query, request), isKept: false };
  } finally {
    await source.close();
  }
}

/** A view may show each role other rows; where a load has come to does not depend on it. */
function hashOf({ from, zone }: LabelQuery): string {
  const who = from.kind === 'snowflake' ? [from.user, from.role] : [];
  return hash('sha256', JSON.stringify([queryHash(from), zone, ...who]), 'hex');
}

/** Of labels that a query answered; null: of none. */
async function keptManifest(out: string): Promise<LabelQueryManifest | null> {
  const text = await readFile(manifestPathOf(out), 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    const manifest = JSON.parse(text) as Partial<LabelQueryManifest> | null;
    return typeof manifest?.queryHash === 'string' ? (manifest as LabelQueryManifest) : null;
  } catch {
    return null;
  }
}

async function keepAnswer(
  { clock, maxBytes = WAREHOUSE_LIMITS.maxWindowBytes }: QueryLabelsParts,
  source: WarehouseSource,
  query: LabelQuery,
  { definition, out, signal }: LabelQueryRequest,
): Promise<LabelQueryManifest> {
  const name = basename(definition);
  const asked = clock.now();
  const fault: LabelFault = (message, hint) => new WeftError('BAD_REQUEST', message, { where: name, hint });
  const names = (await source.columns()).map((column) => column.name);
  const header = labelHeader(names.map(ownName), (message) =>
    fault(
      message,
      "let the query name its columns: SELECT 'user_id' AS ns, id AS value, paid_at AS time, paid AS label",
    ),
  );
  const columns = [...ENTITY_COLUMNS, ...header.passed.map((place) => header.names[place] ?? '')];
  return writeWithManifest(
    out,
    async (file) => {
      const encoder = csvRows(
        columns.map((column) => ({ name: column, type: column === 'time' ? 'timestamp' : 'string' })),
      );
      const room = new Room(maxBytes, fault);
      const parse = timeParser(query);
      let rows = 0;
      for await (const batch of source.read(FROM_THE_START, signal)) {
        for (const { record } of batch) {
          rows++;
          const where = `${name}, row ${String(rows)}`;
          const ofRow: LabelFault = (message, hint) => new WeftError('BAD_REQUEST', message, { where, hint });
          const times = { parseTime: (text: string) => parse(text, ofRow), nowMs: asked };
          const { ns, value, timeMs, cells } = labelRow(labelTexts(record, names), header, times, ofRow);
          const bytes = encoder.add([ns, value, timeMs, ...cells]);
          if (bytes !== null) await file.write(room.of(bytes));
        }
      }
      signal.throwIfAborted();
      await file.write(room.of(encoder.end()));
      const instant = new Date(asked).toISOString();
      return (written): LabelQueryManifest => ({
        format: 1,
        file: basename(out),
        ...written,
        rows,
        createdAt: instant,
        queryHash: hashOf(query),
        query: {
          place: source.place,
          text: query.from.query,
          ...(query.zone === null ? undefined : { zone: query.zone }),
          answeredAt: instant,
        },
      });
    },
    FILE_MODE,
  );
}

function ownName(name: string): string {
  const lower = name.toLowerCase();
  return OWN_COLUMNS.includes(lower) ? lower : name;
}

/** A file of labels may leave the zone out and means UTC; a column of local times is another matter: it is asked for. */
function timeParser({ zone }: LabelQuery): (text: string, fault: LabelFault) => number {
  if (zone !== null) return compileTime({ format: 'iso', zone });
  return (text, fault) => {
    const ms = parseInstant(text, { date: 'refused', time: 'refused' });
    if (!Number.isNaN(ms) || Number.isNaN(parseInstant(text, { date: 'utc', time: 'utc' }))) return ms;
    throw fault(
      `the time "${text}" names no time zone`,
      'answer times with a zone, as paid_at AT TIME ZONE \'Europe/Berlin\', or add "zone: Europe/Berlin" to the file',
    );
  };
}

class Room {
  #bytes = 0;

  constructor(
    private readonly maxBytes: number,
    private readonly fault: LabelFault,
  ) {}

  /** @throws WeftError where these bytes are too many */
  of(bytes: Uint8Array): Uint8Array {
    this.#bytes += bytes.length;
    if (this.#bytes <= this.maxBytes) return bytes;
    throw this.fault(`the labels have more than ${String(this.maxBytes)} bytes`, 'let the query answer fewer rows');
  }
}
