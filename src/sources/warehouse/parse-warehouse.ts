import { durationHint, durationMs } from '../../platform/duration.js';
import type { MappingNode } from '../mapping-node.js';
import { WAREHOUSE_LIMITS, type Overlap, type WarehouseQuery } from './warehouse.model.js';

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Weft's own settings are no business of a mapping. */
const OWN_VARIABLE = /^WEFT_/i;

/** The `from` of a mapping; undefined after what is wrong was noted. */
export function parseWarehouse(node: MappingNode): WarehouseQuery | undefined {
  const fields = node.knownFields(['postgres', 'cursor', 'overlap', 'window']);
  if (fields === undefined) return undefined;
  const postgres = fields.get('postgres');
  if (postgres === undefined) return node.problem('"postgres" is missing: { url_env, query }');
  const store = postgres.knownFields(['url_env', 'query', 'timeout']);
  if (store === undefined) return undefined;
  for (const name of ['url_env', 'query']) if (!store.has(name)) postgres.problem(`"${name}" is missing`);
  const cursor = fields.get('cursor')?.string() ?? null;
  if (cursor === null) {
    for (const name of ['overlap', 'window']) fields.get(name)?.problem('is of rows in an order: it needs "cursor"');
  }
  return {
    kind: 'postgres',
    urlEnv: urlEnv(store.get('url_env')),
    query: query(store.get('query')),
    cursor,
    overlap: overlap(fields.get('overlap')),
    windowRows: fields.get('window')?.integer(1, WAREHOUSE_LIMITS.maxWindowRows) ?? WAREHOUSE_LIMITS.defaultWindowRows,
    timeoutMs: timeout(store.get('timeout')),
  };
}

function urlEnv(node: MappingNode | undefined): string {
  const name = node?.string() ?? '';
  if (node === undefined || name === '') return name;
  // A URL here would be a password in a file that is kept with each load: it is not repeated.
  if (!VARIABLE.test(name)) node.problem('must be the name of an environment variable, such as CRM_DATABASE_URL');
  else if (OWN_VARIABLE.test(name)) node.problem("must not be one of Weft's own variables");
  return name;
}

function query(node: MappingNode | undefined): string {
  const text = (node?.string() ?? '').trim().replace(/;$/, '').trimEnd();
  if (node !== undefined && !/^(select|with|values|table)\b/i.test(text)) {
    node.problem('must be a query that begins with SELECT or WITH');
  }
  return text;
}

function overlap(node: MappingNode | undefined): Overlap | null {
  if (node === undefined) return null;
  const value = node.json();
  if (typeof value === 'number') {
    const count = node.integer(0, WAREHOUSE_LIMITS.maxOverlapCount);
    return count === undefined ? null : { kind: 'count', count };
  }
  const ms = duration(node);
  return ms === undefined ? null : { kind: 'time', ms };
}

function timeout(node: MappingNode | undefined): number {
  const ms = node === undefined ? undefined : duration(node);
  if (ms === undefined) return WAREHOUSE_LIMITS.defaultTimeoutMs;
  if (ms > WAREHOUSE_LIMITS.maxTimeoutMs) node?.problem('must be one day at most');
  return ms;
}

function duration(node: MappingNode): number | undefined {
  const text = node.string();
  if (text === undefined) return undefined;
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return node.problem(`"${text}" is not a duration: ${durationHint(text)}`);
  }
}
