import type { JsonValue } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { HeldValues, Observation } from './held-values.js';
import { SURVIVORSHIPS, type Survivorship } from './trait-rule.model.js';
import { traitOf } from './traits.model.js';
import type { Trait, Traits } from './trait.model.js';

/*
 * The traits of an anchor, packed.
 *
 *     byte 0   format; 0 = all plain, 1 = some held
 *     byte 1…  UTF-8 JSON, a list of rows sorted by name: equal traits give equal bytes
 *              plain   [name, value, occurredAt, sourceId, messageId]
 *              held    [name, [kind, deletedAt, overflow, observation, …]]
 *              observation   [value, occurredAt, sourceId, messageId, provenance, weight, rank]
 *
 * No traits are no bytes. What is shown of held values is not stored: it is a function of them.
 */

type PlainRow = [name: string, value: JsonValue, occurredAt: number, sourceId: number, messageId: string];
type HeldRow = [name: string, held: [kind: number, deletedAt: number, overflow: number, ...kept: PackedObservation[]]];
type PackedObservation = [JsonValue, number, number, string, number, number, number];

const FORMAT_PLAIN = 0;
const FORMAT_HELD = 1;

export function encodeTraits(traits: Traits): Buffer {
  if (traits.size === 0) return Buffer.alloc(0);
  const rows: (PlainRow | HeldRow)[] = [];
  let format = FORMAT_PLAIN;
  for (const [name, trait] of traits) {
    if (trait.held === null) {
      rows.push([name, trait.value ?? null, trait.occurredAt, trait.sourceId, trait.messageId]);
    } else {
      rows.push(packHeld(name, trait.held));
      format = FORMAT_HELD;
    }
  }
  rows.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  // Both are one byte in UTF-8: the format costs no second copy.
  return Buffer.from(`${format === FORMAT_PLAIN ? '\0' : '\u0001'}${JSON.stringify(rows)}`);
}

function packHeld(name: string, { kind, kept, deletedAt, overflow }: HeldValues): HeldRow {
  return [
    name,
    [
      SURVIVORSHIPS.indexOf(kind),
      deletedAt,
      overflow ? 1 : 0,
      ...kept.map((o): PackedObservation => [
        o.value,
        o.occurredAt,
        o.sourceId,
        o.messageId,
        o.provenance,
        o.weight,
        o.rank,
      ]),
    ],
  ];
}

/** @throws WeftError INTERNAL on a format this version does not know. */
export function decodeTraits(bytes: Buffer): Traits {
  const traits: Traits = new Map();
  if (bytes.length === 0) return traits;
  const format = bytes[0] ?? -1;
  if (format !== FORMAT_PLAIN && format !== FORMAT_HELD) throw unknownFormat(format);
  for (const row of JSON.parse(bytes.toString('utf8', 1)) as (PlainRow | HeldRow)[]) {
    traits.set(row[0], row.length === 2 ? unpackHeld(row) : unpackPlain(row));
  }
  return traits;
}

function unpackPlain([, value, occurredAt, sourceId, messageId]: PlainRow): Trait {
  return { value, occurredAt, sourceId, messageId, held: null };
}

function unpackHeld([name, [kindIndex, deletedAt, overflow, ...packed]]: HeldRow): Trait {
  const kind = SURVIVORSHIPS[kindIndex];
  if (kind === undefined) throw unknownFormat(`${String(FORMAT_HELD)} with the rule ${String(kindIndex)}`, name);
  const kept = packed.map(([value, occurredAt, sourceId, messageId, provenance, weight, rank]): Observation => ({
    value,
    occurredAt,
    sourceId,
    messageId,
    provenance,
    weight,
    rank,
  }));
  return traitOf({ kind: kind satisfies Survivorship, kept, overflow: overflow === 1, deletedAt });
}

function unknownFormat(format: number | string, where?: string): WeftError {
  return new WeftError('INTERNAL', `traits are stored in unknown format ${String(format)}`, {
    ...(where === undefined ? {} : { where }),
    hint: 'this database was written by a newer version of Weft',
  });
}
