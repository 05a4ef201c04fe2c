import { dedupeIdOf, type Identifier } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { OutlivedTraits } from './outlived-traits.js';
import { readRemovedWords } from './removed-word.reader.js';
import { decodeTraits } from './trait-codec.js';

/** An anchor that holds words on purposes. */
export interface WordsOfAnchor {
  readonly anchor: Identifier;
  /** Knows which of the words' events the log has. */
  readonly standing: OutlivedTraits;
}

/**
 * The words on purposes that anchors hold, and those that a retention removed, before events of them are taken back.
 * @param areAllKept the words stay, whatever becomes of their events
 */
export async function readStandingWords(
  db: Queryable,
  anchorIds: readonly Uuid[],
  { areAllKept }: { readonly areAllKept: boolean },
): Promise<WordsOfAnchor[]> {
  const rows = await db.query<Identifier & { traits: Buffer }>(
    `SELECT i.id, i.ns, i.value, coalesce(s.traits, '') AS traits
     FROM identifiers i LEFT JOIN anchor_states s ON s.anchor_id = i.id
     WHERE i.id = ANY ($1::uuid[]) AND (
       position('"$consent.'::bytea IN s.traits) > 0 OR EXISTS (SELECT FROM removed_words w WHERE w.anchor_id = i.id)
     ) ORDER BY i.id`,
    [uuidArray(anchorIds, (id) => id)],
  );
  const words = rows.map(({ traits, ...anchor }) => ({ anchor, standing: new OutlivedTraits(decodeTraits(traits)) }));
  const byAnchor = new Map(words.map(({ anchor, standing }) => [anchor.id, standing]));
  for (const word of await readRemovedWords(db, [...byAnchor.keys()])) byAnchor.get(word.anchorId)?.hear(word);
  if (areAllKept || words.length === 0) return words;
  const keys = words.flatMap(({ standing }) =>
    standing.wordKeys().map((key) => ({ standing, key, dedupeId: dedupeIdOf(key.sourceId, key.messageId) })),
  );
  const logged = await db.query<{ id: Uuid }>(
    'SELECT dedupe_id AS id FROM event_log WHERE dedupe_id = ANY ($1::uuid[])',
    [uuidArray(keys, ({ dedupeId }) => dedupeId)],
  );
  const inLog = new Set(logged.map(({ id }) => id));
  for (const { standing, key, dedupeId } of keys) if (inLog.has(dedupeId)) standing.note(key);
  return words;
}
