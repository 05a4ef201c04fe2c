import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import type { Database, Queryable, Transaction } from '../platform/postgres.js';
import {
  MAX_MERGED,
  MAX_OPEN_REVISIONS,
  MAX_REASON_LENGTH,
  type IdentityRevisionRecord,
  type RevisionInputOf,
} from './identity-revision.model.js';
import type { IdentityRevisionStore } from './identity-revision.store.js';
import { IdentityRulesReader } from './identity-rules.reader.js';
import type { RevisionDecider } from './revision-decider.js';

export interface IdentityRevisionDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly revisions: IdentityRevisionStore;
  readonly decider: RevisionDecider;
  /** Told of each that there is to do. */
  readonly onRequested: () => void;
  /** Rejects when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Who asks for something, and why. */
export interface Asker {
  readonly actor: string;
  readonly reason: string;
}

export interface RevisionWait {
  /** How long to wait for it, ms; then it is answered as it stands. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

const POLL_MS = 20;
/** Between two looks how far something long is. */
const WATCH_MS = 200;

/**
 * Takes down what people decide about who is who: whoever asks is answered once that is on record, or once a worker has
 * done it if that does not take long.
 */
export class IdentityRevisionService {
  constructor(private readonly deps: IdentityRevisionDependencies) {}

  /**
   * Writes it down, after a look whether it can be done as things are.
   * @param alongside done in the transaction that writes it down: where that fails, nothing is written
   * @throws WeftError NOT_FOUND, CONFLICT, BAD_REQUEST, PAYLOAD_TOO_LARGE, OVERLOADED
   */
  async request(
    revision: RevisionInputOf,
    { actor, reason }: Asker,
    alongside?: (tx: Transaction) => Promise<void>,
  ): Promise<IdentityRevisionRecord> {
    const { db, clock, decider, revisions } = this.deps;
    const checked = await this.checked(db, revision);
    demandReason(reason);
    const createdAt = clock.now();
    if (isDecision(checked)) await decider.decide(db, checked, createdAt);
    if (checked.kind === 'rules' && checked.input.since !== undefined) {
      await new IdentityRulesReader(db).demanded(checked.input.since);
    }
    await this.#demandRoom(db);
    const id = newId(createdAt);
    await db.transaction(async (tx) => {
      await revisions.insert(tx, { ...checked, id, actor, reason, createdAt });
      if (isDecision(checked)) await revisions.expectLinks(tx);
      await alongside?.(tx);
    });
    this.deps.onRequested();
    return this.get(id);
  }

  /**
   * Writes down, with the change of the rules itself, that those are to be resolved anew whom it reaches; the workers
   * see it once it is committed.
   * @param since the version of the rules before the change
   * @throws WeftError BAD_REQUEST, OVERLOADED
   */
  async requestFor(tx: Transaction, since: number, { actor, reason }: Asker): Promise<Uuid> {
    demandReason(reason);
    await this.#demandRoom(tx);
    const createdAt = this.deps.clock.now();
    const id = newId(createdAt);
    const input = { since };
    await this.deps.revisions.insert(tx, { kind: 'rules', input, id, actor, reason, createdAt });
    return id;
  }

  /** The one of rules that waits or runs, the oldest of several; null: there is none. */
  openOfRules(): Promise<IdentityRevisionRecord | null> {
    return this.deps.revisions.openOfRules(this.deps.db);
  }

  /** As it is once it is done or given up; told after each look how far it is. */
  async watched(
    id: Uuid,
    onProgress: (revision: IdentityRevisionRecord) => void,
    signal?: AbortSignal,
  ): Promise<IdentityRevisionRecord> {
    for (;;) {
      const revision = await this.get(id);
      if (revision.status !== 'waiting' && revision.status !== 'running') return revision;
      onProgress(revision);
      await this.deps.sleep(WATCH_MS, signal);
    }
  }

  async #demandRoom(db: Queryable): Promise<void> {
    if ((await this.deps.revisions.countOpen(db)) < MAX_OPEN_REVISIONS) return;
    throw new WeftError('OVERLOADED', `more than ${String(MAX_OPEN_REVISIONS)} revisions wait for the workers`, {
      hint: 'try again later, and see that a worker runs',
      retryAfterMs: 10_000,
    });
  }

  /**
   * As it is once it is done, or once the time is up.
   * @throws WeftError what it failed with; NOT_FOUND
   */
  async settled(id: Uuid, { timeoutMs, signal }: RevisionWait): Promise<IdentityRevisionRecord> {
    for (let waitedMs = 0; ; waitedMs += POLL_MS) {
      const revision = await this.get(id);
      if (revision.status === 'failed') throw toError(revision);
      if (revision.status === 'done' || waitedMs >= timeoutMs) return revision;
      await this.deps.sleep(POLL_MS, signal);
    }
  }

  find(id: Uuid): Promise<IdentityRevisionRecord | null> {
    return this.deps.revisions.find(this.deps.db, id);
  }

  /** @throws WeftError NOT_FOUND */
  async get(id: Uuid): Promise<IdentityRevisionRecord> {
    const revision = await this.find(id);
    if (revision !== null) return revision;
    throw new WeftError('NOT_FOUND', 'there is no such revision', {
      where: 'id',
      hint: 'identityRevisions lists them',
    });
  }

  page(
    before: Pick<IdentityRevisionRecord, 'createdAt' | 'id'> | null,
    limit: number,
  ): Promise<IdentityRevisionRecord[]> {
    return this.deps.revisions.page(this.deps.db, before, limit);
  }

  /**
   * With identifiers as somebody is known by them, else normalised.
   * @throws WeftError BAD_REQUEST
   */
  async checked(db: Queryable, revision: RevisionInputOf): Promise<RevisionInputOf> {
    const { decider } = this.deps;
    if (revision.kind !== 'merge' && revision.kind !== 'unmerge') return revision;
    if (!('identifiers' in revision.input)) {
      if ('profiles' in revision.input) demandCount(revision.input.profiles.length, 'profiles');
      return revision;
    }
    const resolved = await decider.resolved(db, revision.input.identifiers);
    const identifiers = resolved.map(({ ns, value }) => ({ ns, value }));
    if (revision.kind === 'unmerge') return { kind: 'unmerge', input: { ...revision.input, identifiers } };
    demandCount(new Set(identifiers.map(({ ns, value }) => `${ns} ${value}`)).size, 'identifiers');
    return { kind: 'merge', input: { identifiers } };
  }
}

function demandReason(reason: string): void {
  if (reason.length <= MAX_REASON_LENGTH) return;
  throw new WeftError('BAD_REQUEST', `a reason has at most ${String(MAX_REASON_LENGTH)} characters`, {
    where: 'reason',
  });
}

function isDecision({ kind }: RevisionInputOf): boolean {
  return kind === 'merge' || kind === 'unmerge' || kind === 'unlink' || kind === 'apart';
}

function demandCount(count: number, where: string): void {
  if (count >= 2 && count <= MAX_MERGED) return;
  throw new WeftError('BAD_REQUEST', `a merge joins 2 to ${String(MAX_MERGED)} of them`, {
    where,
    hint: 'name each once',
  });
}

function toError({ failure }: IdentityRevisionRecord): WeftError {
  return new WeftError(failure?.code ?? 'INTERNAL', failure?.message ?? 'it failed', {
    ...(typeof failure?.where === 'string' ? { where: failure.where } : {}),
    ...(typeof failure?.hint === 'string' ? { hint: failure.hint } : {}),
  });
}
