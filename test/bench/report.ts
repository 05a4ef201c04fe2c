import { cpus, loadavg, totalmem } from 'node:os';

/** One number, measured once a round. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly rounds: readonly number[];
  /** What it should be, as `≥ 8,000`. */
  readonly aim?: string;
}

export interface Section {
  readonly title: string;
  /** What was done and what counts, a sentence each. */
  readonly notes: readonly string[];
  readonly figures: readonly Figure[];
  /** Where the time went, by part of the program; shares of the wall time of one thread. */
  readonly profile?: readonly { readonly name: string; readonly share: number }[];
}

export interface Report {
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly tookS: number;
  readonly machine: Machine;
  readonly sections: readonly Section[];
}

export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGb: number;
  readonly node: string;
  readonly postgres: string;
  readonly platform: string;
  /** Mean number of runnable processes over the minute before the run. */
  readonly loadBefore: number;
}

export function machineOf(postgres: string): Machine {
  const cores = cpus();
  return {
    cores: cores.length,
    cpu: (cores[0]?.model ?? 'unknown').trim(),
    memoryGb: rounded(totalmem() / 2 ** 30),
    node: process.versions.node,
    postgres,
    platform: `${process.platform} ${process.arch}`,
    loadBefore: rounded(loadavg()[0] ?? 0),
  };
}

export function figure(name: string, unit: string, rounds: readonly number[], aim?: string): Figure {
  const median = rounded(medianOf(rounds));
  return { name, unit, median, rounds: rounds.map(rounded), ...(aim === undefined ? {} : { aim }) };
}

/** The ratio of each round, so that what slows the machine for a while slows both sides. */
export function ratio(name: string, of: readonly number[], to: readonly number[], aim?: string): Figure {
  return figure(
    name,
    '',
    of.map((value, i) => value / (to[i] ?? NaN)),
    aim,
  );
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low = NaN, high = NaN] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return (low + high) / 2;
}

/** By nearest rank; NaN of nothing. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN;
}

/** Three digits say enough. */
function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

const QUIET_LOAD_PER_CORE = 0.75;
const NAME_WIDTH = 50;
const VALUE_WIDTH = 10;
const UNIT_WIDTH = 10;
const SPREAD_WIDTH = 20;

export function formatMachine(machine: Machine): string {
  const { cores, cpu, memoryGb, node, postgres, platform, loadBefore } = machine;
  const busy =
    loadBefore < QUIET_LOAD_PER_CORE * cores ? '' : 'The machine is busy: times are too long, rates too low.\n';
  return `${String(cores)} cores (${cpu}), ${String(memoryGb)} GiB, ${platform}, Node ${node}, PostgreSQL ${postgres}; load before the run ${String(loadBefore)}\n${busy}`;
}

export function formatSection({ title, notes, figures, profile }: Section): string {
  const lines = [
    '',
    title,
    ...notes.map((note) => `  ${note}`),
    '',
    row('', 'median', '', 'min … max', 'aim'),
    ...figures.map(({ name, unit, median, rounds, aim }) => row(name, text(median), unit, spread(rounds), aim ?? '')),
  ];
  if (profile !== undefined) {
    const shares = profile.map(({ name, share }) => `${name} ${(share * 100).toFixed(1)} %`);
    lines.push('', '  self time of the one thread, in a round of its own that is not counted above:');
    lines.push(...wrapped(shares, NAME_WIDTH + VALUE_WIDTH + UNIT_WIDTH + SPREAD_WIDTH));
  }
  return `${lines.join('\n')}\n`;
}

function row(name: string, value: string, unit: string, range: string, aim: string): string {
  const cells = [name.padEnd(NAME_WIDTH), value.padStart(VALUE_WIDTH), ` ${unit.padEnd(UNIT_WIDTH)}`];
  return `  ${[...cells, range.padEnd(SPREAD_WIDTH), aim].join(' ')}`.trimEnd();
}

function text(value: number): string {
  return value >= 1_000 ? value.toLocaleString('en-GB') : String(value);
}

function spread(rounds: readonly number[]): string {
  if (rounds.length < 2) return '';
  return `${text(Math.min(...rounds))} … ${text(Math.max(...rounds))}`;
}

function wrapped(parts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const part of parts) {
    if (line !== '' && line.length + part.length + 2 > width) {
      lines.push(`  ${line},`);
      line = part;
    } else line = line === '' ? part : `${line}, ${part}`;
  }
  return [...lines, `  ${line}`];
}
