import { readAppliedPos } from '../events/applied-log.reader.js';
import { DamagedRows } from '../events/damaged-rows.model.js';
import type { EventHistoryReader } from '../events/event-history.reader.js';
import { readBesideErasures } from '../events/beside-erasures.reader.js';
import type { LoggedEvent } from '../events/event.model.js';
import { SeenNameReader } from '../events/seen-name.reader.js';
import type { IdentityHistoryReader, Standing } from '../identity/identity-history.reader.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import { nameHint } from '../platform/near-names.js';
import type { Database, Transaction } from '../platform/postgres.js';
import { compileWhere } from './compile-where.js';
import {
  LabelFold,
  labelMatcher,
  RuleFold,
  sampleInstants,
  type AnsweredInstant,
  type InstantFold,
  type LabelAnswers,
  type LabelQuestion,
  type LabelRule,
  type LabelSampling,
} from './label.model.js';
import type { KnownAsOf, LabelRow } from './training-set.model.js';

export interface LabelParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly identity: IdentityHistoryReader;
  readonly events: EventHistoryReader;
  /**
   * A segment as a rule; left out: none can be asked for.
   * @throws WeftError where there is none, or the log does not tell who was in it
   */
  readonly segmentRule?: (key: string) => Promise<LabelRule<LoggedEvent>>;
  /** People who are answered together; default 500. */
  readonly pagePeople?: number;
}

/** What is known by when; of a label, which tells of the future, not by its own time. */
export type LabelsKnownAsOf = Exclude<KnownAsOf, 'event-time'>;

export interface LabelRequest extends LabelQuestion, Pick<LabelSampling, 'samples' | 'seed'> {
  /** First instant that may be drawn, ms; default: the first event of the log. */
  readonly fromMs?: number;
  /** Last one, ms; default: the last one whose time is over when observation ends. */
  readonly toMs?: number;
  /** Default: `now`. */
  readonly knownAsOf?: LabelsKnownAsOf;
  readonly onProgress?: (progress: LabelCounts) => void;
  readonly signal?: AbortSignal;
}

/** What labels rest on; settled before the first of them. */
export interface LabelPlan extends LabelQuestion, LabelSampling {
  readonly knownAsOf: LabelsKnownAsOf;
  /** Version of the segment that was asked for; null: events were. */
  readonly segmentVersion: number | null;
  /** Until when it is known what happened, ms: the last event that is known. Later instants' time is not over. */
  readonly observedUntilMs: number;
  /** Events of the log up to this position are in. */
  readonly toPos: number;
  /** Profiles that there are. */
  readonly profiles: number;
}

export interface LabelCounts {
  /** People who were asked about so far, and events that were read for it. */
  people: number;
  events: number;
  rows: number;
  positive: number;
  /** Instants left out: before somebody's first event, and those whose time was not over. */
  beforeFirstEvent: number;
  unfinished: number;
}

export interface LabelSet {
  readonly plan: LabelPlan;
  /** Of what was read so far. */
  readonly counts: Readonly<LabelCounts>;
  readonly damaged: DamagedRows;
  /** By profile, then by instant; the label is the one cell, `1` or `0`. To be read once. */
  readonly rows: AsyncGenerator<LabelRow, void, undefined>;
}

const DEFAULT_PAGE_PEOPLE = 500;
/** A page takes seconds, one of very busy people minutes; bounds are looked up in one pass over an index of the log. */
const PAGE_TIMEOUT_MS = 15 * 60_000;
const STATEMENT_TIMEOUT = '10min';

/** What the making of labels needs throughout. */
interface Work {
  readonly plan: LabelPlan;
  readonly foldOf: (instants: readonly number[]) => InstantFold<LoggedEvent>;
  readonly counts: LabelCounts;
  readonly damaged: DamagedRows;
  readonly signal: AbortSignal | undefined;
}

/**
 * Labels from what people did: at instants drawn for each person, whether an event that matches came within a time after,
 * or whether they were in a segment.
 *
 * 1. Events after an instant decide its label, and nothing else of it: not whether the person is in, not under which
 *    identifier (that of the newest event up to the instant), not the instant.
 * 2. An instant whose time is not over by the end of observation is left out and counted, also where a matching event
 *    came already: else the positive ones of the last days would be in and the negative ones not.
 * 3. Who is the same person, and which events there are, is told as of `knownAsOf`.
 * 4. Of a segment it is its condition as it stands, over the events up to the instant, inclusive: nothing after it shows.
 * 5. Memory holds one page of people and of events.
 */
export class LabelService {
  readonly #parts: LabelParts;

  constructor(parts: LabelParts) {
    this.#parts = parts;
  }

  /**
   * @throws WeftError NOT_FOUND (no such event was ever seen, or no such segment), BAD_REQUEST (range; a segment that the
   *   log does not tell of), EXPRESSION_INVALID (condition)
   */
  async makeLabels(request: LabelRequest): Promise<LabelSet> {
    const rule = request.segment === undefined ? null : await this.#ruleOf(request.segment);
    const foldOf = rule === null ? await this.#eventFold(request) : ruleFold(rule);
    const plan = await this.#plan(request, rule?.version ?? null);
    const counts = { people: 0, events: 0, rows: 0, positive: 0, beforeFirstEvent: 0, unfinished: 0 };
    const damaged = new DamagedRows();
    const work = { plan, foldOf, counts, damaged, signal: request.signal };
    return { plan, counts, damaged, rows: this.#rows(work, request.onProgress) };
  }

  #ruleOf(key: string): Promise<LabelRule<LoggedEvent>> {
    const { segmentRule } = this.#parts;
    if (segmentRule === undefined) throw new Error('segments are not known here');
    return segmentRule(key);
  }

  async #eventFold(request: LabelRequest): Promise<Work['foldOf']> {
    const { events, where, withinMs } = request;
    const matches = labelMatcher(request, where === null ? null : compileWhere(where));
    await this.#checkNames(events);
    return (instants) => new LabelFold<LoggedEvent>(instants, withinMs, matches);
  }

  /** A label that nobody can have is a mistyped name. */
  async #checkNames(events: readonly string[]): Promise<void> {
    const seen = await new SeenNameReader(this.#parts.db).all();
    const unknown = events.find((name) => !seen.events.has(name));
    if (unknown === undefined || !seen.isComplete) return;
    throw new WeftError('NOT_FOUND', `no event ${unknown} was ever seen`, {
      where: 'event',
      hint: nameHint(unknown, seen.events.keys(), 'weft plan infer lists the events that there are'),
    });
  }

  async #plan(request: LabelRequest, segmentVersion: number | null): Promise<LabelPlan> {
    const { db, clock } = this.#parts;
    const { segment, events, where, withinMs, samples, seed, knownAsOf = 'now' } = request;
    const nowMs = clock.now();
    if (typeof knownAsOf === 'number' && knownAsOf > nowMs) {
      throw new WeftError('BAD_REQUEST', 'what will be known in the future cannot be exported', {
        where: 'known-as-of',
        hint: 'name an instant of the past, or leave it out for all that is known now',
      });
    }
    const knownMs = knownAsOf === 'now' ? nowMs : knownAsOf;
    const toPos = await readAppliedPos(db);
    const [bounds] = await db.transaction(
      async (tx) => {
        await tx.query(`SELECT set_config('statement_timeout', $1, true)`, [STATEMENT_TIMEOUT]);
        return tx.query<{ first: number | null; last: number | null; profiles: number }>(
          `SELECT min(occurred_at) AS first, max(occurred_at) AS last,
                  (SELECT count(*) FROM profiles WHERE merged_into IS NULL)::int8 AS profiles
           FROM event_log WHERE pos <= $1 AND accepted_at <= $2 AND occurred_at <= $2`,
          [toPos, knownMs],
        );
      },
      { readOnly: true, timeoutMs: PAGE_TIMEOUT_MS },
    );
    if (bounds?.first == null || bounds.last === null) {
      throw new WeftError('BAD_REQUEST', 'there are no events to make labels of', {
        where: 'known-as-of',
        hint: 'send or load events first, or name a later instant',
      });
    }
    const observedUntilMs = bounds.last;
    const fromMs = request.fromMs ?? bounds.first;
    const toMs = request.toMs ?? observedUntilMs - withinMs;
    if (fromMs > toMs) {
      const range = `${new Date(fromMs).toISOString()} to ${new Date(toMs).toISOString()}`;
      throw new WeftError('BAD_REQUEST', `no instant can be drawn from ${range}`, {
        where: 'from',
        hint: `events are known from ${new Date(bounds.first).toISOString()} to ${new Date(observedUntilMs).toISOString()}: ask for less with within, or for another range`,
      });
    }
    const { profiles } = bounds;
    const question = { ...(segment === undefined ? undefined : { segment }), segmentVersion, events, where, withinMs };
    return { ...question, samples, seed, fromMs, toMs, knownAsOf, observedUntilMs, toPos, profiles };
  }

  async *#rows(
    work: Work,
    onProgress: ((progress: LabelCounts) => void) | undefined,
  ): AsyncGenerator<LabelRow, void, undefined> {
    const { counts, signal } = work;
    for (let after: Uuid | null = null; ;) {
      signal?.throwIfAborted();
      const page: { rows: LabelRow[]; last: Uuid | null } = await this.#page(after, work);
      yield* page.rows;
      onProgress?.({ ...counts });
      if (page.last === null) return;
      after = page.last;
    }
  }

  #page(after: Uuid | null, work: Work): Promise<{ rows: LabelRow[]; last: Uuid | null }> {
    const { pagePeople = DEFAULT_PAGE_PEOPLE, db, identity } = this.#parts;
    const before = { ...work.counts };
    return readBesideErasures(
      db,
      async (tx, onUnreadable) => {
        Object.assign(work.counts, before);
        const page = await identity.peopleAfter(tx, after, pagePeople);
        const people = work.plan.knownAsOf === 'now' ? page : await this.#knownPeople(tx, page, work);
        work.counts.people += page.length;
        return { rows: await this.#answer(tx, people, work, onUnreadable), last: page.at(-1)?.key ?? null };
      },
      { timeoutMs: PAGE_TIMEOUT_MS },
    );
  }

  /** Those who were told apart then, each with the page of the least of their identifiers. */
  async #knownPeople(tx: Transaction, page: readonly Standing[], { plan, damaged }: Work): Promise<Standing[]> {
    const knownAtMs = plan.knownAsOf === 'now' ? Infinity : plan.knownAsOf;
    const asks = page.flatMap(({ identifierIds }) =>
      identifierIds.map((identifierId) => ({ identifierId, knownAtMs })),
    );
    const then = await this.#parts.identity.knownAt(tx, asks, { toPos: plan.toPos, onDamaged: damaged.note });
    return then.flatMap((standing, i) => {
      const own = asks[i]?.identifierId;
      if (standing === null || own === undefined || leastOf(standing.identifierIds) !== own) return [];
      return [{ key: own, identifierIds: standing.identifierIds }];
    });
  }

  async #answer(
    tx: Transaction,
    people: readonly Standing[],
    work: Work,
    onUnreadable: () => void,
  ): Promise<LabelRow[]> {
    const { plan, counts, foldOf, signal } = work;
    const asked = people.flatMap(({ key, identifierIds }) => {
      const drawn = sampleInstants(key, plan);
      const instants = drawn.filter((timeMs) => timeMs + plan.withinMs <= plan.observedUntilMs);
      counts.unfinished += drawn.length - instants.length;
      return instants.length === 0 ? [] : [{ instants, identifierIds }];
    });
    const groups = asked.map(({ instants, identifierIds }) => ({
      anchorIds: identifierIds,
      untilMs: (instants.at(-1) ?? 0) + plan.withinMs,
    }));
    const options = {
      toPos: plan.toPos,
      order: 'occurred',
      onDamaged: work.damaged.note,
      onUnreadable,
      ...(plan.knownAsOf === 'now' ? undefined : { acceptedUntilMs: plan.knownAsOf }),
    } as const;
    // Events come person by person, so that one state is held at a time.
    const done = new Map<number, LabelAnswers<LoggedEvent>>();
    let current = -1;
    let fold: InstantFold<LoggedEvent> | null = null;
    for await (const page of this.#parts.events.read(tx, groups, options)) {
      signal?.throwIfAborted();
      counts.events += page.length;
      for (const { group, event } of page) {
        if (group !== current) {
          if (fold !== null) done.set(current, fold.finish());
          fold = foldOf(asked[group]?.instants ?? []);
          current = group;
        }
        fold?.add(event);
      }
    }
    if (fold !== null) done.set(current, fold.finish());
    const rows: LabelRow[] = [];
    for (const [i, { instants, identifierIds }] of asked.entries()) {
      const { answers, unknown } = done.get(i) ?? { answers: [], unknown: instants.length };
      counts.beforeFirstEvent += unknown;
      const own = new Set(identifierIds);
      for (const answer of answers) {
        const row = rowOf(answer, own);
        if (row === null) continue;
        rows.push(row);
        counts.rows++;
        if (answer.isPositive) counts.positive++;
      }
    }
    return rows;
  }
}

function ruleFold(rule: LabelRule<LoggedEvent>): Work['foldOf'] {
  return (instants) => new RuleFold(instants, rule);
}

/** Under the identifier that the newest event up to the instant hangs on: it was known by then. */
function rowOf({ timeMs, isPositive, last }: AnsweredInstant<LoggedEvent>, own: ReadonlySet<Uuid>): LabelRow | null {
  const named = last.identifiers.find(({ id }) => own.has(id)) ?? last.identifiers[0];
  return named === undefined ? null : { ns: named.ns, value: named.value, timeMs, cells: [isPositive ? '1' : '0'] };
}

function leastOf(ids: readonly Uuid[]): Uuid | undefined {
  return ids.reduce<Uuid | undefined>((least, id) => (least === undefined || id < least ? id : least), undefined);
}
