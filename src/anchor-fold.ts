import type { LoadedDefinitions } from './definitions.js';
import { encodePayload } from './events/event-codec.js';
import type { LoggedEvent } from './events/event.model.js';
import type { AnchorState } from './features/anchor-state.model.js';
import { addEvidence, evidenceOf, type Evidence } from './identity/evidence.model.js';
import { inAnchorOrder } from './identity/generic-value.model.js';
import type { FoldedAnchors, OutlivedAnchors } from './outlived-anchors.js';
import type { Reanchored } from './pipeline-work.js';
import type { Uuid } from './platform/ids.js';
import { foldGiven } from './profiles/groups.model.js';
import type { Traits } from './profiles/trait.model.js';
import { foldTraits } from './profiles/traits.model.js';

type MovedEvent = Reanchored['moved'][number];

export interface AnchorFoldInput {
  /** Null: the log has all events of these anchors. */
  readonly outlived: OutlivedAnchors | null;
  readonly anchors: ReadonlySet<Uuid>;
  /** Values that count again. */
  readonly released: ReadonlySet<Uuid>;
  readonly movableUpTo: number;
  /** Events that are moved, at most. */
  readonly maxEvents: number;
}

/** Folds events by the anchors that they belong to. */
export class AnchorFold implements FoldedAnchors {
  readonly rebuilt = new Map<Uuid, { traits: Traits; state: AnchorState }>();
  readonly given = new Map<Uuid, Map<string, Traits>>();
  readonly evidence = new Map<string, Evidence>();
  readonly moved: Omit<MovedEvent, 'part'>[] = [];
  /** Whether events are left that belong elsewhere. */
  isCut = false;
  /** By the anchor that such events hang on, the values that count again to which they belong. */
  readonly left = new Map<Uuid, Set<Uuid>>();

  constructor(
    private readonly definitions: LoadedDefinitions,
    private readonly input: AnchorFoldInput,
  ) {}

  add(logged: LoggedEvent): void {
    this.input.outlived?.note(logged);
    const { features, identityRules, traitRules } = this.definitions;
    const placed = this.#placed(logged);
    const event = this.#moves(logged, placed) ? placed : logged;
    const id = event.identifiers[0]?.id ?? '';
    let anchor = this.rebuilt.get(id);
    if (anchor === undefined) this.rebuilt.set(id, (anchor = { traits: new Map(), state: features.empty() }));
    features.apply(anchor.state, event);
    foldTraits(anchor.traits, event, traitRules);
    let given = this.given.get(id);
    if (given === undefined) this.given.set(id, (given = new Map<string, Traits>()));
    foldGiven(given, event);
    addEvidence(this.evidence, evidenceOf(event, identityRules));
  }

  /**
   * With its identifiers in the order that they belong in. Because of these values alone, and not of priorities that are
   * others than when it was accepted: an event keeps its anchor through those.
   */
  #placed(logged: LoggedEvent): LoggedEvent {
    const { identityRules: rules } = this.definitions;
    const ordered = inAnchorOrder(logged.identifiers, rules);
    const [from] = logged.identifiers;
    const [to] = ordered;
    if (from === undefined || to === undefined || from === to) return logged;
    const isGeneric = (id: Uuid): boolean => rules.generics?.ids.has(id) === true;
    const belongsElsewhere = isGeneric(from.id) ? !isGeneric(to.id) : this.input.released.has(to.id);
    return belongsElsewhere ? { ...logged, identifiers: ordered } : logged;
  }

  #moves(logged: LoggedEvent, placed: LoggedEvent): boolean {
    const [to] = placed.identifiers;
    if (to === undefined || placed === logged) return false;
    const { anchors, maxEvents, movableUpTo } = this.input;
    if (!anchors.has(to.id) || logged.pos > movableUpTo || this.moved.length >= maxEvents) {
      this.isCut = true;
      const [from] = logged.identifiers;
      if (from !== undefined && this.input.released.has(to.id)) {
        this.left.set(from.id, (this.left.get(from.id) ?? new Set<Uuid>()).add(to.id));
      }
      return false;
    }
    this.input.outlived?.arrive(placed);
    const namedIds = placed.identifiers.map(({ id }) => id);
    this.moved.push({ pos: logged.pos, anchorId: to.id, namedIds, payload: encodePayload(placed) });
    return true;
  }
}
