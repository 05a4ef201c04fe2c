import type { AnchorState } from '../../src/features/anchor-state.model.js';
import { encodeTraits } from '../../src/profiles/trait-codec.js';
import type { Trait, Traits } from '../../src/profiles/trait.model.js';
import { applyTraits } from '../../src/profiles/traits.model.js';
import type { World } from './world.js';

/** An anchor with its state and its traits, in hex. */
type PackedAnchor = readonly [id: string, state: string, traits: string];

/** What is stored of each anchor, and what folding its events from the log gives, both by id. For worlds that know no groups. */
export async function storedAndFolded(world: World): Promise<{ stored: PackedAnchor[]; folded: PackedAnchor[] }> {
  const t = world.clock.now() + 1;
  const { features } = await world.engine.definitions.current();
  const { events } = await world.engine.log.readBatch({
    afterPos: 0,
    parts: Array.from({ length: 16 }, (_, i) => i),
    limit: 10_000,
    maxBytes: 2 ** 30,
  });
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
