import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';

import { parse } from 'csv-parse/sync';
import { beforeAll, describe, expect, it } from 'vitest';

import type { LoggedEvent } from '../src/events/event.model.js';
import type { FeatureDefinition } from '../src/features/feature.model.js';
import { parseFeatures } from '../src/features/parse-features.js';
import { type CompiledSegment, compileSegment } from '../src/segments/compile-segment.js';
import { type ParsedSegment, parseSegment } from '../src/segments/parse-segment.js';
import { matchQuality } from './match-quality.js';
import { contextOf, type ReplayedProfile, replayProfiles, replaySource } from './replay-sources.js';
import { parseSeedSegments, parseSeedSources, type SeedSegment } from './seed-definitions.js';

const SEEDS = new URL('./', import.meta.url);
const NOW_MS = Date.UTC(2026, 0, 15, 12);
const read = (path: string): Promise<string> => readFile(new URL(path, SEEDS), 'utf8');

const definitions = parseFeatures(await read('features.yaml'), 'features.yaml');
const { sources, truth } = parseSeedSources(await read('sources.yaml'));
const segments = parseSeedSegments(await read('segments.yaml'));
const registered = definitions.views.flatMap((view) => view.features);
const schema = {
  features: new Map(registered.map(({ name, type }) => [name, type])),
  models: new Set(['purchase_intent', 'rfm_clusters']),
  segments: new Set(segments.map((segment) => segment.key)),
};
const parsed = segments.map((segment) => ({
  segment,
  expression: parseSegment(segment.expression, schema),
  appliesTo: parseSegment(segment.audience?.expression ?? segment.expression, schema),
}));

let events: LoggedEvent[];
let profiles: readonly ReplayedProfile[];
let sizes: Map<string, { members: number; outside: number; applies: number }>;

beforeAll(async () => {
  events = [];
  for (const [index, source] of sources.entries()) {
    const replayed = await replaySource(SEEDS.pathname, source, await read(source.mapping), index + 1, NOW_MS);
    for (const event of replayed.events) events.push(event);
  }
  const sourceIds = new Map(sources.map((source, index) => [source.key, index + 1]));
  const replay = replayProfiles(events, allFeatures(), sourceIds);
  profiles = replay.profiles;
  const indexOf = (name: string): number | undefined => replay.features.indexOf(name);
  const compiled = parsed.map(({ segment, expression, appliesTo }, index) => ({
    segment,
    member: compile(segment, expression, index, indexOf),
    applies: compile(segment, appliesTo, index, indexOf),
  }));
  sizes = new Map(segments.map(({ key }) => [key, { members: 0, outside: 0, applies: 0 }]));
  for (const profile of profiles) {
    const memberOf = new Set<string>();
    const context = contextOf(
      replay.features,
      profile,
      () => undefined,
      (key) => memberOf.has(key),
    );
    for (const { segment, member, applies } of compiled) {
      const size = sizes.get(segment.key);
      const isMember = member.evaluate(context, NOW_MS);
      const isApplied = applies.evaluate(context, NOW_MS);
      if (isMember) memberOf.add(segment.key);
      if (size === undefined) continue;
      if (isApplied) size.applies += 1;
      if (isMember && isApplied) size.members += 1;
      if (isMember && !isApplied) size.outside += 1;
    }
  }
}, 120_000);

function allFeatures(): FeatureDefinition[] {
  const all = new Map(registered.map((feature) => [feature.name, feature]));
  for (const { expression, appliesTo } of parsed) {
    for (const feature of [...expression.requires.inlineFeatures, ...appliesTo.requires.inlineFeatures]) {
      all.set(feature.name, feature);
    }
  }
  return [...all.values()];
}

function compile(
  segment: SeedSegment,
  expression: ParsedSegment,
  index: number,
  indexOf: (name: string) => number | undefined,
): CompiledSegment {
  return compileSegment(expression, { key: segment.key, segmentId: index + 1, version: 1 }, indexOf);
}

const ruleBased = parsed
  .filter(({ segment, expression }) => segment.audience !== null && expression.requires.models.length === 0)
  .filter(({ expression }) => expression.requires.segments.length === 0)
  .map(({ segment }) => segment);

describe('the demo loaded an hour after its last event', () => {
  it('turns every invoice with a customer, every click, CRM row and interaction into an event', () => {
    const counts = sources.map((_source, index) => events.filter((event) => event.sourceId === index + 1).length);
    expect(counts).toEqual([4480, 22_190, 32_555, 4000]);
  });

  it('keeps every order line of a customer', () => {
    const lines = events.filter((event) => event.sourceId === 2).map((event) => event.properties['lines'] as unknown[]);
    expect(lines.reduce((total, list) => total + list.length, 0)).toBe(406_829);
  });

  it('ends each source one hour before the start', () => {
    for (const index of sources.keys()) {
      const last = events.reduce(
        (at, event) => (event.sourceId === index + 1 ? Math.max(at, event.occurredAt) : at),
        0,
      );
      expect(NOW_MS - last).toBe(3_600_000);
    }
  });

  it('has at least eight segments by rule alone', () => {
    expect(ruleBased.length).toBeGreaterThanOrEqual(8);
  });

  it.each(ruleBased)('holds 1 % to 60 % of those whom $key applies to, and nobody else', ({ key }) => {
    const { members, outside, applies } = sizes.get(key) ?? { members: 0, outside: 0, applies: 0 };
    expect(members / applies).toBeGreaterThanOrEqual(0.01);
    expect(members / applies).toBeLessThanOrEqual(0.6);
    expect(outside).toBe(0);
  });

  it('lets identity be nearly always right, and far from complete', async () => {
    const table = gunzipSync(await readFile(new URL(truth, SEEDS))).toString();
    const rows = parse<Record<string, string>>(table, { columns: true }).map((row) => ({
      personId: row['person_id'] ?? '',
      ns: row['ns'] ?? '',
      value: row['value'] ?? '',
    }));
    const profileOf = new Map<string, string>();
    profiles.forEach((profile, index) => {
      for (const { ns, value } of profile.identifiers) profileOf.set(`${ns}:${value}`, String(index));
    });
    const quality = matchQuality(rows, (ns, value) => profileOf.get(`${ns}:${value}`));
    expect(rows.filter(({ ns, value }) => !profileOf.has(`${ns}:${value}`))).toEqual([]);
    expect(quality.precision).toBeGreaterThan(0.99);
    expect(quality.recall).toBeGreaterThan(0.8);
    expect(quality.recall).toBeLessThan(0.95);
  });
});
