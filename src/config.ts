import { isIP } from 'node:net';
import { isAbsolute, join, resolve } from 'node:path';
import { isIssuerUrl, parseRoleGrants, type OidcSettings, type RoleGrant } from './api/auth/oidc.model.js';
import { WeftError } from './platform/errors.js';
import { nearestName } from './platform/near-names.js';
import { DEFAULT_MIN_SEGMENT_SIZE } from './segments/guard-segments.js';
import { DEFAULT_MIN_JACCARD } from './segments/refresh.model.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** All that the environment decides, validated and frozen. URLs may hold passwords: never log this object. */
export interface Config {
  /** `WEFT_DATABASE_URL`; null: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl: string | null;
  /** `WEFT_REDIS_URL`; empty: the online store is in this process. One: a single server. Several: a cluster. */
  readonly redisUrls: readonly string[];
  /** `WEFT_DATA_DIR`, absolute. */
  readonly dataDir: string;
  /** `WEFT_DATA_DIR` as it is given, where what it leads to depends on the folder that this runs in; else null. */
  readonly relativeDataDir: string | null;
  /** `WEFT_SECRET`: what keys are derived from; null: the file `secret` in `dataDir` where the database is embedded. */
  readonly secret: string | null;
  /** `WEFT_KEYS_DATABASE_URL`: where the keys of sealed events are; `none`: nothing is sealed; null: beside the database. */
  readonly keysDatabaseUrl: string | null;
  /** `WEFT_BACKUP_HORIZON_DAYS`, in ms: how long backups of the database are kept. */
  readonly backupHorizonMs: number;
  /** `WEFT_COMPACT_AFTER_HOURS`, in ms: how long an erasure waits at most for tables to be written anew. */
  readonly compactAfterMs: number;
  /** `WEFT_ERASURE_LEDGER`: the file that erasures are recorded in outside the database; default: in `dataDir`. */
  readonly erasureLedger: string;
  /** `WEFT_EXPORTS_DIR`: the folder that label files and training sets are kept in; by default within `dataDir`. */
  readonly exportsPath: string;
  /** `WEFT_EXPORTS_MAX_MB`, in bytes: of all that is in it. */
  readonly exportsMaxBytes: number;
  /** `WEFT_EXPORTS_KEEP_DAYS`, in ms: how long label files and training sets are kept. */
  readonly exportsKeptMs: number;
  /** `WEFT_AUDIT_RETENTION_DAYS`, in ms: how long entries of the audit log are kept; 0: for ever. */
  readonly auditRetentionMs: number;
  /** `WEFT_PARITY_SHARE_PERCENT`, as 0 to 1: the share of profiles whose features are compared with the log in one pass. */
  readonly parityShare: number;
  /** `WEFT_PARITY_PROFILES_PER_MINUTE`: how many of them at most; 0: none. */
  readonly parityProfilesPerMinute: number;
  /** `WEFT_SEGMENT_MIN_SIZE`: segments with fewer members are warned of; 0: none are. */
  readonly minSegmentSize: number;
  /** `WEFT_SEGMENT_MIN_JACCARD_PERCENT`: segments that keep fewer of their members in a refresh are told of, in 0…1; 0: none are. */
  readonly minSegmentJaccard: number;
  /** `WEFT_HOST`: the address that the server listens on. */
  readonly host: string;
  /** `WEFT_PORT`; 0: any free one. */
  readonly port: number;
  /** `WEFT_PUBLIC_URL`: where browsers reach the server, if not where they say that they do; null: as they say. */
  readonly publicUrl: string | null;
  /** `WEFT_TRUSTED_PROXIES`: addresses, networks and names of ranges of those whose `X-Forwarded-` headers are believed. */
  readonly trustedProxies: readonly string[];
  /** `WEFT_ENDPOINT_NETWORKS`: where requests to webhook endpoints may go beside public addresses. */
  readonly endpointNetworks: readonly string[];
  /** `WEFT_GEO_DATABASE`: an mmdb file that tells where addresses are; null: nothing does. */
  readonly geoDatabase: string | null;
  readonly logLevel: LogLevel;
  /** `WEFT_DATABASE_POOL_SIZE`: connections of this process at most. */
  readonly databasePoolSize: number;
  /** `WEFT_ONLINE_STORE_MAX_MB`, in bytes: bound of the online store where it is in this process. */
  readonly onlineStoreMaxBytes: number;
  /** `WEFT_INGEST_EVENTS_PER_SECOND`: events that one write key may send, in the long run. */
  readonly ingestEventsPerSecond: number;
  /** `WEFT_GRAPHQL_REQUESTS_PER_SECOND`: GraphQL requests of one key or person without a rate, in the long run. */
  readonly graphqlRequestsPerSecond: number;
  /** `WEFT_GRAPHQL_CONNECTIONS_PER_KEY`: WebSockets and event streams that one key or person may hold open. */
  readonly graphqlConnectionsPerKey: number;
  /** `WEFT_OIDC_…`: whose tokens people may come with, and what their roles allow; null: keys only. */
  readonly oidc: OidcSettings | null;
  /** `WEFT_STORED_DOCUMENTS_ONLY`: keys without the scope admin may only ask by stored documents. */
  readonly storedDocumentsOnly: boolean;
  /** `WEFT_SHUTDOWN_TIMEOUT_MS`: time to finish what runs after a signal to stop. */
  readonly shutdownTimeoutMs: number;
  /** For the log, one line each: variables that look like ours but are not. */
  readonly warnings: readonly string[];
}

export interface ConfigProblem {
  /** Name of the variable. */
  readonly where: string;
  readonly what: string;
  readonly hint: string;
}

/** Names every variable that is wrong, not only the first. */
export class ConfigError extends WeftError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ where, what, hint }) => `${where} ${what}. ${hint}`);
    super('CONFIG_INVALID', lines.join('\n'), { where: problems.map((problem) => problem.where).join(', ') });
    this.problems = problems;
  }
}

/**
 * Connections that one process needs at once, else it waits for itself: the session that its worker holds, a batch's
 * transaction, and a query within that, as when a model is read from the database to score. All others take turns.
 */
const MIN_DATABASE_POOL_SIZE = 3;

type Environment = Readonly<Record<string, string | undefined>>;

/** What follows the variable's name in the message, and how to put it right. */
type Refusal = readonly [what: string, hint: string];

/**
 * Reads the environment. An empty variable counts as unset. No value of a URL, which may hold a password, is repeated.
 * @throws ConfigError
 */
export function readConfig(env: Environment = process.env): Config {
  const reader = new EnvironmentReader(env);
  const givenDataDir = reader.read('WEFT_DATA_DIR', null, anyText);
  const dataDir = resolve(givenDataDir ?? '.weft');
  const config: Config = {
    databaseUrl: reader.read('WEFT_DATABASE_URL', null, databaseUrl),
    redisUrls: Object.freeze(reader.read('WEFT_REDIS_URL', [], redisUrls)),
    dataDir,
    relativeDataDir: givenDataDir === null || isAbsolute(givenDataDir) ? null : givenDataDir,
    secret: reader.read('WEFT_SECRET', null, secret),
    keysDatabaseUrl: reader.read('WEFT_KEYS_DATABASE_URL', null, keysDatabaseUrl),
    backupHorizonMs: reader.read('WEFT_BACKUP_HORIZON_DAYS', 30, integer(0, 3_650)) * 86_400_000,
    compactAfterMs: reader.read('WEFT_COMPACT_AFTER_HOURS', 24, integer(0, 8_760)) * 3_600_000,
    erasureLedger: resolve(reader.read('WEFT_ERASURE_LEDGER', join(dataDir, 'erasures.jsonl'), anyText)),
    exportsPath: resolve(reader.read('WEFT_EXPORTS_DIR', join(dataDir, 'exports'), anyText)),
    exportsMaxBytes: reader.read('WEFT_EXPORTS_MAX_MB', 20_480, integer(1, 100_000_000)) * 1_048_576,
    exportsKeptMs: reader.read('WEFT_EXPORTS_KEEP_DAYS', 7, integer(1, 90)) * 86_400_000,
    auditRetentionMs: reader.read('WEFT_AUDIT_RETENTION_DAYS', 730, integer(0, 36_500)) * 86_400_000,
    parityShare: reader.read('WEFT_PARITY_SHARE_PERCENT', 10, integer(0, 100)) / 100,
    parityProfilesPerMinute: reader.read('WEFT_PARITY_PROFILES_PER_MINUTE', 60, integer(0, 6_000)),
    minSegmentSize: reader.read('WEFT_SEGMENT_MIN_SIZE', DEFAULT_MIN_SEGMENT_SIZE, integer(0, 1_000_000)),
    minSegmentJaccard:
      reader.read('WEFT_SEGMENT_MIN_JACCARD_PERCENT', DEFAULT_MIN_JACCARD * 100, integer(0, 100)) / 100,
    host: reader.read('WEFT_HOST', '127.0.0.1', host),
    port: reader.read('WEFT_PORT', 4_000, integer(0, 65_535)),
    publicUrl: reader.read('WEFT_PUBLIC_URL', null, publicUrl),
    trustedProxies: Object.freeze(reader.read('WEFT_TRUSTED_PROXIES', [], proxies)),
    endpointNetworks: Object.freeze(reader.read('WEFT_ENDPOINT_NETWORKS', [], networks)),
    geoDatabase: pathOrNull(reader.read('WEFT_GEO_DATABASE', null, anyText)),
    logLevel: reader.read('WEFT_LOG_LEVEL', 'info', logLevel),
    databasePoolSize: reader.read('WEFT_DATABASE_POOL_SIZE', 10, integer(MIN_DATABASE_POOL_SIZE, 200)),
    onlineStoreMaxBytes: reader.read('WEFT_ONLINE_STORE_MAX_MB', 256, integer(1, 65_536)) * 1_048_576,
    ingestEventsPerSecond: reader.read('WEFT_INGEST_EVENTS_PER_SECOND', 20_000, integer(1, 1_000_000)),
    graphqlRequestsPerSecond: reader.read('WEFT_GRAPHQL_REQUESTS_PER_SECOND', 2_000, integer(1, 1_000_000)),
    graphqlConnectionsPerKey: reader.read('WEFT_GRAPHQL_CONNECTIONS_PER_KEY', 1_000, integer(1, 100_000)),
    oidc: readOidc(reader),
    storedDocumentsOnly: reader.read('WEFT_STORED_DOCUMENTS_ONLY', false, yesOrNo),
    shutdownTimeoutMs: reader.read('WEFT_SHUTDOWN_TIMEOUT_MS', 15_000, integer(1_000, 300_000)),
    warnings: Object.freeze(reader.warnings()),
  };
  reader.read('WEFT_KAFKA_BROKERS', null, noKafka);
  if (reader.problems.length > 0) throw new ConfigError(reader.problems);
  return Object.freeze(config);
}

/** A variable that a definition names, such as the URL of somebody's database; the value is a secret. */
export function readNamedVariable(name: string, env: Environment = process.env): string | undefined {
  return env[name];
}

/** The names that {@link readConfig} knows; the documentation is held against them. */
export const CONFIG_VARIABLES = [
  'WEFT_DATABASE_URL',
  'WEFT_REDIS_URL',
  'WEFT_KAFKA_BROKERS',
  'WEFT_DATA_DIR',
  'WEFT_SECRET',
  'WEFT_KEYS_DATABASE_URL',
  'WEFT_BACKUP_HORIZON_DAYS',
  'WEFT_COMPACT_AFTER_HOURS',
  'WEFT_ERASURE_LEDGER',
  'WEFT_EXPORTS_DIR',
  'WEFT_EXPORTS_MAX_MB',
  'WEFT_EXPORTS_KEEP_DAYS',
  'WEFT_AUDIT_RETENTION_DAYS',
  'WEFT_PARITY_SHARE_PERCENT',
  'WEFT_PARITY_PROFILES_PER_MINUTE',
  'WEFT_SEGMENT_MIN_SIZE',
  'WEFT_SEGMENT_MIN_JACCARD_PERCENT',
  'WEFT_HOST',
  'WEFT_PORT',
  'WEFT_PUBLIC_URL',
  'WEFT_TRUSTED_PROXIES',
  'WEFT_ENDPOINT_NETWORKS',
  'WEFT_GEO_DATABASE',
  'WEFT_LOG_LEVEL',
  'WEFT_DATABASE_POOL_SIZE',
  'WEFT_ONLINE_STORE_MAX_MB',
  'WEFT_INGEST_EVENTS_PER_SECOND',
  'WEFT_GRAPHQL_REQUESTS_PER_SECOND',
  'WEFT_GRAPHQL_CONNECTIONS_PER_KEY',
  'WEFT_OIDC_ISSUER',
  'WEFT_OIDC_AUDIENCE',
  'WEFT_OIDC_JWKS_URI',
  'WEFT_OIDC_ROLES',
  'WEFT_OIDC_ROLES_CLAIM',
  'WEFT_STORED_DOCUMENTS_ONLY',
  'WEFT_SHUTDOWN_TIMEOUT_MS',
] as const;

class EnvironmentReader {
  readonly problems: ConfigProblem[] = [];

  constructor(private readonly env: Environment) {}

  read<T>(name: (typeof CONFIG_VARIABLES)[number], fallback: T, parse: (text: string, refuse: Refuse) => T): T {
    const text = this.env[name]?.trim() ?? '';
    if (text === '') return fallback;
    return parse(text, (...[what, hint]) => {
      this.problems.push({ where: name, what, hint });
      return fallback as never;
    });
  }

  warnings(): string[] {
    const known: ReadonlySet<string> = new Set(CONFIG_VARIABLES);
    return Object.keys(this.env)
      .filter((name) => name.startsWith('WEFT_') && !name.startsWith('WEFT_TEST_') && !known.has(name))
      .sort()
      .map((name) => {
        const near = nearestName(name, known);
        return `${name} is set but means nothing${near === undefined ? '' : `; did you mean ${near}?`}`;
      });
  }
}

/** All of it or nothing: half of it would let nobody in, or anybody. */
function readOidc(reader: EnvironmentReader): OidcSettings | null {
  const known = reader.problems.length;
  const issuer = reader.read('WEFT_OIDC_ISSUER', null, issuerUrl);
  const audience = reader.read('WEFT_OIDC_AUDIENCE', null, word);
  const jwksUri = reader.read('WEFT_OIDC_JWKS_URI', null, issuerUrl);
  const roles = reader.read('WEFT_OIDC_ROLES', null, roleGrants);
  const rolesClaim = reader.read('WEFT_OIDC_ROLES_CLAIM', 'roles', word);
  if (issuer !== null && audience !== null && roles !== null) return { issuer, audience, jwksUri, roles, rolesClaim };
  const isAsked = issuer !== null || audience !== null || jwksUri !== null || roles !== null;
  if (isAsked && reader.problems.length === known) {
    const missing = [
      ...(issuer === null ? ['WEFT_OIDC_ISSUER'] : []),
      ...(audience === null ? ['WEFT_OIDC_AUDIENCE'] : []),
      ...(roles === null ? ['WEFT_OIDC_ROLES'] : []),
    ];
    for (const where of missing) {
      const hint = 'Set issuer, audience and roles together; docs/keys.md says how.';
      reader.problems.push({ where, what: 'is not set, but others of WEFT_OIDC are', hint });
    }
  }
  return null;
}

/** Notes the problem and stands in for the value, which is then never used. */
type Refuse = (...refusal: Refusal) => never;

function anyText(text: string): string {
  return text;
}

const MIN_SECRET_LENGTH = 32;

function secret(text: string, refuse: Refuse): string {
  if (text.length >= MIN_SECRET_LENGTH) return text;
  return refuse(
    `is shorter than ${String(MIN_SECRET_LENGTH)} characters`,
    'Make one that nobody can guess: openssl rand -base64 32.',
  );
}

function integer(min: number, max: number): (text: string, refuse: Refuse) => number {
  return (text, refuse) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    return refuse(`is not a whole number from ${String(min)} to ${String(max)}`, `It is ${quote(text)} now.`);
  };
}

function yesOrNo(text: string, refuse: Refuse): boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return refuse('is neither true nor false', `It is ${quote(text)} now.`);
}

function logLevel(text: string, refuse: Refuse): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text.toLowerCase());
  return level ?? refuse(`is ${quote(text)}, which is no log level`, `Use one of ${LOG_LEVELS.join(', ')}.`);
}

function host(text: string, refuse: Refuse): string {
  if (/^[\w.:-]+$/.test(text)) return text;
  return refuse(`is ${quote(text)}, which is no address`, 'Use 127.0.0.1, 0.0.0.0, :: or a host name.');
}

function publicUrl(text: string, refuse: Refuse): string {
  const url = parseUrl(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '' && url.username === '') {
    return text;
  }
  return refuse(
    'is not the URL of a server',
    'Its form is https://weft.example.org, with a path where a proxy adds one.',
  );
}

const PROXY_RANGES = ['loopback', 'linklocal', 'uniquelocal'];

function proxies(text: string, refuse: Refuse): readonly string[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.length <= 100 && parts.every(isNetwork)) return parts;
  return refuse(
    'is not a list of addresses',
    `Name the addresses or networks of your proxies, as 10.0.0.0/8, or ${PROXY_RANGES.join(', ')}, with commas between.`,
  );
}

function networks(text: string, refuse: Refuse): readonly string[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.length <= 100 && parts.every(isNetworkOfAddresses)) return parts;
  return refuse('is not a list of networks', 'Name addresses or networks, as 10.1.0.0/16, with commas between.');
}

function isNetwork(text: string): boolean {
  return PROXY_RANGES.includes(text) || isNetworkOfAddresses(text);
}

function isNetworkOfAddresses(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/');
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  if (more.length > 0 || bits === -1) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
}

function pathOrNull(text: string | null): string | null {
  return text === null ? null : resolve(text);
}

function word(text: string, refuse: Refuse): string {
  if (/^\S{1,500}$/.test(text)) return text;
  return refuse('is not one word of at most 500 characters', 'Take blanks out of it.');
}

function issuerUrl(text: string, refuse: Refuse): string {
  if (isIssuerUrl(text)) return text;
  return refuse('is not the URL of an issuer', 'It begins with https://, or with http:// on this very machine.');
}

function roleGrants(text: string, refuse: Refuse): readonly RoleGrant[] {
  return (
    parseRoleGrants(text) ??
    refuse(
      'is not a list of roles with what they allow',
      'Its form is weft-admin=admin,weft-viewer=read, for one source also sender=ingest:web.',
    )
  );
}

function keysDatabaseUrl(text: string, refuse: Refuse): string {
  return text === 'none' ? text : databaseUrl(text, refuse);
}

function databaseUrl(text: string, refuse: Refuse): string {
  const url = parseUrl(text);
  const isPostgres = url?.protocol === 'postgres:' || url?.protocol === 'postgresql:';
  if (url !== null && isPostgres && url.pathname.length > 1) return isDecodable(url) ? text : refuse(...BAD_ESCAPE);
  return refuse('is not the URL of a PostgreSQL database', 'Its form is postgres://user:password@host:5432/database.');
}

function redisUrls(text: string, refuse: Refuse): readonly string[] {
  const parts = text.split(',').map((part) => part.trim());
  const areValid = parts.every((part) => ['redis:', 'rediss:'].includes(parseUrl(part)?.protocol ?? ''));
  const areDecodable = parts.every((part) => isDecodable(parseUrl(part)));
  if (areValid && parts.length <= 100) return areDecodable ? parts : refuse(...BAD_ESCAPE);
  return refuse(
    'is not the URL of a Redis server',
    'Its form is redis://user:password@host:6379, for a cluster several of them with commas between.',
  );
}

function noKafka(_text: string, refuse: Refuse): null {
  return refuse('is set, but the event log cannot be in Kafka yet', 'Unset it: the log is a table in PostgreSQL.');
}

function parseUrl(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null;
}

const BAD_ESCAPE: Refusal = [
  'has a % that begins no escape',
  'Write %25 for a percent sign in a user, password or name.',
];

/** The drivers decode these parts, and name no variable where they cannot. */
function isDecodable(url: URL | null): boolean {
  try {
    for (const part of [url?.username, url?.password, url?.hostname, url?.pathname]) decodeURIComponent(part ?? '');
    return true;
  } catch {
    return false;
  }
}

/** Something pasted into the wrong variable may be a secret: what looks like a URL is not repeated. */
function quote(text: string): string {
  return text.includes('://') || text.includes('@') ? 'something else' : JSON.stringify(text.slice(0, 40));
}
