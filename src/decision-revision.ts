import type { LoadedDefinitions } from './definitions.js';
import type { GenericRevision } from './generic-revision.js';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import type { IdentityRevisionStore } from './identity/identity-revision.store.js';
import { resultOf, type RevisionDecider, type RevisionPlan } from './identity/revision-decider.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { RevisionWork } from './pipeline-work.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import type { Database, Queryable } from './platform/postgres.js';

export interface DecisionRevisionParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly revisions: IdentityRevisionStore;
  readonly decider: RevisionDecider;
  readonly generic: GenericRevision;
}

/** It cannot be done yet, and nothing was done. */
export class RevisionWaits extends Error {
  override readonly name = 'RevisionWaits';
}

/**
 * What somebody decided about who is who, as one step of a revision.
 *
 * 1. Links are a set, and what comes of evidence and links does not depend on the order in which these came to be. So a
 *    decision may be made before a revision of a generic value that was asked for earlier and has to wait.
 * 2. But while events hang on a generic value that belong elsewhere, no evidence that counts names whoever is in these
 *    alone: resolved then, they would be gone, with their ids. So what concerns a component of such a value waits too.
 * 3. So does what cannot be as things stand, such as to join two whom that value joins still.
 */
export class DecisionRevision {
  constructor(private readonly parts: DecisionRevisionParts) {}

  /** @throws DefinitionsChanged, RevisionWaits; WeftError where it cannot be */
  async workOf(definitions: LoadedDefinitions, revision: IdentityRevisionRecord): Promise<RevisionWork> {
    const { clock, db, revisions } = this.parts;
    const { id, actor, reason } = revision;
    // The transaction that asked for it has told everybody to look for links; a batch without them must not follow.
    if (!definitions.hasIdentityLinks) throw new DefinitionsChanged();
    // Many may wait, and nobody is to stand still for each look at them.
    if ((await revisions.countOpen(db, 'generic')) > 0) await this.#plan(db, revision, clock.now());
    let toResult = resultOf;
    return {
      revisionId: id,
      decide: async (tx, { acceptedAt: at }) => {
        const { resultOf: planned, ...task } = await this.#plan(tx, revision, at);
        toResult = planned;
        return { ...task, decision: { revisionId: id, actor, reason, at } };
      },
      note: (tx, found) =>
        revisions.advance(tx, id, {
          result: toResult(found),
          stepsDone: 1,
          stepsTotal: 1,
          place: null,
          nowMs: clock.now(),
        }),
    };
  }

  async #plan(db: Queryable, revision: IdentityRevisionRecord, nowMs: number): Promise<RevisionPlan> {
    const { decider, generic, revisions } = this.parts;
    try {
      const plan = await decider.decide(db, revision, nowMs);
      if (await generic.concerns(db, plan.ids)) throw new RevisionWaits();
      return plan;
    } catch (error) {
      const isConflict = error instanceof WeftError && error.code === 'CONFLICT';
      if (isConflict && (await revisions.countOpen(db, 'generic')) > 0) throw new RevisionWaits();
      throw error;
    }
  }
}
