import { describe, expect, it } from 'vitest';
import { CONFIG_VARIABLES, ConfigError, readConfig } from './config.js';

function problemsOf(env: Record<string, string>): ConfigError {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
  }
  throw new Error('the environment was accepted');
}

describe('readConfig', () => {
  it('runs on nothing: an embedded database, an in-process online store, loopback', () => {
    const config = readConfig({});
    expect(config).toMatchObject({ databaseUrl: null, redisUrls: [], host: '127.0.0.1', port: 4_000, warnings: [] });
    expect(config.dataDir).toMatch(/^\/.*\/\.weft$/);
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('reads what is set, and takes an empty variable for unset', () => {
    const config = readConfig({
      WEFT_DATABASE_URL: 'postgresql://weft@db/weft?sslmode=require',
      WEFT_REDIS_URL: 'redis://a:6379, rediss://b:6380',
      WEFT_PORT: '0',
      WEFT_LOG_LEVEL: 'DEBUG',
      WEFT_TRUSTED_PROXIES: 'loopback, 10.0.0.0/8,2001:db8::/32, 192.0.2.1',
      WEFT_ONLINE_STORE_MAX_MB: '1',
      WEFT_HOST: '',
    });
    expect(config.redisUrls).toEqual(['redis://a:6379', 'rediss://b:6380']);
    expect(config.trustedProxies).toEqual(['loopback', '10.0.0.0/8', '2001:db8::/32', '192.0.2.1']);
    expect(config).toMatchObject({ port: 0, logLevel: 'debug', host: '127.0.0.1', onlineStoreMaxBytes: 1_048_576 });
  });

  it('names all bad variables at once, each with how to put it right', () => {
    const { problems } = problemsOf({
      WEFT_DATABASE_URL: 'mysql://x/y',
      WEFT_REDIS_URL: 'localhost:6379',
      WEFT_KAFKA_BROKERS: 'localhost:9092',
      WEFT_PORT: '70000',
      WEFT_SECRET: 'too short',
      WEFT_KEYS_DATABASE_URL: 'nowhere',
      WEFT_BACKUP_HORIZON_DAYS: 'long',
      WEFT_COMPACT_AFTER_HOURS: '-1',
      WEFT_EXPORTS_MAX_MB: '0',
      WEFT_EXPORTS_KEEP_DAYS: 'always',
      WEFT_AUDIT_RETENTION_DAYS: 'always',
      WEFT_PARITY_SHARE_PERCENT: '101',
      WEFT_PARITY_PROFILES_PER_MINUTE: 'many',
      WEFT_SEGMENT_MIN_SIZE: 'small',
      WEFT_SEGMENT_MIN_JACCARD_PERCENT: '101',
      WEFT_HOST: 'two words',
      WEFT_PUBLIC_URL: 'weft.example.org',
      WEFT_TRUSTED_PROXIES: '10.0.0.0/33',
      WEFT_LOG_LEVEL: 'loud',
      WEFT_DATABASE_POOL_SIZE: '1',
      WEFT_ENDPOINT_NETWORKS: 'loopback',
      WEFT_ONLINE_STORE_MAX_MB: '-5',
      WEFT_INGEST_EVENTS_PER_SECOND: '1e9',
      WEFT_GRAPHQL_REQUESTS_PER_SECOND: '0',
      WEFT_GRAPHQL_CONNECTIONS_PER_KEY: 'many',
      WEFT_OIDC_ISSUER: 'http://login.example.org',
      WEFT_OIDC_AUDIENCE: 'two words',
      WEFT_OIDC_JWKS_URI: 'keys',
      WEFT_OIDC_ROLES: 'admin',
      WEFT_OIDC_ROLES_CLAIM: 'two words',
      WEFT_STORED_DOCUMENTS_ONLY: 'perhaps',
      WEFT_SHUTDOWN_TIMEOUT_MS: 'soon',
    });
    // Every variable but those that take any text.
    const isPath = (name: string): boolean =>
      ['WEFT_DATA_DIR', 'WEFT_ERASURE_LEDGER', 'WEFT_EXPORTS_DIR', 'WEFT_GEO_DATABASE'].includes(name);
    expect(problems.map(({ where }) => where).sort()).toEqual(CONFIG_VARIABLES.filter((name) => !isPath(name)).sort());
    for (const { what, hint } of problems) expect(`${what} ${hint}`).toMatch(/^is .+ [A-Z].+\.$/);
  });

  it('never repeats a secret, not even one pasted into the wrong variable', () => {
    const secret = 'postgres://weft:canary@host';
    const env = Object.fromEntries(CONFIG_VARIABLES.filter((name) => name !== 'WEFT_DATA_DIR').map((n) => [n, secret]));
    const error = problemsOf(env);
    expect(error.problems.length).toBeGreaterThan(5);
    expect(`${error.message} ${JSON.stringify(error)}`).not.toContain('canary');
  });

  it.each([
    ['WEFT_DATABASE_URL', 'postgres://u:canary%zz@host/db'],
    ['WEFT_DATABASE_URL', 'postgres://u%:canary@host/db'],
    ['WEFT_DATABASE_URL', 'postgres://u:canary@host/d%b'],
    ['WEFT_REDIS_URL', 'redis://a:1,redis://u:canary%E4@host'],
  ])('names %s where an escape in it cannot be decoded, without its value', (name, url) => {
    const error = problemsOf({ [name]: url });
    expect(error.problems).toMatchObject([{ where: name, what: 'has a % that begins no escape' }]);
    expect(error.message).not.toContain('canary');
    expect(readConfig({ [name]: url.replace(/%\w*/, '%25') }).warnings).toEqual([]);
  });

  it('asks for the connections that a process needs at once', () => {
    expect(problemsOf({ WEFT_ENDPOINT_NETWORKS: 'loopback' }).message).toMatch(/^WEFT_ENDPOINT_NETWORKS is not a list/);
    expect(readConfig({ WEFT_ENDPOINT_NETWORKS: '10.1.0.0/16, ::1' }).endpointNetworks).toEqual(['10.1.0.0/16', '::1']);
    expect(problemsOf({ WEFT_DATABASE_POOL_SIZE: '2' }).message).toMatch(/^WEFT_DATABASE_POOL_SIZE .* from 3 to 200/);
    expect(readConfig({ WEFT_DATABASE_POOL_SIZE: '3' }).databasePoolSize).toBe(3);
  });

  it('warns of a variable that is nearly one of ours, by name only', () => {
    const { warnings } = readConfig({
      WEFT_DATABSE_URL: 'postgres://weft:canary@host/db',
      WEFT_TEST_X: '1',
      OTHER: '1',
    });
    expect(warnings).toEqual(['WEFT_DATABSE_URL is set but means nothing; did you mean WEFT_DATABASE_URL?']);
  });
});
