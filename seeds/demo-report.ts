import type { LoadResult } from '../src/sources/load.model.js';
import type { MatchQuality } from './match-quality.js';

/** One line of the demo's segment table. */
export interface SegmentLine {
  readonly key: string;
  readonly name: string;
  readonly size: number;
  /** Null for an audience itself. */
  readonly audience: { readonly key: string; readonly size: number } | null;
}

export interface DemoSummary {
  readonly loads: readonly LoadResult[];
  readonly events: number;
  readonly profiles: number;
  readonly merges: number;
  readonly identifiers: number;
  readonly features: number;
  readonly models: readonly string[];
  readonly segments: readonly SegmentLine[];
  readonly quality: MatchQuality;
  /** From the first row read to the last event applied. */
  readonly seconds: number;
}

/** The summary as a person reads it on a terminal of 100 columns. */
export function formatSummary(summary: DemoSummary): string {
  const { loads, quality, segments } = summary;
  const sources = table(
    ['source', 'rows', 'events', 'known already', 'quarantined'],
    loads.map((load) => [
      load.source,
      count(load.rows),
      count(load.accepted),
      count(load.duplicates),
      load.refused === 0 ? '0' : `${count(load.refused)} (${Object.keys(load.refusedByCode).join(', ')})`,
    ]),
  );
  const sizes = table(
    ['segment', 'members', 'share of', ''],
    segments.map(({ key, size, audience }) => [
      key,
      count(size),
      audience === null ? '' : audience.key,
      audience === null ? '' : share(size, audience.size),
    ]),
  );
  const applied = loads.reduce((sum, load) => sum + load.accepted, 0);
  const facts = [
    ['events', count(summary.events)],
    ['identifiers', count(summary.identifiers)],
    ['profiles', `${count(summary.profiles)}, after ${count(summary.merges)} merges`],
    ['features', count(summary.features)],
    ['models', summary.models.join(', ')],
    [
      'identity',
      `precision ${quality.precision.toFixed(3)}, recall ${quality.recall.toFixed(3)} over pairs of identifiers, ` +
        `against ${count(quality.people)} people of the truth table`,
    ],
  ];
  if (applied > 0) {
    facts.push([
      'speed',
      `${count(Math.round(applied / summary.seconds))} events/s, from reading the files to the last segment`,
    ]);
  }
  return `${sources}\n\n${table([], facts)}\n\n${sizes}\n`;
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = head.length === 0 ? rows : [head, ...rows];
  const columns = Math.max(...all.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  const isNumeric = widths.map((_, i) => rows.length > 0 && rows.every((row) => /^[\d,.]* ?%?$/.test(row[i] ?? '')));
  const line = (row: readonly string[]): string =>
    `  ${widths.map((width, i) => pad(row[i] ?? '', width, isNumeric[i] === true)).join('  ')}`.trimEnd();
  return all.map(line).join('\n');
}

function pad(text: string, width: number, toTheRight: boolean): string {
  return toTheRight ? text.padStart(width) : text.padEnd(width);
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function share(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((part / whole) * 100).toFixed(1)} %`;
}
