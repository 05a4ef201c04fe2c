import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from './errors.js';
import { makeFolder } from './make-folder.js';
import type { Queryable } from './postgres.js';

/** What must not be found in the database or a backup of it, though it is needed as it is: keys to sign and seal with. */
export interface InstallationSecret {
  /**
   * 32 bytes that nobody can tell without the secret: HKDF with SHA-256 (RFC 5869), the purpose as its info.
   * @throws WeftError NOT_CONFIGURED where the installation has no secret
   */
  derive(purpose: string): Buffer;
  /**
   * AES-256-GCM: 1 byte version, 12 bytes nonce, the ciphertext, 16 bytes tag. A nonce is random, which NIST SP 800-38D
   * allows for 2^32 texts a purpose.
   * @throws WeftError NOT_CONFIGURED where the installation has no secret
   */
  seal(purpose: string, plain: Buffer): Buffer;
  /** Null for what was changed, or sealed for another purpose or by another secret. @throws as `seal` */
  open(purpose: string, sealed: Buffer): Buffer | null;
}

const KEY_BYTES = 32;
const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A secret from which all others are derived. */
export class RootSecret implements InstallationSecret {
  readonly #root: Buffer;

  /** @param root with at least 128 random bits in it, in whatever form */
  constructor(root: Buffer) {
    this.#root = root;
  }

  derive(purpose: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#root, 'weft', purpose, KEY_BYTES));
  }

  seal(purpose: string, plain: Buffer): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.derive(`seal:${purpose}`), nonce);
    return Buffer.concat([Buffer.of(VERSION), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  open(purpose: string, sealed: Buffer): Buffer | null {
    if (sealed.length < 1 + NONCE_BYTES + TAG_BYTES || sealed[0] !== VERSION) return null;
    const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', this.derive(`seal:${purpose}`), nonce);
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    } catch {
      return null;
    }
  }
}

/** For an installation that nobody gave a secret: what needs one says so, all else works. */
export const NO_SECRET: InstallationSecret = { derive: refuse, seal: refuse, open: refuse };

function refuse(): never {
  throw new WeftError('NOT_CONFIGURED', 'this needs the secret of the installation, which has none', {
    where: 'WEFT_SECRET',
    hint: 'set it to the same 32 random characters or more for all processes, as made by: openssl rand -base64 32',
  });
}

const FILE = 'secret';
const FILE_BYTES = 32;

/**
 * The secret that is kept in a data folder; null: there is none.
 * @throws WeftError CONFIG_INVALID where the file is there and of no use
 */
export async function standingSecretOfFolder(dataDir: string): Promise<Buffer | null> {
  const path = join(dataDir, FILE);
  const kept = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw unusable(path, 'cannot be read', error);
  });
  if (kept?.trim() === '') throw unusable(path, 'is empty');
  return kept === null ? null : Buffer.from(kept.trim());
}

/**
 * The secret that is kept in a data folder, made if there is none. Processes that start together find the same one.
 * @throws WeftError CONFIG_INVALID where the file is there and of no use; the error of the file system
 */
export async function secretOfFolder(dataDir: string): Promise<Buffer> {
  const path = join(dataDir, FILE);
  for (;;) {
    const kept = await standingSecretOfFolder(dataDir);
    if (kept !== null) return kept;
    await makeFolder(dataDir);
    const made = `${path}.${randomBytes(6).toString('hex')}`;
    await writeFile(made, `${randomBytes(FILE_BYTES).toString('base64url')}\n`, {
      mode: 0o600,
      flag: 'wx',
      flush: true,
    });
    try {
      // Not `rename`: whoever comes second must find the first one's.
      await link(made, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      await rm(made, { force: true });
    }
  }
}

function unusable(path: string, what: string, cause?: unknown): WeftError {
  return new WeftError('CONFIG_INVALID', `the file with the secret of the installation ${what}`, {
    where: path,
    hint: 'Put it back as it was, or set WEFT_SECRET. If it was never used, delete it: a new one is made.',
    cause,
  });
}

/** False: the installation was first started with another one. Writes nothing. */
export async function isStandingSecret(db: Queryable, secret: InstallationSecret): Promise<boolean> {
  const [row] = await db.query<{ secret_check: Buffer | null }>('SELECT secret_check FROM installation');
  const kept = row?.secret_check ?? null;
  return kept === null || timingSafeEqual(kept, checkOf(secret));
}

function checkOf(secret: InstallationSecret): Buffer {
  return createHmac('sha256', secret.derive('check')).digest();
}

/**
 * Holds the secret against the one that the installation was first started with: with another one nothing that was
 * signed or sealed would be known again, which would look like attacks.
 * @throws WeftError CONFIG_INVALID where it is another one
 */
export async function checkSecret(db: Queryable, secret: InstallationSecret): Promise<void> {
  const check = checkOf(secret);
  const [row] = await db.query<{ secret_check: Buffer }>(
    'UPDATE installation SET secret_check = $1 WHERE secret_check IS NULL RETURNING secret_check',
    [check],
  );
  const [kept] =
    row === undefined ? await db.query<{ secret_check: Buffer }>('SELECT secret_check FROM installation') : [row];
  if (kept !== undefined && timingSafeEqual(kept.secret_check, check)) return;
  throw new WeftError('CONFIG_INVALID', 'this is not the secret that the installation was set up with', {
    where: 'WEFT_SECRET, or the file secret in WEFT_DATA_DIR',
    hint:
      'Put the former one back. If it is lost, run UPDATE installation SET secret_check = NULL in the database, ' +
      'and set the secrets of webhooks and the signing secrets of edge keys anew.',
  });
}
