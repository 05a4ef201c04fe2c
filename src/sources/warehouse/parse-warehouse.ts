import { durationHint, durationMs } from '../../platform/duration.js';
import type { MappingNode } from '../mapping-node.js';
import {
  WAREHOUSE_LIMITS,
  type BigQueryQuery,
  type Overlap,
  type PostgresQuery,
  type SnowflakeQuery,
  type SnowflakeSignIn,
  type WarehouseQuery,
} from './warehouse.model.js';

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Weft's own settings are no business of a mapping. */
const OWN_VARIABLE = /^WEFT_/i;
const PROJECT = /^[a-z0-9][a-z0-9.:-]{1,99}$/;
const ACCOUNT = /^[A-Za-z0-9][A-Za-z0-9_.-]{1,254}$/;
const LOCATION = /^[A-Za-z0-9-]{2,40}$/;

const STORES = ['postgres', 'bigquery', 'snowflake'] as const;

/** The `from` of a mapping; undefined after what is wrong was noted. */
export function parseWarehouse(node: MappingNode): WarehouseQuery | undefined {
  const fields = node.knownFields([...STORES, 'cursor', 'overlap', 'window']);
  if (fields === undefined) return undefined;
  const [kind, other] = STORES.filter((name) => fields.has(name));
  if (kind === undefined) {
    return node.problem('a store is missing: "postgres", "bigquery" or "snowflake"');
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

const STORE_PARSERS = { postgres: parsePostgres, bigquery: parseBigQuery, snowflake: parseSnowflake } as const;

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

function parseSnowflake(node: MappingNode): OfStore<SnowflakeQuery> | undefined {
  const names = ['role', 'warehouse', 'database', 'schema'] as const;
  const store = storeFields(node, ['account', 'user', 'query'], [...names, ...SIGN_IN_FIELDS, 'key_passphrase_env']);
  if (store === undefined) return undefined;
  const [role = null, warehouse = null, database = null, schema = null] = names.map((name) =>
    store.get(name)?.string(),
  );
  return {
    kind: 'snowflake',
    account: named(store.get('account'), ACCOUNT, 'must be the identifier of an account, such as acme-prod') ?? '',
    user: store.get('user')?.string() ?? '',
    signIn: parseSignIn(node, store),
    role,
    warehouse,
    database,
    schema,
    query: query(store.get('query')),
    timeoutMs: timeout(store.get('timeout')),
  };
}

const SIGN_IN_FIELDS = ['key_file_env', 'token_env', 'password_env'] as const;

function parseSignIn(node: MappingNode, store: ReadonlyMap<string, MappingNode>): SnowflakeSignIn {
  const [kind, other] = SIGN_IN_FIELDS.filter((name) => store.has(name));
  if (kind === undefined)
    node.problem('what to sign in with is missing: "key_file_env", "token_env" or "password_env"');
  if (other !== undefined) store.get(other)?.problemOfKey(`there is one way to sign in, and "${kind ?? ''}" is one`);
  const passphrase = store.get('key_passphrase_env');
  if (kind !== 'key_file_env') passphrase?.problemOfKey('is of a key: it needs "key_file_env"');
  switch (kind) {
    case 'token_env':
      return { kind: 'token', tokenEnv: variable(store.get(kind), 'CRM_SNOWFLAKE_TOKEN') };
    case 'password_env':
      return { kind: 'password', passwordEnv: variable(store.get(kind), 'CRM_SNOWFLAKE_PASSWORD') };
    default:
      return {
        kind: 'key',
        keyFileEnv: variable(store.get('key_file_env'), 'CRM_SNOWFLAKE_KEY_FILE'),
        passphraseEnv: passphrase === undefined ? null : variable(passphrase, 'CRM_SNOWFLAKE_KEY_PASSPHRASE'),
      };
  }
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
