import type { Config } from './config.js';
import { WeftError } from './platform/errors.js';
import { NO_SECRET, type InstallationSecret } from './platform/installation-secret.js';
import type { Lifecycle } from './platform/lifecycle.js';
import { createDataSource, Database } from './platform/postgres.js';
import { SqlError } from './platform/sql-errors.js';
import { KeyVault } from './privacy/key-vault.js';
import { prepareKeys } from './privacy/sealing-key.store.js';

const POOL_SIZE = 3;
const INSUFFICIENT_PRIVILEGE = '42501';
const MAX_NAME_BYTES = 63;
const SUFFIX = '_keys';

export interface VaultParts {
  readonly lifecycle: Lifecycle;
  readonly config: Config;
  readonly db: Database;
  readonly secret: InstallationSecret;
}

/**
 * The keys that payloads are sealed with, in a database of their own, made if there is none; null where nothing is to be
 * sealed: the installation has no secret, or says so.
 * @throws WeftError CONFIG_INVALID, UNAVAILABLE
 */
export async function startVault({ lifecycle, config, db, secret }: VaultParts): Promise<KeyVault | null> {
  if (secret === NO_SECRET || config.keysDatabaseUrl === 'none') return null;
  const url = config.keysDatabaseUrl ?? (await besideOf(db));
  const keys = await lifecycle.start(
    'keys of sealed events',
    async () => {
      const opened = await Database.open(
        await createDataSource(url, { poolSize: POOL_SIZE, applicationName: 'weft keys' }),
      );
      await prepareKeys(opened);
      return opened;
    },
    { stop: (opened) => opened.close() },
  );
  return new KeyVault(keys, secret);
}

/** A database of the same server, with `_keys` behind the name. */
async function besideOf(db: Database): Promise<string> {
  const { options } = db.dataSource;
  const url = new URL('url' in options && typeof options.url === 'string' ? options.url : '');
  const name = `${decodeURIComponent(url.pathname.slice(1)).slice(0, MAX_NAME_BYTES - SUFFIX.length)}${SUFFIX}`;
  url.pathname = `/${encodeURIComponent(name)}`;
  const isThere = async (): Promise<boolean> =>
    (await db.query('SELECT FROM pg_database WHERE datname = $1', [name])).length > 0;
  if (await isThere()) return url.href;
  try {
    await db.query(`CREATE DATABASE "${name.replaceAll('"', '""')}"`);
  } catch (error) {
    // Of processes that start together, one is first.
    if (await isThere()) return url.href;
    if (!(error instanceof SqlError) || error.sqlState !== INSUFFICIENT_PRIVILEGE) throw error;
    throw new WeftError('CONFIG_INVALID', `there is no database ${name} for the keys of sealed events`, {
      where: 'WEFT_KEYS_DATABASE_URL',
      hint: `Let an administrator of the server run CREATE DATABASE "${name}", owned by the user of WEFT_DATABASE_URL, name another database, or set the variable to none to seal nothing.`,
      cause: error,
    });
  }
  return url.href;
}
