import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { WeftError } from './errors.js';
import { errnoOf } from './file-lock.js';
import { makeFolder } from './make-folder.js';
import { clusterFolder, findServerUser, type ServerUser } from './postgres-binaries.js';
import { startError } from './postmaster.js';
import { writeFileAtomically } from './write-file-atomically.js';

const run = promisify(execFile);

export const USER = 'weft';
/** PostgreSQL's own bound is 1,024 for the longest path inside the folder. */
const MAX_PATH_LENGTH = 900;

/** Where the parts of an embedded PostgreSQL are. */
export interface Place {
  /** `<dataDir>/postgres`, without symbolic links. */
  readonly home: string;
  /** PGDATA. */
  readonly cluster: string;
  readonly user: ServerUser | null;
}

/**
 * Makes the folder where it is missing.
 * @throws WeftError CONFIG_INVALID where it cannot be used
 */
export async function preparePlace(dataDir: string): Promise<Place> {
  const wanted = join(resolve(dataDir), 'postgres');
  if (wanted.length > MAX_PATH_LENGTH) {
    throw new WeftError('CONFIG_INVALID', `the path of the data folder is longer than ${String(MAX_PATH_LENGTH)}`, {
      where: `${wanted.slice(0, 100)}…`,
      hint: 'Set WEFT_DATA_DIR to a shorter one.',
    });
  }
  try {
    await makeFolder(wanted);
    const home = await realpath(wanted);
    // A folder that exists but may not be written fails here, and not half-way.
    const probe = join(home, `probe.${randomBytes(6).toString('hex')}`);
    await writeFile(probe, '');
    await rm(probe);
    const user = await findServerUser();
    return { home, user, cluster: await clusterFolder(home, user) };
  } catch (error) {
    throw folderError(error, wanted);
  }
}

const FOLDER_ERRORS: Readonly<Record<string, string>> = {
  EACCES: 'may not be written',
  EPERM: 'may not be written',
  ENOENT: 'cannot be made',
  EROFS: 'is on a read-only volume',
  ENOSPC: 'is on a full volume',
  EDQUOT: 'is on a full volume',
  ENAMETOOLONG: 'has too long a name',
  ENOTDIR: 'is inside a file',
  EEXIST: 'is a file',
};

export function folderError(error: unknown, where: string): unknown {
  const problem = FOLDER_ERRORS[errnoOf(error)];
  if (problem === undefined) return error;
  return new WeftError('CONFIG_INVALID', `the data folder ${problem}`, {
    where,
    hint: 'Set WEFT_DATA_DIR to a folder that this user can write, with some 500 MB free.',
    cause: error,
  });
}

/** @throws WeftError CONFIG_INVALID where the cluster is there and its password is not */
export async function readOrMakePassword(place: Place): Promise<string> {
  const path = join(place.home, 'password');
  try {
    const password = (await readFile(path, 'utf8')).trim();
    if (password !== '') return password;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw folderError(error, path);
  }
  if (await isFile(join(place.cluster, 'PG_VERSION'))) {
    throw new WeftError('CONFIG_INVALID', 'the password file of the database is gone or empty', {
      where: path,
      hint: 'Put it back from a copy of the data folder, or start over with a fresh folder.',
    });
  }
  const password = randomBytes(24).toString('base64url');
  await writeFileAtomically(path, `${password}\n`, 0o600);
  return password;
}

/** A cluster outside the data folder outlives an `rm -r` of that folder, which was meant to start over. */
export async function forgetStrayCluster(place: Place, stop: (cluster: string) => Promise<void>): Promise<void> {
  if (isInside(place)) return;
  const left = await Promise.all([isFile(join(place.home, 'password')), isFile(join(place.home, 'server.log'))]);
  if (left.includes(true)) return;
  await stop(place.cluster);
  await removeCluster(place);
}

export async function removeCluster(place: Place): Promise<void> {
  await rm(isInside(place) ? place.cluster : dirname(place.cluster), { recursive: true, force: true });
}

function isInside(place: Place): boolean {
  return dirname(place.cluster) === place.home;
}

/** Makes the cluster unless it is there. */
export async function ensureCluster(place: Place, initdb: string, password: string): Promise<void> {
  if (!(await isFile(join(place.cluster, 'PG_VERSION')))) await makeCluster(place, initdb, password);
}

async function makeCluster(place: Place, initdb: string, password: string): Promise<void> {
  const parent = dirname(place.cluster);
  const partial = `${place.cluster}.partial`;
  const passwordFile = join(parent, 'initdb-password');
  try {
    await makeFolder(parent);
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { mode: 0o700 });
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (place.user !== null) {
      await chmod(parent, 0o711);
      await chown(partial, place.user.uid, place.user.gid);
      await chown(passwordFile, place.user.uid, place.user.gid);
    }
    await runInitdb(initdb, partial, passwordFile, place.user);
    await rename(partial, place.cluster);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw folderError(error, place.home);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function runInitdb(initdb: string, folder: string, passwordFile: string, user: ServerUser | null): Promise<void> {
  const flags = [
    `--pgdata=${folder}`,
    `--username=${USER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    // Sorting by code point: the same on every machine, and fast.
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ];
  try {
    await run(initdb, flags, { ...(user ?? {}), cwd: '/', env: { LC_ALL: 'C', TZ: 'UTC' } });
  } catch (error) {
    const stderr: unknown = error instanceof Error && 'stderr' in error ? error.stderr : '';
    const output = typeof stderr === 'string' && stderr !== '' ? stderr : String(error);
    throw startError(output, folder);
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
