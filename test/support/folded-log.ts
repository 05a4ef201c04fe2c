import type { AnchorState } from '../../src/features/anchor-state.model.js';
import { addEvidence, evidenceOf, writtenKey, type Evidence } from '../../src/identity/evidence.model.js';
import { encodeTraits } from '../../src/profiles/trait-codec.js';
import type { Trait, Traits } from '../../src/profiles/trait.model.js';
import { applyTraits } from '../../src/profiles/traits.model.js';
import type { World } from './world.js';

/** An anchor with its state and its traits, in hex. */
type PackedAnchor = readonly [id: string, state: string, traits: string];

const allOf = (world: World) =>
  world.engine.log.readBatch({
    afterPos: 0,
    parts: Array.from({ length: 16 }, (_, i) => i),
    limit: 10_000,
    maxBytes: 2 ** 30,
  });

/** What is stored of each anchor, and what folding its events from the log gives, both by id. For worlds that know no groups. */
export async function storedAndFolded(world: World): Promise<{ stored: PackedAnchor[]; folded: PackedAnchor[] }> {
  const t = world.clock.now() + 1;
  const { features } = await world.engine.definitions.current();
  const { events } = await allOf(world);
  const anchors = new Map<string, { state: AnchorState; traits: Traits }>();
  for (const event of events) {
    const id = event.identifiers[0]?.id ?? '';
    const anchor = anchors.get(id) ?? { state: features.empty(), traits: new Map<string, Trait>() };
    anchors.set(id, anchor);
    features.apply(anchor.state, event);
    applyTraits(anchor.traits, event.traits, event);
  }
  const hexOf = (state: AnchorState): string => {
    features.prune(state, t);
    return features.encode(state).toString('hex');
  };
  const rows = await world.db.query<{ id: string; state: Buffer; traits: Buffer }>(
    'SELECT anchor_id AS id, state, traits FROM anchor_states',
  );
  const sorted = (packed: PackedAnchor[]): PackedAnchor[] => packed.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return {
    stored: sorted(rows.map((row) => [row.id, hexOf(features.decode(row.state)), row.traits.toString('hex')])),
    folded: sorted(
      [...anchors].map(([id, { state, traits }]) => [id, hexOf(state), encodeTraits(traits).toString('hex')]),
    ),
  };
}

/** What is stored as evidence, and what the events of the log say, both by anchor, set and day. */
export async function storedAndFoldedEvidence(world: World): Promise<{ stored: unknown[]; folded: unknown[] }> {
  const rows = new Map<string, Evidence>();
  for (const event of (await allOf(world)).events) addEvidence(rows, evidenceOf(event));
  const folded = [...rows.values()].map(({ anchorId, setId, day, key, knownAt, identifiers }) => ({
    ...{ anchorId, setId, day, key, knownAt },
    ids: identifiers.map(({ id }) => id).sort(),
  }));
  const stored = await world.db.query<(typeof folded)[number]>(
    `SELECT anchor_id AS "anchorId", set_id AS "setId", day, known_at AS "knownAt",
            jsonb_build_object('occurredAt', occurred_at, 'sourceId', source_id, 'messageId', message_id) AS key,
            ARRAY(SELECT id FROM unnest(identifier_ids) AS t (id) ORDER BY id) AS ids FROM evidence`,
  );
  const sorted = (all: typeof folded): unknown[] => all.sort((a, b) => (writtenKey(a) < writtenKey(b) ? -1 : 1));
  return { stored: sorted(stored), folded: sorted(folded) };
}
