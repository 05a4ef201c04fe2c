import type { LoggedEvent } from './events/event.model.js';
import type { Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';
import type { AnchorGiven, GroupDelivery, GroupStore } from './profiles/group.store.js';
import { foldGiven, knownOf, told } from './profiles/groups.model.js';
import type { Traits } from './profiles/trait.model.js';
import type { RebuiltAnchor } from './segments/fold-revision.js';
import type { ProfileWork } from './segments/profile-work.model.js';

const NOTHING: Traits = new Map();

type TraitsByAnchor = ReadonlyMap<Uuid, Traits>;

/** What the steps of the pipeline do about groups: see `groups.model.ts`. */
export class GroupKnowledge {
  /** @param onNews members are to be told of something */
  constructor(
    private readonly store: GroupStore,
    private readonly onNews: () => void,
  ) {}

  /** Writes down what events that were just folded into these profiles give their groups. */
  async record(tx: Transaction, events: readonly LoggedEvent[], profiles: Iterable<ProfileWork>): Promise<void> {
    const byAnchor = new Map<
      Uuid,
      { readonly part: number; readonly given: Map<string, Traits>; readonly live: Set<string> }
    >();
    for (const event of events) {
      const anchorId = event.identifiers[0]?.id ?? '';
      let anchor = byAnchor.get(anchorId);
      if (anchor === undefined)
        byAnchor.set(anchorId, (anchor = { part: event.part, given: new Map(), live: new Set() }));
      foldGiven(anchor.given, event);
      if (event.type === 'group' && !event.historical) anchor.live.add(event.groupId ?? '');
    }
    const traits = traitsIn(profiles);
    const added = [...byAnchor].map(([anchorId, anchor]) => ({
      ...anchor,
      anchorId,
      knows: (groupId: string): Traits => knownOf(traits.get(anchorId) ?? NOTHING, groupId),
    }));
    if (await this.store.add(tx, added)) this.onNews();
  }

  /**
   * Notes what anchors that were folded anew give groups; they know at once what everybody gives.
   * @param folded their traits, where anything is left of them
   */
  async renew(tx: Transaction, folded: TraitsByAnchor, given: readonly AnchorGiven[]): Promise<TraitsByAnchor> {
    if (given.length === 0) return folded;
    const known = await this.store.replace(tx, given);
    if (known.size === 0) return folded;
    this.onNews();
    return new Map(
      [...folded].map(([id, own]) => {
        let traits = own;
        for (const [groupId, all] of known) traits = told(traits, groupId, all) ?? traits;
        return [id, traits];
      }),
    );
  }

  /** The same of anchors of which events were taken back. */
  async renewRebuilt(
    tx: Transaction,
    anchors: readonly RebuiltAnchor[],
    given: readonly AnchorGiven[],
  ): Promise<readonly RebuiltAnchor[]> {
    const folded = new Map(anchors.flatMap(({ id, rebuilt }) => (rebuilt === null ? [] : [[id, rebuilt.traits]])));
    const traits = await this.renew(tx, folded, given);
    return anchors.map(({ id, part, rebuilt }) => ({
      id,
      part,
      rebuilt: rebuilt === null ? null : { ...rebuilt, traits: traits.get(id) ?? rebuilt.traits },
    }));
  }

  /** The traits of those anchors that know something else once these members are told. */
  async news(
    tx: Transaction,
    members: GroupDelivery['members'],
    profiles: Iterable<ProfileWork>,
  ): Promise<TraitsByAnchor> {
    const known = await this.store.traitsOf(tx, [...new Set(members.map(({ groupId }) => groupId))]);
    const standing = traitsIn(profiles);
    const traits = new Map<Uuid, Traits>();
    for (const { groupId, anchorId } of members) {
      const before = traits.get(anchorId) ?? standing.get(anchorId);
      const after = before === undefined ? null : told(before, groupId, known.get(groupId) ?? NOTHING);
      if (after !== null) traits.set(anchorId, after);
    }
    return traits;
  }
}

function traitsIn(profiles: Iterable<ProfileWork>): Map<Uuid, Traits> {
  const traits = new Map<Uuid, Traits>();
  for (const { anchors } of profiles) for (const [id, anchor] of anchors) traits.set(id, anchor.traits);
  return traits;
}
