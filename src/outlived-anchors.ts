import type { LoadedDefinitions } from './definitions.js';
import { canonicalText, type CanonicalKey, type Identifier, type LoggedEvent } from './events/event.model.js';
import type { AnchorState } from './features/anchor-state.model.js';
import type { FeatureSet } from './features/feature-set.model.js';
import type { EvidenceOfAnchor } from './identity/anchor-evidence.reader.js';
import { EvidenceBehind } from './identity/evidence-behind.model.js';
import { addEvidence, evidenceOf, placedEvidence, placeOfEvidence, type Evidence } from './identity/evidence.model.js';
import { StandingEvidence } from './identity/standing-evidence.js';
import { uuidArray } from './platform/binary-arrays.js';
import type { Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';
import { readGiven } from './profiles/group.reader.js';
import { joinGiven } from './profiles/groups.model.js';
import { OutlivedTraits } from './profiles/outlived-traits.js';
import type { WordsOfAnchor } from './profiles/standing-words.reader.js';
import { decodeTraits } from './profiles/trait-codec.js';
import type { Traits } from './profiles/trait.model.js';

/** Anchors that are folded anew from the log. */
export interface FoldedAnchors {
  readonly rebuilt: Map<Uuid, { traits: Traits; state: AnchorState }>;
  /** What they give groups. */
  readonly given: Map<Uuid, Map<string, Traits>>;
  readonly evidence: Map<string, Evidence>;
}

/**
 * Adds the words on purposes that did not come of events of the log. Of somebody of whom nothing else is left, that they
 * said it is known, and that it was they.
 */
export function keepWords(
  words: readonly WordsOfAnchor[],
  { rebuilt, evidence }: Pick<FoldedAnchors, 'rebuilt' | 'evidence'>,
  features: FeatureSet,
): void {
  for (const { anchor, standing } of words) {
    const left = rebuilt.get(anchor.id) ?? { traits: new Map() as Traits, state: features.empty() };
    standing.keepWords(left.traits);
    const [word] = left.traits.values();
    if (rebuilt.has(anchor.id) || word === undefined) continue;
    rebuilt.set(anchor.id, left);
    const { occurredAt, sourceId, messageId } = word;
    const key = { occurredAt, sourceId, messageId, acceptedAt: occurredAt };
    addEvidence(evidence, evidenceOf({ identifiers: [anchor], ...key }));
  }
}

/** What the log has of an anchor. */
interface LoggedAnchor {
  readonly inLog: Set<string>;
  /** Of the events of the log that hang on it. */
  readonly before: AnchorState;
  /** Of the events that come to hang on it. */
  readonly arrived: AnchorState;
}

interface OutlivedAnchor extends LoggedAnchor {
  readonly traits: OutlivedTraits;
  readonly state: AnchorState;
  readonly given: ReadonlyMap<string, Traits>;
  readonly evidence: EvidenceOfAnchor[];
}

interface Placing {
  /** Of the step, ms. */
  readonly at: number;
  /** Whose events the row stands for is to be known no more. */
  readonly isGone: (row: EvidenceOfAnchor) => boolean;
  /** The anchor that these events belong to. */
  readonly placeOf: (row: EvidenceOfAnchor) => Uuid;
}

/**
 * What stands of anchors that are folded anew, with events moved between them or taken back, from a log that does not have
 * all of their events any more, or cannot read all of them. The log and evidence may be read beforehand; what else stands is
 * read at the end.
 *
 * 1. Evidence names all that its events carried, so it hangs where these would. Values of traits, and what is given to
 *    groups, know their events: those of events that the log does not have stay on the anchor. From a value that counts for
 *    nobody, values of traits go where the evidence behind them goes; where that parts, they go nowhere.
 * 2. Where the log gives what stands of a stream of features, the log decides. Where nothing goes from a stream, what
 *    stands stays, and what comes is added. Else counts and sums are divided into what the log has and what it has not,
 *    which stays; any other stream cannot be, and is what the log says (`FeatureSet.outlived`). So it is on a value that
 *    counts for nobody, where what stands may be of anybody.
 */
export class OutlivedAnchors {
  readonly #logged: ReadonlyMap<Uuid, LoggedAnchor>;

  constructor(
    private readonly definitions: LoadedDefinitions,
    anchorIds: readonly Uuid[],
  ) {
    const { features } = definitions;
    this.#logged = new Map(
      anchorIds.map((id) => [id, { inLog: new Set(), before: features.empty(), arrived: features.empty() }]),
    );
  }

  /** The log has this event, which hangs on its first identifier, or has it until it is taken back. */
  note(event: LoggedEvent): void {
    const anchor = this.#logged.get(event.identifiers[0]?.id ?? '');
    if (anchor === undefined) return;
    anchor.inLog.add(canonicalText(event));
    this.definitions.features.apply(anchor.before, event);
  }

  /** It comes to hang on what is its first identifier now. */
  arrive(event: LoggedEvent): void {
    const anchor = this.#logged.get(event.identifiers[0]?.id ?? '');
    if (anchor !== undefined) this.definitions.features.apply(anchor.arrived, event);
  }

  /**
   * Adds to what the log gives what came of other events. All that is applied to these anchors has to be noted by then,
   * and to be used once.
   * @param tx where nobody changes these anchors
   * @param evidence of these anchors
   * @param released values that count again
   * @param at of the step, ms
   * @returns whether evidence is left that belongs to an anchor that is none of these
   */
  async keepIn(
    tx: Transaction,
    folded: FoldedAnchors,
    {
      evidence,
      released,
      at,
    }: { readonly evidence: StandingEvidence; readonly released: ReadonlySet<Uuid>; readonly at: number },
  ): Promise<boolean> {
    const anchors = await this.#standing(tx, evidence);
    let isCut = false;
    for (const { row, placed } of this.#unaccounted(anchors, released)) {
      const isMoved = this.#logged.has(placed.anchorId);
      isCut ||= !isMoved;
      addEvidence(folded.evidence, isMoved ? placed : evidenceOf(row, this.definitions.identityRules));
    }
    this.#keepAll(anchors, folded, {
      at,
      isGone: () => false,
      // Of values that count again nobody loses what came of the removed events: they are of one profile with whom these name.
      placeOf: (row) => placeOfEvidence(row.identifiers, this.definitions.identityRules),
    });
    return isCut;
  }

  /**
   * Adds to what is left in the log what came of other events than those that it has or had, with nothing moved. To be
   * used once.
   * @param tx of the snapshot in which the log was read, or where nobody changes these anchors
   * @param isGone evidence that goes, though its events are not in the log; by the identifiers that it names
   * @param at of the step, ms
   */
  async stayIn(
    tx: Transaction,
    folded: FoldedAnchors,
    { isGone, at }: { readonly isGone: (identifiers: readonly Identifier[]) => boolean; readonly at: number },
  ): Promise<void> {
    const anchors = await this.#standing(tx, await StandingEvidence.read(tx, [...this.#logged.keys()]));
    for (const { row } of this.#unaccounted(anchors, new Set())) {
      if (!isGone(row.identifiers)) addEvidence(folded.evidence, evidenceOf(row, this.definitions.identityRules));
    }
    this.#keepAll(anchors, folded, {
      at,
      isGone: (row) => isGone(row.identifiers),
      placeOf: ({ identifiers: [own] }) => own?.id ?? '',
    });
  }

  #keepAll(anchors: ReadonlyMap<Uuid, OutlivedAnchor>, folded: FoldedAnchors, how: Placing): void {
    const { features, traitRules, traitSealer } = this.definitions;
    const named = new Set([...folded.evidence.values()].map(({ anchorId }) => anchorId));
    const moved: (() => void)[] = [];
    for (const [id, anchor] of anchors) {
      const { evidence, inLog, traits } = anchor;
      const placed = evidence.map((row) => ({ ...row, owner: how.placeOf(row), isGone: how.isGone(row) }));
      // A row stands for all events of its set and day: that the log has the first says nothing of the others.
      if (!placed.some(({ owner, isGone }) => isGone || owner !== id)) {
        this.#keepOne(id, anchor, folded, { named, at: how.at });
        continue;
      }
      const ownerOf = ownersBehind(placed);
      const isOf = (owner: Uuid) => (key: CanonicalKey) => {
        const found = ownerOf(key);
        // What is not moved yet stays until it is.
        return found !== null && (folded.rebuilt.has(found) || named.has(found) ? found : id) === owner;
      };
      this.#keepOne(id, anchor, folded, { named, at: how.at, isKept: isOf(id) });
      const owners = new Set(
        traits.keys().flatMap((key) => (inLog.has(canonicalText(key)) ? [] : (ownerOf(key) ?? []))),
      );
      for (const owner of owners) {
        if (owner === id || !this.#logged.has(owner)) continue;
        moved.push(() => {
          const left = folded.rebuilt.get(owner) ?? { traits: new Map() as Traits, state: features.empty() };
          traits.keepEvents(left.traits, traitRules, traitSealer.for, { isKept: isOf(owner), withDeletions: false });
          if (left.traits.size > 0) folded.rebuilt.set(owner, left);
        });
      }
    }
    for (const move of moved) move();
  }

  #keepOne(
    id: Uuid,
    anchor: OutlivedAnchor,
    { rebuilt, given, evidence }: FoldedAnchors,
    {
      named,
      at,
      isKept,
    }: {
      readonly named: ReadonlySet<Uuid>;
      readonly at: number;
      /** Of the events that the log does not have, where some may be of others; default: all. */
      readonly isKept?: (event: CanonicalKey) => boolean;
    },
  ): void {
    const { features, traitRules, traitSealer } = this.definitions;
    const left = rebuilt.get(id) ?? { traits: new Map() as Traits, state: features.empty() };
    const only = isKept === undefined ? undefined : { isKept, withDeletions: true };
    anchor.traits.keepEvents(left.traits, traitRules, traitSealer.for, only);
    const { state: standing, before, arrived } = anchor;
    left.state = features.outlived(left.state, { standing, before, arrived }, at, isKept !== undefined);
    const [first] = anchor.evidence;
    if (!rebuilt.has(id) && left.traits.size + left.state.size > 0 && first !== undefined) {
      rebuilt.set(id, left);
      const own = { ...first, identifiers: first.identifiers.slice(0, 1) };
      if (!named.has(id)) addEvidence(evidence, evidenceOf(own));
    }
    for (const [group, traits] of anchor.given) {
      const isOwn = (trait: CanonicalKey): boolean =>
        !anchor.inLog.has(canonicalText(trait)) && isKept?.(trait) !== false;
      const kept: Traits = new Map([...traits].filter(([, trait]) => isOwn(trait)));
      if (kept.size === 0) continue;
      const all = given.get(id) ?? new Map<string, Traits>();
      given.set(id, all);
      const now = all.get(group);
      if (now === undefined) all.set(group, kept);
      else joinGiven(now, kept);
    }
  }

  async #standing(tx: Transaction, evidence: StandingEvidence): Promise<ReadonlyMap<Uuid, OutlivedAnchor>> {
    const { features } = this.definitions;
    const anchorIds = [...this.#logged.keys()];
    const rows = await tx.query<{ id: Uuid; traits: Buffer; state: Buffer }>(
      'SELECT anchor_id AS id, traits, state FROM anchor_states WHERE anchor_id = ANY ($1::uuid[])',
      [uuidArray(anchorIds, (id) => id)],
    );
    const states = new Map(rows.map((row) => [row.id, row]));
    const given = await readGiven(tx, anchorIds);
    const anchors = new Map<Uuid, OutlivedAnchor>();
    for (const [id, logged] of this.#logged) {
      const standing = states.get(id);
      anchors.set(id, {
        ...logged,
        traits: new OutlivedTraits(decodeTraits(standing?.traits ?? Buffer.alloc(0)), logged.inLog),
        state: standing === undefined ? features.empty() : features.decode(standing.state),
        given: given.get(id) ?? new Map<string, Traits>(),
        evidence: [],
      });
    }
    for (const row of evidence.rows()) anchors.get(row.identifiers[0]?.id ?? '')?.evidence.push(row);
    return anchors;
  }

  *#unaccounted(
    anchors: ReadonlyMap<Uuid, OutlivedAnchor>,
    released: ReadonlySet<Uuid>,
  ): Generator<{ row: EvidenceOfAnchor; placed: Evidence }> {
    const { identityRules } = this.definitions;
    for (const { inLog, evidence } of anchors.values()) {
      for (const row of evidence) {
        if (inLog.has(canonicalText(row))) continue;
        yield { row, placed: placedEvidence(evidenceOf(row, identityRules), identityRules, released) };
      }
    }
  }
}

interface PlacedRow extends EvidenceOfAnchor {
  readonly owner: Uuid;
  readonly isGone: boolean;
}

/** Whose an event was of which nothing is known but its key, each found once; null: that cannot be told, or nobody may be told. */
function ownersBehind(rows: readonly PlacedRow[]): (key: CanonicalKey) => Uuid | null {
  const evidence = new EvidenceBehind(rows);
  const known = new Map<string, Uuid | null>();
  const find = (key: CanonicalKey): Uuid | null => {
    let found: Uuid | null = null;
    for (const { owner, isGone } of evidence.of(key)) {
      if (isGone || (found !== null && found !== owner)) return null;
      found = owner;
    }
    return found;
  };
  return (key) => {
    const text = canonicalText(key);
    const before = known.get(text);
    if (before !== undefined) return before;
    const found = find(key);
    known.set(text, found);
    return found;
  };
}
