import type { ErasedPerson } from './events/retraction.model.js';
import type { AnchorState } from './features/anchor-state.model.js';
import type { LoadedDefinitions } from './definitions.js';
import { readEvidenceOf } from './identity/anchor-evidence.reader.js';
import { evidenceOf, type Evidence } from './identity/evidence.model.js';
import { uuidArray } from './platform/binary-arrays.js';
import { hashId, type Uuid } from './platform/ids.js';
import type { Queryable } from './platform/postgres.js';
import { decodeTraits } from './profiles/trait-codec.js';
import type { Trait, Traits } from './profiles/trait.model.js';
import { openTrait } from './profiles/traits.model.js';

/** What stands of anchors of others than a person who is erased, without that person. */
export interface SparedAnchors {
  /** Of traits those that do not name the person; state null: it names them. */
  readonly standing: ReadonlyMap<Uuid, { readonly traits: Traits; readonly state: AnchorState | null }>;
  readonly evidence: readonly Evidence[];
}

/** For a log that does not have all events of these anchors any more. */
export async function readSparedAnchors(
  db: Queryable,
  anchorIds: readonly Uuid[],
  person: ErasedPerson,
  {
    features,
    identityRules,
    traitSealer,
    hasSealedTraits,
  }: Pick<LoadedDefinitions, 'features' | 'identityRules' | 'traitSealer' | 'hasSealedTraits'>,
): Promise<SparedAnchors> {
  const ids = [uuidArray(anchorIds, (id) => id)];
  const states = await db.query<{ id: Uuid; traits: Buffer; state: Buffer }>(
    'SELECT anchor_id AS id, traits, state FROM anchor_states WHERE anchor_id = ANY ($1::uuid[])',
    ids,
  );
  const rows = await readEvidenceOf(db, anchorIds);
  const unnamed = (messageId: string): string =>
    person.isNamedIn(messageId) ? hashId('erased', messageId) : messageId;
  const standing = states.map(({ id, traits, state }) => {
    const kept: Traits = new Map();
    for (const [name, trait] of decodeTraits(traits)) {
      const own: Trait = trait.held === null ? { ...trait, messageId: unnamed(trait.messageId) } : trait;
      const said = hasSealedTraits ? openTrait(own, traitSealer.for(name)) : own;
      if (!person.isNamedIn(JSON.stringify([name, said]))) kept.set(name, own);
    }
    return [id, { traits: kept, state: person.isNamedIn(state.toString()) ? null : features.decode(state) }] as const;
  });
  const evidence = rows.map((row) => {
    const identifiers = row.identifiers.filter((identifier) => !person.isOf(identifier));
    return evidenceOf({ ...row, identifiers, messageId: unnamed(row.messageId) }, identityRules);
  });
  return { standing: new Map(standing), evidence };
}
