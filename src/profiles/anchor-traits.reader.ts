import type { JsonValue } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { decodeTraits } from './trait-codec.js';
import type { Traits } from './trait.model.js';
import { mergeTraits } from './traits.model.js';

/** Reads what anchors hold, for whoever puts them together otherwise than profiles do. */
export class AnchorTraitsReader {
  /** By identifier; of those on which no event hangs, nothing. */
  async traits(db: Queryable, identifierIds: readonly Uuid[]): Promise<Map<Uuid, Traits>> {
    const { rows } = await db.run<{ id: Uuid; traits: Buffer }>({
      name: 'anchor-traits',
      text: 'SELECT anchor_id AS id, traits FROM anchor_states WHERE anchor_id = ANY ($1::uuid[])',
      values: [uuidArray(identifierIds, (id) => id)],
    });
    return new Map(rows.map(({ id, traits }) => [id, traits.length === 0 ? new Map() : decodeTraits(traits)]));
  }
}

/** What a profile of these anchors would show. */
export function shownTraits(anchors: Iterable<Traits>): Map<string, JsonValue> {
  const shown = new Map<string, JsonValue>();
  for (const [name, { value }] of mergeTraits(anchors)) if (value !== undefined) shown.set(name, value);
  return shown;
}
