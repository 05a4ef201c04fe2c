import { WeftError } from './errors.js';
import { errnoOf } from './file-lock.js';

const REASONS: Readonly<Record<string, readonly [what: string, hint: string]>> = {
  ENOENT: ['there is no such file', 'check the path; it is read from the folder in which the command runs'],
  EACCES: ['reading it is not allowed', 'give the user who runs the command the right to read it'],
  EPERM: ['reading it is not allowed', 'give the user who runs the command the right to read it'],
  EISDIR: ['it is a folder', 'name a file in it'],
  ENOTDIR: ['a part of the path is no folder', 'check the path'],
};

/**
 * For a file that a command was given and cannot read, in words.
 * @param what the file is to it, as `the secret`
 */
export function unreadableFile(what: string, path: string, cause: unknown): WeftError {
  const code = errnoOf(cause);
  const [reason, hint] = REASONS[code] ?? [`reading it failed${code === '' ? '' : ` (${code})`}`, 'check the path'];
  return new WeftError('BAD_REQUEST', `${what} cannot be read: ${reason}`, { where: path, hint, cause });
}
