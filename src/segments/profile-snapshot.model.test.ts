import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../events/event.model.js';
import type { FeatureSet } from '../features/feature-set.model.js';
import type { Trait } from '../profiles/trait.model.js';
import type { ProfileWork } from './profile-work.model.js';
import { glanceAt, glanceOf, packAlias, packProfile, unpackSnapshot } from './profile-snapshot.model.js';

const ID = '018bcfe5-687b-7000-8000-000000000001';

const profile = fc.record({
  identifiers: fc.array(fc.record({ ns: fc.string(), value: fc.string({ maxLength: 300 }) }), { maxLength: 20 }),
  traits: fc.dictionary(
    fc.string({ unit: 'binary' }),
    fc.jsonValue({ maxDepth: 3 }).map((value) => value as JsonValue),
    { maxKeys: 20 },
  ),
  state: fc.uint8Array({ maxLength: 70_000 }),
  segments: fc.uniqueArray(fc.nat(), { maxLength: 40 }),
  asOf: fc.integer({ min: 0, max: 2 ** 45 }),
});

const KEY = { occurredAt: 1_700_000_000_001, sourceId: 3, messageId: 'm' };

function plainTrait(value: JsonValue): Trait {
  return { value, ...KEY, held: null };
}

function declaredTrait(value: JsonValue): Trait {
  const kept = [{ value, ...KEY, provenance: 2, weight: 2, rank: 0 }];
  return { value, ...KEY, held: { kind: 'most_recent', kept, overflow: true, deletedAt: 0 } };
}

function packed({
  identifiers,
  traits,
  state,
  segments,
  asOf,
}: typeof profile extends fc.Arbitrary<infer T> ? T : never): Buffer {
  const work = {
    id: ID,
    createdAt: 1_700_000_000_000,
    identifiers: new Map(identifiers.map((identifier, i) => [String(i), identifier])),
    traits: new Map(
      Object.entries(traits).map(([name, value], i) => [name, i % 2 === 0 ? plainTrait(value) : declaredTrait(value)]),
    ),
    anchors: new Map(),
    stale: new Set(segments.slice(0, 1)),
    memberships: new Map(segments.map((segmentId) => [segmentId, { segmentId, since: 5, version: 1, cause: 'EVENT' }])),
  };
  const features = { encode: () => Buffer.from(state) };
  return packProfile(work as unknown as ProfileWork, features as unknown as FeatureSet, asOf);
}

describe('a glance at a stored profile', () => {
  it('shows what unpacking all of it shows, in whatever order it is asked', () => {
    fc.assert(
      fc.property(profile, fc.boolean(), fc.array(fc.string(), { maxLength: 3 }), (some, traitsFirst, others) => {
        const bytes = packed(some);
        const unpacked = unpackSnapshot(bytes);
        const glance = glanceAt(bytes);
        if ('alias' in unpacked || 'alias' in glance) throw new Error('it is no alias');
        const names = [...new Set([...unpacked.profile.traits.keys(), ...others])].reverse();
        const asked = { names, utf8: names.map((name) => Buffer.from(name)) };
        const whole = glanceOf(unpacked.profile);
        if (traitsFirst) expect(glance.traitValues(asked)).toEqual(whole.traitValues(asked));
        expect(glance.segmentIds()).toEqual(whole.segmentIds());
        expect(glance.traitValues(asked)).toEqual(whole.traitValues(asked));
        expect([glance.id, glance.asOf, glance.state]).toEqual([ID, some.asOf, Buffer.from(some.state)]);
        expect(glance.segmentIds()).toEqual(some.segments);
      }),
    );
  });

  it('tells which profile one became part of', () => {
    expect(glanceAt(packAlias(ID))).toEqual({ alias: ID });
  });

  it('refuses what no version has written', () => {
    expect(() => glanceAt(Buffer.from([0x91, 0x07]))).toThrow('unknown format 7');
    expect(() => glanceAt(Buffer.from('{}'))).toThrow(RangeError);
    expect(() => glanceAt(Buffer.alloc(0))).toThrow(RangeError);
  });
});
