import type { IdentityBatch } from './identity/identity-batch.model.js';
import type { IdentityRevision } from './identity/revised-identity.model.js';
import type { MatchingStore } from './identity/matching/matching.store.js';
import type { Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';
import { matchedAnchors } from './profiles/matched-anchors.js';
import type { Definitions } from './segments/definitions.model.js';

type MatchedDefinitions = Pick<Definitions, 'matching' | 'traitRules'>;

/**
 * Notes, in the transaction that changes them, of whom something changed that the active model of record linkage reads.
 * Where none is active, nothing is looked at.
 */
export class MatchingMarks {
  readonly #store: Pick<MatchingStore, 'mark'>;
  readonly #onMarked: () => void;

  /** @param onMarked told before the transaction commits */
  constructor(store: Pick<MatchingStore, 'mark'>, onMarked: () => void) {
    this.#store = store;
    this.#onMarked = onMarked;
  }

  async ofEvents(
    tx: Transaction,
    { matching, traitRules }: MatchedDefinitions,
    { outcomes, contestedIds }: Pick<IdentityBatch, 'outcomes' | 'contestedIds'>,
  ): Promise<void> {
    if (matching === null) return;
    await this.#mark(tx, [...matchedAnchors(matching, outcomes, traitRules), ...contestedIds], false);
  }

  /** A component bears the id of one of its members. */
  async ofComponent(tx: Transaction, { matching }: Pick<MatchedDefinitions, 'matching'>, id: Uuid): Promise<void> {
    if (matching !== null) await this.#mark(tx, [id], false);
  }

  /** What people decided may count where no value changed. */
  async ofRevision(
    tx: Transaction,
    { matching }: MatchedDefinitions,
    { moves, released }: Pick<IdentityRevision, 'moves' | 'released'>,
    ids: readonly Uuid[],
  ): Promise<void> {
    if (matching === null) return;
    await this.#mark(tx, [...ids, ...moves.map(({ identifierId }) => identifierId), ...released], true);
  }

  async ofTraits(tx: Transaction, { matching }: MatchedDefinitions, anchorIds: readonly Uuid[]): Promise<void> {
    if (matching !== null) await this.#mark(tx, anchorIds, false);
  }

  async #mark(tx: Transaction, ids: readonly Uuid[], isForced: boolean): Promise<void> {
    if (ids.length === 0) return;
    this.#onMarked();
    await this.#store.mark(tx, ids, isForced);
  }
}
