import { Cluster, Redis } from 'ioredis';
import { WeftError } from './errors.js';
import { within } from './within.js';

const MIN_MAJOR_VERSION = 7;
const CONNECT_TIMEOUT_MS = 5_000;
const COMMAND_TIMEOUT_MS = 5_000;
const OPEN_TIMEOUT_MS = 15_000;
const MAX_RETRIES_PER_REQUEST = 2;
const MAX_RECONNECT_DELAY_MS = 2_000;

/** Commands as ioredis names them; the same for a single server and a cluster. */
export type RedisClient = Redis | Cluster;

export interface RedisOptions {
  /** Told of every broken connection; ioredis goes on trying by itself. */
  readonly onError?: (error: Error) => void;
  readonly commandTimeoutMs?: number;
}

/**
 * A connection to a Redis server, or to a cluster where more than one URL is given (they name some of its nodes; user,
 * password and TLS are those of the first). Commands fail with UNAVAILABLE after two lost connections or 5 s, while in
 * the background the connection is tried again for as long as it takes, at most 2 s apart.
 */
export class RedisConnection {
  private constructor(
    readonly client: RedisClient,
    readonly isCluster: boolean,
  ) {}

  /**
   * @param urls at least one, `redis:` or `rediss:`
   * @throws WeftError UNAVAILABLE (no answer), CONFIG_INVALID (wrong password, version below 7)
   */
  static async open(urls: readonly string[], options: RedisOptions = {}): Promise<RedisConnection> {
    const client = urls.length > 1 ? clusterClient(urls, options) : singleClient(urls[0] ?? '', options);
    let lastError: Error | undefined;
    client.on('error', (error: Error) => {
      lastError = error;
      options.onError?.(error);
    });
    const connection = new RedisConnection(client, client instanceof Cluster);
    try {
      // A cluster whose nodes do not answer is tried for ever by ioredis.
      await within(OPEN_TIMEOUT_MS, client.connect(), timedOut);
      await within(OPEN_TIMEOUT_MS, connection.#checkVersion(), timedOut);
      return connection;
    } catch (error) {
      client.disconnect();
      // A failed login ends as "connection closed"; why it failed comes as an event only.
      const reason = toRedisError(lastError ?? error);
      throw reason instanceof WeftError && reason.code === 'CONFIG_INVALID' ? reason : toRedisError(error);
    }
  }

  /** Resolves when the server answers. @throws WeftError UNAVAILABLE */
  async ping(): Promise<void> {
    await this.run((client) => client.ping());
  }

  /** Runs commands with their failures translated. */
  async run<T>(commands: (client: RedisClient) => Promise<T>): Promise<T> {
    try {
      return await commands(this.client);
    } catch (error) {
      throw toRedisError(error);
    }
  }

  /** Waits for what is under way, then closes. */
  async close(): Promise<void> {
    await this.client.quit().catch(() => {
      this.client.disconnect();
    });
  }

  async #checkVersion(): Promise<void> {
    const info = await this.client.info('server');
    const version = /^redis_version:(\S+)/m.exec(info)?.[1] ?? '0';
    if (Number.parseInt(version, 10) < MIN_MAJOR_VERSION) {
      throw new WeftError('CONFIG_INVALID', `Redis ${version} is too old`, {
        where: 'WEFT_REDIS_URL',
        hint: `Use Redis ${String(MIN_MAJOR_VERSION)} or newer, or unset the variable to keep the online store in this process.`,
      });
    }
  }
}

function singleClient(url: string, options: RedisOptions): Redis {
  return new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
    maxRetriesPerRequest: MAX_RETRIES_PER_REQUEST,
    retryStrategy: reconnectDelayMs,
  });
}

function clusterClient(urls: readonly string[], options: RedisOptions): Cluster {
  const nodes = urls.map((url) => new URL(url));
  const [first] = nodes;
  const isEncrypted = first?.protocol === 'rediss:';
  return new Cluster(
    nodes.map((node) => ({ host: node.hostname, port: Number(node.port === '' ? 6379 : node.port) })),
    {
      lazyConnect: true,
      // Commands of one turn travel together, one pipeline a node.
      enableAutoPipelining: true,
      clusterRetryStrategy: reconnectDelayMs,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      redisOptions: {
        connectTimeout: CONNECT_TIMEOUT_MS,
        commandTimeout: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
        maxRetriesPerRequest: MAX_RETRIES_PER_REQUEST,
        ...(first?.username ? { username: decodeURIComponent(first.username) } : {}),
        ...(first?.password ? { password: decodeURIComponent(first.password) } : {}),
        ...(isEncrypted ? { tls: {} } : {}),
      },
    },
  );
}

function timedOut(): Error {
  return new Error('timed out');
}

function reconnectDelayMs(attempt: number): number {
  return Math.min(attempt * 50, MAX_RECONNECT_DELAY_MS);
}

/** No message of ioredis is repeated: some quote the command with its arguments. */
export function toRedisError(error: unknown): unknown {
  if (error instanceof WeftError || !(error instanceof Error)) return error;
  const said = messageOf(error);
  if (/WRONGPASS|NOAUTH|NOPERM|invalid password/i.test(said)) {
    return redisError('CONFIG_INVALID', 'Redis refuses the user or the password', 'Check the URL.', error);
  }
  if (said.startsWith('OOM')) {
    return redisError(
      'UNAVAILABLE',
      'Redis is out of memory',
      'Raise maxmemory, or let it evict (allkeys-lru).',
      error,
    );
  }
  if (said.includes('READONLY')) {
    return redisError('UNAVAILABLE', 'this Redis server only allows reading', 'Point at the primary.', error);
  }
  if (/^(?:ERR|WRONGTYPE|NOSCRIPT|CROSSSLOT|EXECABORT|BUSY)/.test(said)) {
    return redisError('INTERNAL', 'Redis refused a command', 'This is a defect; the cause is in the log.', error);
  }
  return redisError('UNAVAILABLE', 'Redis cannot be reached', 'Check that it runs and that the URL is right.', error);
}

/** Where all nodes of a cluster failed, what the last one said. */
function messageOf(error: Error): string {
  const inner: unknown = 'lastNodeError' in error ? error.lastNodeError : undefined;
  return inner instanceof Error ? inner.message : error.message;
}

function redisError(
  code: 'CONFIG_INVALID' | 'UNAVAILABLE' | 'INTERNAL',
  message: string,
  hint: string,
  cause: Error,
): WeftError {
  return new WeftError(code, message, {
    where: 'WEFT_REDIS_URL',
    hint,
    cause,
    ...(code === 'UNAVAILABLE' ? { retryAfterMs: 1_000 } : {}),
  });
}
