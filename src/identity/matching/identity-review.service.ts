import { WeftError } from '../../platform/errors.js';
import { isUuid, type Uuid } from '../../platform/ids.js';
import type { Clock } from '../../platform/clock.js';
import type { Database, Transaction } from '../../platform/postgres.js';
import type { RevisionInputOf } from '../identity-revision.model.js';
import type { Asker, IdentityRevisionService } from '../identity-revision.service.js';
import type { LinkageRecord } from '../linkage/linkage-model.model.js';
import { scorePair } from '../linkage/score-pair.js';
import type {
  ExplainedReview,
  IdentityReview,
  ReviewDecision,
  ReviewExplanation,
  ReviewStatus,
} from './identity-review.model.js';
import type { IdentityReviewReader, StoredReview } from './identity-review.reader.js';
import type { IdentityReviewStore } from './identity-review.store.js';
import { LinkageModelReader } from './linkage-model.reader.js';
import type { AppliedModel } from './matching.model.js';
import type { MatchingStore } from './matching.store.js';
import type { TermHash } from './term-hash.js';

export interface IdentityReviewDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly reader: IdentityReviewReader;
  readonly store: IdentityReviewStore;
  readonly records: Pick<MatchingStore, 'records'>;
  /** What stands for values in the frequencies of stored models. */
  readonly terms: TermHash | null;
  readonly revisions: Pick<IdentityRevisionService, 'request'>;
}

/** A decision, and the revision that carries it out; null where there is nothing to carry out. */
export interface DecidedReview {
  readonly review: ExplainedReview;
  readonly revisionId: Uuid | null;
}

/** Shows people the pairs that a model cannot tell, with why, and takes down what they decide. */
export class IdentityReviewService {
  readonly #deps: IdentityReviewDependencies;
  #applied: { readonly version: string; readonly model: AppliedModel } | null = null;

  constructor(deps: IdentityReviewDependencies) {
    this.#deps = deps;
  }

  /** The most likely first; those after a place. */
  async page(
    status: ReviewStatus,
    after: Pick<IdentityReview, 'weight' | 'id'> | null,
    limit: number,
  ): Promise<ExplainedReview[]> {
    return this.#explained(await this.#deps.reader.page(this.#deps.db, status, after, limit));
  }

  /** @throws WeftError NOT_FOUND */
  async get(id: string): Promise<ExplainedReview> {
    const [explained] = await this.#explained([await this.#find(id)]);
    if (explained === undefined) throw noReview();
    return explained;
  }

  /**
   * Merged: a link by hand makes them one for good. Kept apart: nothing makes them one. Skipped: the pair is out of the
   * queue for as long as the model is active.
   * @throws WeftError NOT_FOUND, CONFLICT; what asking for the revision throws
   */
  async decide(id: string, status: ReviewDecision, asker: Asker): Promise<DecidedReview> {
    const { db, clock, store, revisions } = this.#deps;
    const review = await this.#find(id);
    if (review.status !== 'open' && review.status !== 'skipped') throw decidedBefore();
    // Of two who decide at once the second one finds it decided, and asks for no revision.
    const note = async (tx: Transaction): Promise<void> => {
      if (!(await store.decide(tx, review.id, { ...asker, status, at: clock.now() }))) throw decidedBefore();
    };
    const asked = status === 'skipped' ? null : await this.#revisionOf(review, status);
    const revision = asked === null ? null : await revisions.request(asked, asker, note);
    // The worker takes the pair out of the queue by itself once the revision is done.
    if (revision === null) await db.transaction(note);
    return { review: await this.get(review.id), revisionId: revision?.id ?? null };
  }

  async #revisionOf({ a, b, aId, bId }: StoredReview, status: 'merged' | 'kept_apart'): Promise<RevisionInputOf> {
    const { db, reader } = this.#deps;
    if (a === null || b === null) {
      throw new WeftError('CONFLICT', 'one of the two is no more', { where: 'id' });
    }
    if (status === 'merged') {
      return { kind: 'merge', input: { identifiers: [a, b].map(({ ns, value }) => ({ ns, value })) } };
    }
    const [identifiers, others] = [await reader.membersOf(db, aId), await reader.membersOf(db, bId)];
    return { kind: 'apart', input: { identifiers, others } };
  }

  async #find(id: string): Promise<StoredReview> {
    const found = isUuid(id) ? await this.#deps.reader.find(this.#deps.db, id.toLowerCase()) : null;
    if (found === null) throw noReview();
    return found;
  }

  async #explained(reviews: readonly StoredReview[]): Promise<ExplainedReview[]> {
    const applied = reviews.length === 0 ? null : await this.#active();
    const ids = [...new Set(reviews.flatMap(({ aId, bId }) => [aId, bId]))];
    const stored = applied === null ? [] : await this.#deps.records.records(this.#deps.db, ids);
    const records = new Map(
      stored.map(({ id, values }) => [id, { id, values: JSON.parse(values) as LinkageRecord['values'] }]),
    );
    return reviews.map(({ aId, bId, ...review }) => {
      const [left, right] = [records.get(aId), records.get(bId)];
      const isThere = applied !== null && left !== undefined && right !== undefined;
      return { ...review, explanation: isThere ? explanationOf(applied, left, right) : null };
    });
  }

  async #active(): Promise<AppliedModel | null> {
    const reader = new LinkageModelReader(this.#deps.db, this.#deps.terms);
    const version = (await reader.activeInputs())?.version;
    if (version === undefined) return null;
    if (this.#applied?.version !== version) {
      const model = await reader.applied(version);
      if (model === null) return null;
      this.#applied = { version, model };
    }
    return this.#applied.model;
  }
}

function explanationOf({ model }: AppliedModel, left: LinkageRecord, right: LinkageRecord): ReviewExplanation {
  const { waterfall, weight, probability } = scorePair(model, left, right);
  return { left: left.values, right: right.values, waterfall, weight, probability };
}

function decidedBefore(): WeftError {
  return new WeftError('CONFLICT', 'it was decided before', {
    where: 'id',
    hint: 'identityLinks shows the links that were made; removeIdentityLink takes one back',
  });
}

function noReview(): WeftError {
  return new WeftError('NOT_FOUND', 'there is no such pair', { where: 'id', hint: 'identityReview lists them' });
}
