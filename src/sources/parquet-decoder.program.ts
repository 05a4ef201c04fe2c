/*
 * Decodes the Parquet file that is open as descriptor 4, in a process of its own: one that never ends or takes all memory
 * then harms nobody. Each message that comes asks for one more {@link ParquetReply}; whoever started the process ends it.
 */
import { fstatSync, readSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { AsyncBuffer } from 'hyparquet';

import { WeftError } from '../platform/errors.js';
import { decodeParquet, type ParquetStep } from './decode-parquet.js';
import { damaged } from './parquet-fault.js';

/** A step, or why there is no further one. */
export type ParquetReply =
  | ParquetStep
  | { readonly kind: 'end' }
  | { readonly kind: 'refused'; readonly message: string; readonly hint: string | undefined }
  | { readonly kind: 'failed'; readonly reason: string };

/** What the file is open as; standard streams and the channel come before. */
const FILE = 4;

/** A decoder that never ends hears nothing. So this looks whether who started it is there still. */
const ORPHAN_WATCH = `const { ppid } = process;
setInterval(() => { if (process.ppid !== ppid) process.kill(process.pid, 'SIGKILL'); }, 1000);`;

function fileOf(fd: number): AsyncBuffer {
  const byteLength = fstatSync(fd).size;
  return {
    byteLength,
    slice: (start, end = byteLength) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(end, byteLength) - start));
      let at = 0;
      while (at < bytes.length) {
        const read = readSync(fd, bytes, at, bytes.length - at, start + at);
        if (read === 0) throw damaged('it ends early');
        at += read;
      }
      return bytes.buffer;
    },
  };
}

function replyOf(error: unknown): ParquetReply {
  if (error instanceof WeftError) return { kind: 'refused', message: error.message, hint: error.hint };
  return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) };
}

function send(reply: ParquetReply): void {
  process.send?.(reply);
}

new Worker(ORPHAN_WATCH, { eval: true, execArgv: [] }).unref();
// An interrupt from the keyboard reaches it too; who started it decides what comes of that.
process.on('SIGINT', () => undefined);
const steps = decodeParquet(fileOf(FILE));
process.on('message', () => {
  steps.next().then(
    ({ value }) => {
      send(value ?? { kind: 'end' });
    },
    (error: unknown) => {
      send(replyOf(error));
    },
  );
});
