import { SingleBar } from 'cli-progress';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import { EXIT_CODES, type CommandIo } from './platform/command-line.js';

export type ProgressStream = CommandIo['stderr'] & NodeJS.WritableStream & { readonly isTTY?: boolean };

/** Shows how far something is that goes by components, where there is a terminal. */
export async function withComponentBar<T>(
  stream: ProgressStream,
  run: (onProgress: (done: number, total: number | null) => void) => Promise<T>,
): Promise<T> {
  const bar = stream.isTTY === true ? new SingleBar({ stream, clearOnComplete: true }) : null;
  bar?.start(1, 0);
  try {
    return await run((done, total) => {
      bar?.setTotal(Math.max(total ?? 0, done, 1));
      bar?.update(done);
    });
  } finally {
    bar?.stop();
  }
}

/** What came of resolving components anew, in a line. */
export function reresolutionText({ stepsDone, result }: IdentityRevisionRecord): string {
  const { moved = 0, contested = 0, failed = 0, resolved = stepsDone } = result ?? {};
  // Whoever is put back is resolved before components are looked at, and is none of these.
  const components =
    resolved < stepsDone ? `${String(resolved)} of ${some(stepsDone, 'component')}` : some(resolved, 'component');
  return (
    `${components} resolved, ${some(moved, 'identifier')} moved, ` +
    `${String(contested)} contested, ${String(failed)} failed.\n`
  );
}

function some(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? '' : 's'}`;
}

export function reresolutionJson({ id, status, stepsDone, result, failure }: IdentityRevisionRecord): object {
  return { id, status, components: stepsDone, ...result, failure };
}

/** Tells of a failure, and what the command ends with. */
export function reresolutionExit(
  { stderr }: Pick<CommandIo, 'stderr'>,
  { status, failure }: IdentityRevisionRecord,
): number {
  if (status === 'done') return EXIT_CODES.ok;
  stderr.write(`error: ${failure?.message ?? 'it failed'}\n`);
  return EXIT_CODES.failed;
}
