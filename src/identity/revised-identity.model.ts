import type { StandingEvidence } from './standing-evidence.js';
import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { KnownIdentifier, KnownProfile } from './component.model.js';
import type { Evidence } from './evidence.model.js';
import type { IdentityRules } from './identity-rules.model.js';
import { NO_CHANGE, type LinkChange, type NewLink } from './identity-decision.model.js';
import type { IdentifierMove } from './identity-move.model.js';

/** What is resolved anew, and because of what. */
export interface RevisionInput {
  /** Who is who by these. */
  readonly rules: IdentityRules;
  /** Identifiers whose components are looked at; the ends of all links that change are among them. */
  readonly ids: readonly Uuid[];
  /** Anchors whose evidence changed, with all that is left of it; default: none. */
  readonly left?: {
    readonly anchorIds: readonly Uuid[];
    readonly evidence: readonly Evidence[];
    /** Values that are generic, or are so no more, whose events are moved with it; default: none. */
    readonly movedIds?: readonly Uuid[];
    /** What the anchors had until now; default: it is asked for, and all of it written anew. */
    readonly standing?: StandingEvidence;
  };
  /** Links that change; default: none. */
  readonly links?: LinkChange;
  /** What else has to be linked, given what the links so far come to; asked again until that is nothing. */
  readonly amend?: (groups: readonly (readonly Uuid[])[]) => readonly NewLink[];
  /** Log position and instant, ms, from which the new assignments count. */
  readonly pos: number;
  readonly at: number;
  /** The revision that this is; null where it is none. */
  readonly revisionId: Uuid | null;
  /** True: the rules may be others than before, so that other values may stand for many people; default: they are not. */
  readonly areRulesNew?: boolean;
  /**
   * Values that would be generic no more, where only what would be is asked: by rules with other generic values than those
   * in force. Events are taken to hang where they would belong.
   */
  readonly released?: readonly Identifier[];
  /** What moves are told to be because of; default: the revision, or else that events were taken back. */
  readonly cause?: IdentifierMove['cause'];
}

interface RevisedMove {
  readonly identifierId: Uuid;
  readonly from: Uuid;
  /** Null: the identifier is gone. */
  readonly to: Uuid | null;
}

/** What resolving anew changed. */
export interface IdentityRevision {
  /** In no two of them the same identifier. */
  readonly moves: RevisedMove[];
  /** Profiles that ended and live on as part of another. */
  readonly merged: Map<Uuid, Uuid>;
  /** Profiles of which nobody is left. */
  readonly gone: Set<Uuid>;
  /** Profiles of anchors whose evidence changed, as of before. */
  readonly touched: Set<Uuid>;
  /** Created, or changed. */
  readonly profiles: Map<Uuid, KnownProfile>;
  readonly identifiers: Set<KnownIdentifier>;
  /** Components with more evidence than is replayed: their members stay where they are. */
  contested: number;
  /** Those components, and others that are, or whose ids are, contested no more. */
  readonly contestedIds: Set<Uuid>;
  readonly settledIds: Set<Uuid>;
  /** Members of those that were contested and are no more. */
  readonly released: Set<Uuid>;
  /** Components in which there may be generic values that are not known yet. */
  readonly suspects: Set<Uuid>;
  /** All links that changed, amendments among them. */
  links: LinkChange;
}

/** All whom it concerns, also those who are no more. */
export function profilesOf({ touched, moves, merged, gone }: IdentityRevision): Set<Uuid> {
  const ids = new Set([...touched, ...gone, ...merged.keys(), ...merged.values()]);
  for (const { from, to } of moves) {
    ids.add(from);
    if (to !== null) ids.add(to);
  }
  return ids;
}

/** What there is before anything was looked at: the links that change. */
export function nothingFound(links: LinkChange = NO_CHANGE): IdentityRevision {
  return {
    moves: [],
    merged: new Map(),
    gone: new Set(),
    touched: new Set(),
    profiles: new Map(),
    identifiers: new Set(),
    contested: 0,
    contestedIds: new Set(),
    settledIds: new Set(),
    released: new Set(),
    suspects: new Set(),
    links,
  };
}
