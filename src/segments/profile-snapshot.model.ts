import { Packr } from 'msgpackr';
import type { CanonicalKey, JsonValue } from '../events/event.model.js';
import type { FeatureSet } from '../features/feature-set.model.js';
import type { Uuid } from '../platform/ids.js';
import { MsgpackReader } from '../platform/msgpack-reader.js';
import type { HeldConsent } from '../profiles/consent.model.js';
import { PROVENANCES, type Provenance } from '../profiles/trait-rule.model.js';
import { provenanceOfTrait } from '../profiles/traits.model.js';
import type { Trait, Traits } from '../profiles/trait.model.js';
import { WeftError } from '../platform/errors.js';
import type { ProfileWork } from './profile-work.model.js';
import type { ChangeCause } from './segment.model.js';
import { isShadow } from './shadow.model.js';

/*
 * What the online store keeps of a profile: everything a read needs, in one value.
 *
 *   key   p:<profile id>     msgpack array: [format, ...fields], see PackedSnapshot; or [format, survivor id] of an alias
 *   key   i:<identifier id>  the profile's id, 36 bytes of text
 *
 * Features are kept as packed state, not as values: a value is computed for the instant of the read.
 */

const FORMAT = 1;
const ALIAS = 2;

export interface SnapshotMembership {
  readonly segmentId: number;
  readonly since: number;
  readonly version: number;
  readonly cause: ChangeCause;
}

/** A trait that has a value. */
export interface SnapshotTrait extends CanonicalKey {
  readonly value: JsonValue;
  readonly provenance: Provenance;
  /** Whether values that count were left out, because there were too many. */
  readonly approximate: boolean;
}

export interface ProfileSnapshot {
  readonly id: Uuid;
  readonly createdAt: number;
  /** The instant of its newest evaluation, ms: what `memberships` are as of. */
  readonly asOf: number;
  readonly identifiers: readonly (readonly [ns: string, value: string])[];
  readonly traits: ReadonlyMap<string, SnapshotTrait>;
  /** Merged state of all anchors; `FeatureSet.decode` reads it. */
  readonly state: Buffer;
  readonly memberships: readonly SnapshotMembership[];
  /** Ids of segments that could not be judged by then: whether it is in them is as of before. */
  readonly stale: readonly number[];
}

type PackedTrait = [
  name: string,
  value: JsonValue,
  occurredAt: number,
  sourceId: number,
  messageId: string,
  /** Index into `PROVENANCES` and 1 for an approximate value; left out of what was merely observed. */
  provenance?: number,
  approximate?: number,
];

type PackedSnapshot = [
  format: number,
  id: Uuid,
  createdAt: number,
  asOf: number,
  identifiers: [string, string][],
  traits: PackedTrait[],
  state: Buffer,
  memberships: [number, number, number, ChangeCause][],
  /** Left out where there are none. */
  stale?: number[],
];

const OBSERVED = PROVENANCES.indexOf('observed');
const packr = new Packr({ useRecords: false, variableMapSize: true });

export const profileKey = (id: Uuid): string => `p:${id}`;
export const identifierKey = (id: Uuid): string => `i:${id}`;

export function packProfile(profile: ProfileWork, features: FeatureSet, asOf: number): Buffer {
  const packed: PackedSnapshot = [
    FORMAT,
    profile.id,
    profile.createdAt,
    asOf,
    [...profile.identifiers.values()].map(({ ns, value }) => [ns, value]),
    packTraits(profile.traits),
    packedState(profile, features),
    // What nobody is told is not where everybody reads.
    [...profile.memberships.values()]
      .filter(({ segmentId }) => !isShadow(segmentId))
      .map((m) => [m.segmentId, m.since, m.version, m.cause]),
  ];
  if (profile.stale.size > 0) packed.push([...profile.stale]);
  return packr.pack(packed);
}

function packTraits(traits: Traits): PackedTrait[] {
  const packed: PackedTrait[] = [];
  for (const [name, trait] of traits) {
    const { value, occurredAt, sourceId, messageId } = trait;
    // What is left of one that was deleted is for its anchor to know.
    if (value === undefined) continue;
    if (trait.held === null) packed.push([name, value, occurredAt, sourceId, messageId]);
    else packed.push([name, value, occurredAt, sourceId, messageId, ...classOf(trait)]);
  }
  return packed;
}

function classOf(trait: Trait): [provenance: number, approximate: number] {
  return [PROVENANCES.indexOf(provenanceOfTrait(trait)), trait.held?.overflow === true ? 1 : 0];
}

/** Of a profile with one anchor the bytes are those that were saved for it. */
function packedState({ anchors, merged }: ProfileWork, features: FeatureSet): Buffer {
  if (anchors.size === 1) {
    for (const anchor of anchors.values()) {
      if (anchor.state === merged && !anchor.dirty && anchor.packedState !== null) return anchor.packedState;
    }
  }
  return features.encode(merged);
}

export function packAlias(survivor: Uuid): Buffer {
  return packr.pack([ALIAS, survivor]);
}

/** A profile, or the id of the one that it became part of. */
export type UnpackedSnapshot = { readonly profile: ProfileSnapshot } | { readonly alias: Uuid };

/** @throws WeftError INTERNAL on a format that this version does not know */
export function unpackSnapshot(bytes: Buffer): UnpackedSnapshot {
  const packed = packr.unpack(bytes) as PackedSnapshot | [number, Uuid];
  if (packed[0] === ALIAS) return { alias: packed[1] };
  if (packed[0] !== FORMAT) throw new WeftError('INTERNAL', `unknown format ${String(packed[0])} of a stored profile`);
  const [, id, createdAt, asOf, identifiers, traits, state, memberships, stale = []] = packed as PackedSnapshot;
  return {
    profile: {
      id,
      createdAt,
      asOf,
      identifiers,
      traits: new Map(
        traits.map(([name, value, occurredAt, sourceId, messageId, provenance = OBSERVED, approximate = 0]) => [
          name,
          {
            value,
            occurredAt,
            sourceId,
            messageId,
            provenance: PROVENANCES[provenance] ?? 'observed',
            approximate: approximate === 1,
          },
        ]),
      ),
      state,
      memberships: memberships.map(([segmentId, since, version, cause]) => ({ segmentId, since, version, cause })),
      stale,
    },
  };
}

/** What a page view needs of a stored profile. */
export interface ProfileGlance {
  readonly id: Uuid;
  readonly asOf: number;
  readonly state: Buffer;
  segmentIds(): readonly number[];
  /** The value of each trait, in the order asked; undefined where there is none. */
  traitValues(asked: TraitNames): readonly (JsonValue | undefined)[];
  /** The word on each purpose, by the reserved traits that they are kept under, in the order asked. */
  consents(asked: TraitNames): readonly (HeldConsent | undefined)[];
}

/** Names of traits, and beside them the same in UTF-8. */
export interface TraitNames {
  readonly names: readonly string[];
  readonly utf8: readonly Buffer[];
}

export function glanceOf({ id, asOf, state, memberships, traits }: ProfileSnapshot): ProfileGlance {
  return {
    id,
    asOf,
    state,
    segmentIds: () => memberships.map(({ segmentId }) => segmentId),
    traitValues: ({ names }) => names.map((name) => traits.get(name)?.value),
    consents: ({ names }) => names.map((name) => traits.get(name)),
  };
}

/**
 * The same of a blob that is not unpacked but for what is asked, or the id of the profile that it became part of.
 * @throws RangeError, WeftError INTERNAL for bytes that are damaged or of another format
 */
export function glanceAt(bytes: Buffer): ProfileGlance | { readonly alias: Uuid } {
  const reader = new MsgpackReader(bytes);
  reader.arrayLength();
  const format = reader.number();
  if (format === ALIAS) return { alias: reader.text() };
  if (format !== FORMAT) throw new WeftError('INTERNAL', `unknown format ${String(format)} of a stored profile`);
  return new PackedGlance(bytes, reader);
}

/** Values lie in the order of {@link PackedSnapshot}; where a part begins is known once all before it was gone past. */
class PackedGlance implements ProfileGlance {
  readonly asOf: number;
  readonly #bytes: Buffer;
  readonly #idAt: number;
  readonly #traitsAt: number;
  #stateAt = -1;

  /** @param reader before the id */
  constructor(bytes: Buffer, reader: MsgpackReader) {
    this.#bytes = bytes;
    this.#idAt = reader.at;
    reader.skip(2);
    this.asOf = reader.number();
    reader.skip();
    this.#traitsAt = reader.at;
  }

  get id(): Uuid {
    return new MsgpackReader(this.#bytes, this.#idAt).text();
  }

  get state(): Buffer {
    return this.#atState().binary();
  }

  traitValues({ utf8 }: TraitNames): (JsonValue | undefined)[] {
    const values = new Array<JsonValue | undefined>(utf8.length).fill(undefined);
    this.#eachTrait(utf8, (index, reader) => {
      values[index] = reader.any() as JsonValue;
      return 1;
    });
    return values;
  }

  consents({ utf8 }: TraitNames): (HeldConsent | undefined)[] {
    const held = new Array<HeldConsent | undefined>(utf8.length).fill(undefined);
    this.#eachTrait(utf8, (index, reader) => {
      held[index] = { value: reader.any() as JsonValue, occurredAt: reader.number() };
      return 2;
    });
    return held;
  }

  /** @param read what stands behind the name of a trait that is asked for; how many fields it has read */
  #eachTrait(utf8: readonly Buffer[], read: (index: number, reader: MsgpackReader) => number): void {
    const reader = new MsgpackReader(this.#bytes, this.#traitsAt);
    for (let left = reader.arrayLength(); left > 0; left--) {
      const fields = reader.arrayLength();
      const index = reader.textAmong(utf8);
      reader.skip(fields - 1 - (index < 0 ? 0 : read(index, reader)));
    }
    this.#stateAt = reader.at;
  }

  segmentIds(): number[] {
    const reader = this.#atState();
    reader.skip();
    const ids: number[] = [];
    for (let left = reader.arrayLength(); left > 0; left--) {
      const fields = reader.arrayLength();
      ids.push(reader.number());
      reader.skip(fields - 1);
    }
    return ids;
  }

  #atState(): MsgpackReader {
    const reader = new MsgpackReader(this.#bytes, this.#stateAt < 0 ? this.#traitsAt : this.#stateAt);
    if (this.#stateAt < 0) {
      reader.skip();
      this.#stateAt = reader.at;
    }
    return reader;
  }
}
