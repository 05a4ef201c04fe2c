import { DamagedRows } from '../events/damaged-rows.model.js';
import { readErasureMark } from '../events/erasure-mark.reader.js';
import type { EventHistoryReader, HistoryOptions } from '../events/event-history.reader.js';
import type { IdentifierPolicy } from '../events/event.model.js';
import { knownIds } from '../identity/identifier-forms.model.js';
import type { IdentityHistoryReader, Standing } from '../identity/identity-history.reader.js';
import type { Clock } from '../platform/clock.js';
import type { Uuid } from '../platform/ids.js';
import { compileConsents } from '../profiles/consent.model.js';
import { PurposeReader } from '../profiles/purpose.reader.js';
import type { Database, Transaction } from '../platform/postgres.js';
import { chunksOf } from './chunks-of.js';
import type { ItemHistoryCounts } from './item-histories.js';
import { planSplit } from './plan-split.js';
import type { Splitter, SplitSpec } from './split.model.js';
import { EntityColumns } from './training-set-entities.js';
import { FeatureSet } from './feature-set.model.js';
import type { RequestValues } from './feature.model.js';
import type { ExpressionLanguage } from './on-demand.model.js';
import { planTrainingSet, requestReader } from './plan-training-set.js';
import type { TrainingSetRequest } from './training-set-request.model.js';
import { streamsOf } from './stream.model.js';
import { readPersonWords } from './person-words.js';
import { HeldWords, type FeatureGates, type PersonWords } from './withheld-features.js';
import { HistoryFold, valuesOf, type FoldAnswer, type FoldRow } from './training-set-fold.js';
import {
  withinAges,
  type LabelRow,
  type PlannedFeature,
  type TrainingRow,
  type TrainingSetPlan,
} from './training-set.model.js';

export interface TrainingSetParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly policy: IdentifierPolicy;
  readonly identity: IdentityHistoryReader;
  readonly events: EventHistoryReader;
  /** What expressions of on-demand features are written in; left out: none can be exported. */
  readonly language?: ExpressionLanguage;
  /** Label rows that are answered together; default 2,000. */
  readonly chunkRows?: number;
}

export interface TrainingSet {
  readonly plan: TrainingSetPlan;
  /** When the export began, ms. */
  readonly startedAtMs: number;
  /** Rows of the log that cannot be read, among those that were needed so far: the features are without them. */
  readonly damaged: DamagedRows;
  /** How often histories of items were read so far, and how often taken from memory; null: no feature needs any. */
  readonly itemHistories: () => ItemHistoryCounts | null;
  /** One for each label row, in their order. To be read once. */
  readonly rows: AsyncGenerator<TrainingRow, void, undefined>;
}

const DEFAULT_CHUNK_ROWS = 2_000;
/** Histories are read in a transaction that changes nothing; a chunk takes seconds, one of very busy people minutes. */
const CHUNK_TIMEOUT_MS = 15 * 60_000;

/** What an export needs throughout. */
interface Work {
  readonly plan: TrainingSetPlan;
  readonly set: FeatureSet;
  /** What a row says of the request; null: no feature reads one. */
  readonly requestOf: ((label: LabelRow) => RequestValues) | null;
  /** Null: no feature needs anything to be allowed. */
  readonly gates: FeatureGates | null;
  /** Features of other entities; null: all are of people. */
  readonly entities: EntityColumns | null;
  /** When the export began, ms. */
  readonly nowMs: number;
  readonly damaged: DamagedRows;
}

/** People of a chunk who share a fold, and the rows about them. */
interface Person {
  readonly anchorIds: readonly Uuid[];
  readonly rows: FoldRow[];
}

/**
 * Training sets that are correct at each row's own instant.
 *
 * 1. Row for row, in the order of the labels: every label row comes out, whether or not its entity is known.
 * 2. A feature of a row is the feature by definition over the events of its person with `occurredAt ≤ T`: what online
 *    reads at T + 1. The aggregator is the online one (`feature-set.model.ts`).
 * 3. Who is the same person, and which events there are, is told as of {@link KnownAsOf}; the log is cut at the
 *    position that was applied when the export began, for every row alike.
 * 4. A feature that needs something to be allowed has no value in the rows of those who, by what is known as of
 *    {@link KnownAsOf}, did not allow it at T + 1, or do not now; these rows are `WITHHELD`.
 *    Words that outlived their events are known as of when they were given.
 * 5. Memory holds one chunk of rows, one person's state and a page of events, however much there is of each; and histories
 *    of items within a bound, so that those that many rows name are read once (`item-histories.ts`).
 */
export class TrainingSetService {
  readonly #parts: TrainingSetParts;

  constructor(parts: TrainingSetParts) {
    this.#parts = parts;
  }

  /** @throws WeftError NOT_FOUND (no such service, feature or version), BAD_REQUEST (nothing to export, or of the future) */
  async exportTrainingSet(request: TrainingSetRequest): Promise<TrainingSet> {
    const { db, clock } = this.#parts;
    const nowMs = request.cut?.nowMs ?? clock.now();
    const plan = await planTrainingSet(db, request, nowMs);
    const { features } = plan;
    const sources = await db.query<{ id: number; key: string }>('SELECT id, key FROM sources');
    const sourceIds = new Map(sources.map(({ id, key }) => [key, id]));
    const definitions = features.map((feature) => feature.definition);
    const set = FeatureSet.compile(
      definitions,
      new Map(streamsOf(definitions).map(({ key }, i) => [key, i + 1])),
      sourceIds,
      this.#parts.language,
    );
    const requestOf = requestReader(definitions, request.columns ?? []);
    const damaged = new DamagedRows();
    const gates = await this.#gates(features, sourceIds);
    const entities = await EntityColumns.plan(db, this.#parts.events, features, request.columns ?? [], sourceIds);
    return {
      plan,
      startedAtMs: nowMs,
      damaged,
      itemHistories: () => entities?.historyCounts ?? null,
      rows: this.#rows(request, { plan, set, requestOf, gates, entities, nowMs, damaged }),
    };
  }

  /**
   * How rows are to be parted, which takes a look at all of them.
   * @param labels as for the export; @param labelCell index of the cell that is the label; -1: there is none
   * @throws WeftError PAYLOAD_TOO_LARGE for more than 5,000,000 people
   */
  planSplit(
    labels: TrainingSetRequest['labels'],
    labelCell: number,
    spec: SplitSpec,
    signal?: AbortSignal,
  ): Promise<Splitter> {
    return planSplit(this.#parts, { labels, labelCell, spec, ...(signal === undefined ? undefined : { signal }) });
  }

  /** See {@link readErasureMark}. */
  erasureMark(): Promise<string> {
    return readErasureMark(this.#parts.db);
  }

  async #gates(
    features: readonly PlannedFeature[],
    sourceIds: ReadonlyMap<string, number>,
  ): Promise<FeatureGates | null> {
    const needed = features.map(({ purposes = [] }) => purposes);
    if (needed.every((keys) => keys.length === 0)) return null;
    const purposes = await new PurposeReader(this.#parts.db).all();
    const terms = new Map(purposes.map((purpose) => [purpose.key, purpose]));
    return { needed, terms, mapping: compileConsents(purposes, sourceIds) };
  }

  async *#rows(
    { labels, onProgress, signal }: TrainingSetRequest,
    work: Work,
  ): AsyncGenerator<TrainingRow, void, undefined> {
    const counts = { rows: 0, events: 0, notFound: 0, invalid: 0, future: 0 };
    for await (const chunk of chunksOf(labels, this.#parts.chunkRows ?? DEFAULT_CHUNK_ROWS)) {
      signal?.throwIfAborted();
      const { rows, events } = await this.#answer(chunk, work, signal);
      for (const row of rows) {
        counts.rows++;
        if (row.status === 'NOT_FOUND') counts.notFound++;
        if (row.status === 'INVALID') counts.invalid++;
        if (row.label.timeMs > work.nowMs) counts.future++;
      }
      counts.events += events;
      yield* rows;
      onProgress?.({ ...counts });
    }
  }

  async #answer(labels: readonly LabelRow[], work: Work, signal: AbortSignal | undefined) {
    const { set, requestOf, gates } = work;
    const { features } = work.plan;
    const agesOf = features.some(({ maxAgeMs }) => maxAgeMs !== undefined) ? features : null;
    const forms = labels.map((label) => knownIds(this.#parts.policy, label));
    const requests = labels.map((label) => requestOf?.(label) ?? null);
    const nothingOf = (request: RequestValues | null): FoldAnswer => {
      const values = valuesOf(set, set.empty(), 0, request);
      return gates === null ? { values, isWithheld: false } : new HeldWords(gates).withhold(values, 1);
    };
    const nothing = nothingOf(null);
    return this.#parts.db.transaction(
      async (tx) => {
        const profiles = await this.#parts.identity.profilesOf(tx, forms.flat());
        const ids = labels.map((label, i) => forms[i]?.find((id) => profiles.has(id)) ?? this.#idOf(label));
        const standings = await this.#standings(tx, labels, ids, work);
        const answers = new Map<number, FoldAnswer>();
        const events = await this.#fold(tx, peopleOf(labels, standings, requests), work, answers, signal);
        const { knownAsOf, toPos } = work.plan;
        const known = { knownAsOf, toPos, nowMs: work.nowMs, onDamaged: work.damaged.note };
        const fill = await work.entities?.fill(tx, labels, known);
        const rows = labels.map((label, i): TrainingRow => {
          const id = ids[i] ?? null;
          const request = requests[i] ?? null;
          const answer = answers.get(i) ?? (request === null ? nothing : nothingOf(request));
          const found = answer.isWithheld ? 'WITHHELD' : 'FOUND';
          const ofPerson = id === null ? 'INVALID' : standings[i] == null ? 'NOT_FOUND' : found;
          const status = fill?.status(i) ?? ofPerson;
          const profileId = id === null ? null : (profiles.get(id) ?? null);
          const all = fill?.values(answer.values, i) ?? answer.values;
          const values = agesOf === null ? all : withinAges(all, agesOf, label.timeMs);
          return { label, status, profileId, values };
        });
        return { rows, events };
      },
      { isolation: 'REPEATABLE READ', readOnly: true, timeoutMs: CHUNK_TIMEOUT_MS },
    );
  }

  /** Of somebody who is not known; null: nobody can be. */
  #idOf({ ns, value }: LabelRow): Uuid | null {
    return this.#parts.policy.resolve([{ ns, value }]).identifiers[0]?.id ?? null;
  }

  /** Whom each row is about, at its index; null: nobody, as far as known. */
  async #standings(
    tx: Transaction,
    labels: readonly LabelRow[],
    ids: readonly (Uuid | null)[],
    { plan: { knownAsOf, toPos }, damaged }: Work,
  ): Promise<(Standing | null)[]> {
    const asked = labels.flatMap(({ timeMs }, index) => {
      const identifierId = ids[index];
      const knownAtMs = typeof knownAsOf === 'number' ? knownAsOf : timeMs;
      return identifierId == null ? [] : [{ index, identifierId, knownAtMs }];
    });
    const standings: (Standing | null)[] = labels.map(() => null);
    if (knownAsOf === 'now') {
      const now = await this.#parts.identity.now(
        tx,
        asked.map((ask) => ask.identifierId),
      );
      for (const { index, identifierId } of asked) standings[index] = now.get(identifierId) ?? null;
    } else {
      const then = await this.#parts.identity.knownAt(tx, asked, { toPos, onDamaged: damaged.note });
      asked.forEach(({ index }, i) => (standings[index] = then[i] ?? null));
    }
    return standings;
  }

  async #fold(
    tx: Transaction,
    people: readonly Person[],
    work: Work,
    answers: Map<number, FoldAnswer>,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const {
      plan: { knownAsOf, toPos },
      set,
      gates,
      damaged,
    } = work;
    const groups = people.map(({ anchorIds, rows }) => ({ anchorIds, untilMs: latestOf(rows) }));
    const log = { toPos, onDamaged: damaged.note };
    const options: HistoryOptions =
      knownAsOf === 'event-time'
        ? // What is accepted has occurred: by the time it is known it counts.
          { ...log, order: 'accepted', acceptedUntilMs: latestOf(groups.map((g) => ({ timeMs: g.untilMs }))) }
        : { ...log, order: 'occurred', ...(knownAsOf === 'now' ? undefined : { acceptedUntilMs: knownAsOf }) };
    const words = await this.#words(tx, people, work);
    const foldOf = ({ rows }: Person, i: number): HistoryFold => {
      const held = gates === null ? null : new HeldWords(gates, words[i]);
      return new HistoryFold(set, rows, (index, answer) => answers.set(index, answer), held);
    };
    let current = -1;
    let fold: HistoryFold | null = null;
    let events = 0;
    for await (const page of this.#parts.events.read(tx, groups, options)) {
      signal?.throwIfAborted();
      events += page.length;
      for (const { group, event } of page) {
        if (group !== current) {
          fold?.finish();
          const person = people[group];
          fold = person === undefined ? null : foldOf(person, group);
          current = group;
        }
        fold?.add(event, options.order === 'accepted' ? event.acceptedAt : event.occurredAt);
      }
    }
    fold?.finish();
    for (const [i, person] of people.entries()) {
      if (person.rows.some(({ index }) => !answers.has(index))) foldOf(person, i).finish();
    }
    return events;
  }

  /** What the log does not tell of these people's consents, at their index; of nobody where nothing needs any. */
  async #words(tx: Transaction, people: readonly Person[], { plan, gates, nowMs }: Work): Promise<PersonWords[]> {
    if (gates === null || people.length === 0) return [];
    return readPersonWords(tx, people, {
      gates,
      identity: this.#parts.identity,
      knownUntilMs: typeof plan.knownAsOf === 'number' ? plan.knownAsOf : Infinity,
      nowMs: plan.consentAsOf === 'now' ? nowMs : null,
    });
  }
}

/** Rows by person: whoever stands for the same identifiers shares a fold. */
function peopleOf(
  labels: readonly LabelRow[],
  standings: readonly (Standing | null)[],
  requests: readonly (RequestValues | null)[],
): Person[] {
  const people = new Map<string, Person>();
  for (const [index, { timeMs }] of labels.entries()) {
    const standing = standings[index];
    if (standing == null) continue;
    const person = people.get(standing.key) ?? { anchorIds: standing.identifierIds, rows: [] };
    people.set(standing.key, person);
    person.rows.push({ index, timeMs, request: requests[index] ?? null });
  }
  return [...people.values()];
}

function latestOf(rows: readonly { readonly timeMs: number }[]): number {
  return rows.reduce((latest, { timeMs }) => Math.max(latest, timeMs), Number.MIN_SAFE_INTEGER);
}
