import { SingleBar } from 'cli-progress';
import type { Clock } from '../platform/clock.js';
import type { CommandIo } from '../platform/command-line.js';

export interface ExportProgressParts {
  readonly clock: Clock;
  readonly stderr: CommandIo['stderr'] & NodeJS.WritableStream & { readonly isTTY?: boolean };
}

const LINE_EVERY_MS = 5_000;

/** A bar on a terminal, else a line every 5 s; both with the time that is left. */
export class ExportProgress {
  readonly #parts: ExportProgressParts;
  readonly #total: number;
  readonly #unit: string;
  readonly #startedAt: number;
  /** What was done before. */
  #base = 0;
  readonly #bar: SingleBar | null;
  #nextLineAt: number;

  /** @param unit what is counted, as `rows` */
  constructor(parts: ExportProgressParts, total: number, unit: string) {
    this.#parts = parts;
    this.#total = total;
    this.#unit = unit;
    this.#startedAt = parts.clock.now();
    this.#nextLineAt = this.#startedAt + LINE_EVERY_MS;
    const { stderr: stream } = parts;
    const format = `{bar} {percentage}%  {value} of {total} ${unit}{text}`;
    const options = { format, stream, barsize: 30, hideCursor: true, clearOnComplete: true, fps: 5 };
    this.#bar = stream.isTTY === true ? new SingleBar(options) : null;
    this.#bar?.start(total, 0, { text: '' });
  }

  /** Goes on where another run ended: what it did tells nothing of the time that is left. */
  goOn(done: number): void {
    this.#base = done;
    this.note(`goes on after ${grouped(done)} ${this.#unit} that are kept`);
  }

  /** What was done so far counts for nothing. */
  beginAnew(reason: string): void {
    this.#base = 0;
    this.note(`${reason}: begins anew`);
  }

  /** @param more done by this run; `events` likewise, where they are counted beside it */
  update(more: number, events: number | null = null): void {
    const done = this.#base + more;
    const now = this.#parts.clock.now();
    const elapsedMs = now - this.#startedAt;
    const leftMs = (elapsedMs * Math.max(0, this.#total - done)) / Math.max(1, done - this.#base);
    const text = `${events === null ? '' : `, ${grouped(events)} events`}, ${String(Math.ceil(leftMs / 1_000))} s left`;
    this.#bar?.update(done, { text });
    if (this.#bar !== null || now < this.#nextLineAt) return;
    this.#nextLineAt = now + LINE_EVERY_MS;
    this.#parts.stderr.write(`${grouped(done)} of ${grouped(this.#total)} ${this.#unit}${text}\n`);
  }

  note(text: string): void {
    this.#parts.stderr.write(`note: ${text}\n`);
  }

  stop(): void {
    this.#bar?.stop();
  }
}

/** `1,234,567`. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
