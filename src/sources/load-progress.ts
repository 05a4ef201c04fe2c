import { SingleBar } from 'cli-progress';

import type { LoadProgress as LoadOfFile } from './load.model.js';

/**
 * Of a file. `applying`: what it said is in the log and not yet in profiles; `bytesTotal` events are waited for. `removing`:
 * whoever the file does not name is taken off a list, `rows` so far.
 */
export type LoadProgress = Omit<LoadOfFile, 'phase'> & {
  readonly phase: LoadOfFile['phase'] | 'applying' | 'removing';
};

/** Where progress is shown: standard error, so that results can be piped. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface ProgressView {
  update(progress: LoadProgress): void;
  stop(): void;
}

const LINE_EVERY_MS = 5_000;
const BAR_WIDTH = 30;
const PHASES = {
  fetching: 'reading rows of the query',
  hashing: 'reading the file',
  scanning: 'finding the last time',
  loading: 'loading',
  finishing: 'the file is read, writing the last events',
  applying: 'the file is read, its events are being applied',
  removing: 'taking the others off',
} as const;
/** Rates and times left of less are chance. */
const MIN_RATED_MS = 1_000;

/** A bar on a terminal, else a line every 5 s. Rates and time left are of the current phase. */
export function createProgressView(stream: ProgressStream & NodeJS.WritableStream, now: () => number): ProgressView {
  const write = stream.isTTY === true ? barWriter(stream) : lineWriter(stream, now);
  let phase: LoadProgress['phase'] | null = null;
  let phaseStartedAt = 0;
  return {
    update: (progress) => {
      if (progress.phase !== phase) {
        phase = progress.phase;
        phaseStartedAt = now();
      }
      write.show(progress, describeProgress(progress, now() - phaseStartedAt));
    },
    stop: () => {
      write.stop();
    },
  };
}

interface Writer {
  show(progress: LoadProgress, text: string): void;
  stop(): void;
}

function barWriter(stream: NodeJS.WritableStream): Writer {
  const format = `{bar} {percentage}%  {text}`;
  const bar = new SingleBar({ format, barsize: BAR_WIDTH, stream, hideCursor: true, clearOnComplete: true, fps: 5 });
  let isStarted = false;
  return {
    show: ({ bytesRead, bytesTotal }, text) => {
      if (!isStarted) bar.start(bytesTotal, bytesRead, { text });
      isStarted = true;
      // Of rows of a query nobody knows how many there are, until they are in a file.
      bar.setTotal(bytesTotal);
      bar.update(bytesRead, { text });
    },
    stop: () => {
      if (isStarted) bar.stop();
      isStarted = false;
    },
  };
}

function lineWriter(stream: ProgressStream, now: () => number): Writer {
  let nextAt = now() + LINE_EVERY_MS;
  return {
    show: (progress, text) => {
      if (now() < nextAt) return;
      nextAt = now() + LINE_EVERY_MS;
      if (progress.phase === 'fetching' || progress.phase === 'removing') return void stream.write(`${text}\n`);
      const percent = progress.bytesTotal === 0 ? 100 : Math.floor((progress.bytesRead / progress.bytesTotal) * 100);
      stream.write(`${String(percent)}%  ${text}\n`);
    },
    stop: () => undefined,
  };
}

/** `elapsedMs`: since the phase began. Time left is by bytes, which are known from the start; of events there is no telling. */
export function describeProgress(progress: LoadProgress, elapsedMs: number): string {
  const { phase, rows, refused, bytesRead, bytesTotal } = progress;
  const parts: string[] = [PHASES[phase]];
  if (rows > 0) parts.push(`${grouped(rows)} rows`);
  const isRated = elapsedMs >= MIN_RATED_MS && phase !== 'finishing';
  if (phase === 'finishing') parts.push(`${grouped(progress.events)} events`);
  if (rows > 0 && isRated) parts.push(`${grouped(Math.round((rows / elapsedMs) * 1_000))} rows/s`);
  if (refused > 0) parts.push(`${grouped(refused)} refused`);
  if (bytesRead > 0 && bytesRead < bytesTotal && isRated) {
    parts.push(`${durationOf((elapsedMs * (bytesTotal - bytesRead)) / bytesRead)} left`);
  }
  return parts.join(', ');
}

export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function durationOf(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  if (seconds < 60) return `${String(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${String(minutes)} min ${String(seconds % 60)} s`;
  return `${String(Math.floor(minutes / 60))} h ${String(minutes % 60)} min`;
}
