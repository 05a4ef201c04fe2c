import type { DataSource } from 'typeorm';
import { WeftError } from './errors.js';
import { toSqlError } from './sql-errors.js';

const MIN_SERVER_VERSION = 150_000;

export interface ServerVersion {
  /** `server_version_num`: 150004 for 15.4. */
  readonly num: number;
  readonly version: string;
}

/** @throws WeftError CONFIG_INVALID where it is too old */
export function demandServerVersion(found: ServerVersion | undefined): void {
  if (found !== undefined && found.num >= MIN_SERVER_VERSION) return;
  throw new WeftError('CONFIG_INVALID', `PostgreSQL ${found?.version ?? '?'} is too old`, {
    where: 'WEFT_DATABASE_URL',
    hint: 'Use PostgreSQL 15 or newer, or unset the variable to use the embedded one.',
  });
}

/** What is wrong with a database that could not be connected to, without its password. */
export function toConnectError(error: unknown, { options }: DataSource): unknown {
  const url = 'url' in options && typeof options.url === 'string' ? options.url : '';
  const translated = toSqlError(error, `WEFT_DATABASE_URL, ${placeOf(url)}`);
  if (translated instanceof WeftError) return translated;
  // No cause: the error of a malformed URL quotes it, password and all.
  return new WeftError('CONFIG_INVALID', 'the database URL cannot be used', {
    where: 'WEFT_DATABASE_URL',
    hint: 'It has the form postgres://user:password@host:5432/database.',
  });
}

/** `host:port/database` of a database's URL, without user and password. */
export function placeOf(url: string): string {
  if (!URL.canParse(url)) return 'a malformed URL';
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port === '' ? '5432' : port}${pathname}`;
}
