import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { WeftError } from '../../platform/errors.js';
import { unreadableFile } from '../../platform/file-errors.js';
import { WEBHOOK_LIMITS } from './webhook.model.js';

export interface SecretOptions {
  readonly secretFile?: string;
  readonly secretStdin?: true;
}

/**
 * A secret from where no other process sees it: a file or standard input, without the line break that editors add.
 * Undefined where neither is named.
 * @throws WeftError BAD_REQUEST
 */
export async function readSecret(options: SecretOptions, stdin: Readable): Promise<string | undefined> {
  const { secretFile, secretStdin } = options;
  if (secretFile !== undefined && secretStdin === true) {
    throw new WeftError('BAD_REQUEST', 'two secrets are given', {
      where: '--secret-stdin',
      hint: 'use --secret-file or --secret-stdin',
    });
  }
  if (secretFile === undefined && secretStdin !== true) return undefined;
  const bytes = secretFile === undefined ? await readStdin(stdin) : await readSecretFile(secretFile);
  return bytes.toString('utf8').replace(/\r?\n$/, '');
}

async function readSecretFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadableFile('the secret', path, error);
  }
}

async function readStdin(stdin: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin as AsyncIterable<Buffer | string>) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    // Room for a line break; what is longer is refused with all other secrets that are too long.
    if (bytes > WEBHOOK_LIMITS.maxSecretBytes + 2) break;
    chunks.push(piece);
  }
  return Buffer.concat(chunks);
}
