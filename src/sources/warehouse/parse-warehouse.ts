import { durationHint, durationMs } from '../../platform/duration.js';
import type { MappingNode } from '../mapping-node.js';
import {
  WAREHOUSE_LIMITS,
  type BigQueryQuery,
  type Overlap,
  type PostgresQuery,
  type WarehouseQuery,
} from './warehouse.model.js';

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Weft's own settings are no business of a mapping. */
const OWN_VARIABLE = /^WEFT_/i;
const PROJECT = /^[a-z0-9][a-z0-9.:-]{1,99}$/;
const LOCATION = /^[A-Za-z0-9-]{2,40}$/;

const STORES = ['postgres', 'bigquery'] as const;

/** The `from` of a mapping; undefined after what is wrong was noted. */
export function parseWarehouse(node: MappingNode): WarehouseQuery | undefined {
  const fields = node.knownFields([...STORES, 'cursor', 'overlap', 'window']);
  if (fields === undefined) return undefined;
  const [kind, other] = STORES.filter((name) => fields.has(name));
  if (kind === undefined) {
    return node.problem('a store is missing: "postgres" or "bigquery"');
  }
  if (other !== undefined) fields.get(other)?.problemOfKey(`rows come from one store, and "${kind}" is one`);
  const cursor = fields.get('cursor')?.string() ?? null;
  if (cursor === null) {
    for (const name of ['overlap', 'window']) fields.get(name)?.problem('is of rows in an order: it needs "cursor"');
  }
  const store = fields.get(kind);
  const parsed = store === undefined ? undefined : STORE_PARSERS[kind](store);
  if (parsed === undefined) return undefined;
  return {
    ...parsed,
    cursor,
    overlap: overlap(fields.get('overlap')),
    windowRows: fields.get('window')?.integer(1, WAREHOUSE_LIMITS.maxWindowRows) ?? WAREHOUSE_LIMITS.defaultWindowRows,
  };
}

type OfStore<Q> = Omit<Q, 'cursor' | 'overlap' | 'windowRows'>;

const STORE_PARSERS = { postgres: parsePostgres, bigquery: parseBigQuery } as const;

function parsePostgres(node: MappingNode): OfStore<PostgresQuery> | undefined {
  const store = storeFields(node, ['url_env', 'query'], []);
  if (store === undefined) return undefined;
  return {
    kind: 'postgres',
    urlEnv: variable(store.get('url_env'), 'CRM_DATABASE_URL'),
    query: query(store.get('query')),
    timeoutMs: timeout(store.get('timeout')),
  };
}

function parseBigQuery(node: MappingNode): OfStore<BigQueryQuery> | undefined {
  const store = storeFields(node, ['project', 'query'], ['location', 'credentials_env']);
  if (store === undefined) return undefined;
  const credentials = store.get('credentials_env');
  return {
    kind: 'bigquery',
    project: named(store.get('project'), PROJECT, 'must be the id of a project, such as acme-analytics') ?? '',
    location: named(store.get('location'), LOCATION, 'must be a location, such as EU or europe-west3') ?? null,
    credentialsEnv: credentials === undefined ? null : variable(credentials, 'CRM_BIGQUERY_KEY_FILE'),
    query: query(store.get('query')),
    timeoutMs: timeout(store.get('timeout')),
  };
}

function storeFields(
  node: MappingNode,
  required: readonly string[],
  optional: readonly string[],
): Map<string, MappingNode> | undefined {
  const store = node.knownFields([...required, ...optional, 'timeout']);
  for (const name of required) if (store?.has(name) === false) node.problem(`"${name}" is missing`);
  return store;
}

function named(node: MappingNode | undefined, form: RegExp, message: string): string | undefined {
  const text = node?.string();
  if (text !== undefined && !form.test(text)) node?.problem(message);
  return text;
}

function variable(node: MappingNode | undefined, example: string): string {
  const name = node?.string() ?? '';
  if (node === undefined || name === '') return name;
  // A URL or a key here would be a secret in a file that is kept with each load: it is not repeated.
  if (!VARIABLE.test(name)) node.problem(`must be the name of an environment variable, such as ${example}`);
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
