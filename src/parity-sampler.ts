import type { LoadedDefinitions } from './definitions.js';
import type { EventHistoryReader } from './events/event-history.reader.js';
import type { AnchorStateStore } from './features/anchor-state.store.js';
import { PROFILE_ENTITY } from './features/entity.model.js';
import type { AnchorState } from './features/anchor-state.model.js';
import type { FeatureValue } from './features/feature.model.js';
import { HistoryFold, valuesOf } from './features/training-set-fold.js';
import { readWhatLogTells } from './log-tells.js';
import { compareFeature } from './monitoring/compare-features.js';
import { MAX_MISMATCHES, ParityTally, type ParityFindings } from './monitoring/feature-parity.model.js';
import type { Clock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import type { OnlineStore } from './profiles/online-store.model.js';
import { profileKey, unpackSnapshot } from './segments/profile-snapshot.model.js';

export interface ParitySamplerParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: () => Promise<LoadedDefinitions>;
  readonly store: () => OnlineStore;
  readonly anchors: Pick<AnchorStateStore, 'loadByProfiles'>;
  readonly events: EventHistoryReader;
  readonly sleep: (ms: number) => Promise<void>;
  /** Events of one profile; with more it is left out and counted. Default: {@link MAX_EVENTS}. */
  readonly maxEvents?: number | undefined;
}

/** One value that is not what the log gives. */
export interface ParityMismatch {
  readonly profileId: Uuid;
  readonly feature: string;
  /** `state`: what the database holds is not what the log gives. `copy`: what is served is not what the database holds. */
  readonly where: 'state' | 'copy';
}

export interface ParityRound extends ParityFindings<ParityMismatch> {
  readonly profiles: number;
}

/** Events of one profile or item; with more it is left out and counted, unless more are asked for. */
export const MAX_EVENTS = 20_000;
/** A copy is written after the commit; it is looked at again before it counts as wrong. */
const COPY_ATTEMPTS = 4;
const COPY_PAUSE_MS = 250;
/** For as many events as are read without being asked for more. */
const SNAPSHOT_TIMEOUT_MS = 60_000;
const MAX_SNAPSHOT_TIMEOUT_MS = 30 * 60_000;

/** How long one snapshot may be read in which so many events are folded, ms. */
export function snapshotTimeoutMs(maxEvents: number): number {
  return Math.min(MAX_SNAPSHOT_TIMEOUT_MS, Math.ceil(SNAPSHOT_TIMEOUT_MS * Math.max(1, maxEvents / MAX_EVENTS)));
}

/** More events are behind it than are read. */
const TOO_BIG = 'too_big';

/** What is compared of one set of definitions. */
interface Subject {
  readonly definitions: LoadedDefinitions;
  /** Indexes of the features that are compared. */
  readonly indexes: readonly number[];
}

interface PartitionRow {
  readonly part: number;
  readonly applied: number;
  /** Version of the definitions. */
  readonly inForce: number;
  readonly acceptedAt: number;
  readonly isSwept: boolean;
}

/** Features of one profile at one position of the log. */
interface Sample {
  /** Instant before which all events count, ms. */
  readonly t: number;
  readonly stored: AnchorState;
  readonly offline: readonly FeatureValue[];
  /** Whether the profile was evaluated with these definitions, so that its copy has all streams. */
  readonly isSwept: boolean;
  readonly events: number;
}

/**
 * Compares features as they are served with what the log gives.
 *
 *  1. State and log are read in one snapshot, beside live traffic: of each partition those events count that it has
 *     applied by then. So the two are of the same position of the log, and have to be the same at once.
 *  2. The log is folded by the code that makes training sets, over the events of all identifiers of the profile, as of an
 *     instant after everything accepted.
 *  3. A copy in the online store is written after the commit: it counts as wrong once it has stayed another while the
 *     state has not changed.
 *  4. A feature whose events a retention may have removed from the log is not compared, nor one whose history is still
 *     being folded in.
 */
export class ParitySampler {
  readonly #parts: ParitySamplerParts;
  readonly #maxEvents: number;

  constructor(parts: ParitySamplerParts) {
    this.#parts = parts;
    this.#maxEvents = parts.maxEvents ?? MAX_EVENTS;
  }

  async compare(
    ids: readonly Uuid[],
    onProgress: (done: number) => void = () => undefined,
    signal?: AbortSignal,
  ): Promise<ParityRound> {
    const definitions = await this.#parts.definitions();
    const { compared: indexes, untold } = await this.#split(definitions);
    const tally = new ParityTally(PROFILE_ENTITY);
    const mismatches: ParityMismatch[] = [];
    let [profiles, skipped, tooBig, events, done] = [0, 0, 0, 0, 0];
    for (const id of ids) {
      signal?.throwIfAborted();
      const found = await this.#compareOne(id, { definitions, indexes }, tally);
      if (found === TOO_BIG) {
        tooBig += 1;
        for (const { name } of indexes.flatMap((index) => definitions.features.definitions[index] ?? [])) {
          tally.leaveOut(name);
        }
      }
      if (found === null || found === TOO_BIG) skipped += 1;
      else {
        profiles += 1;
        events += found.events;
        mismatches.push(...found.mismatches.slice(0, MAX_MISMATCHES - mismatches.length));
      }
      onProgress(++done);
    }
    return { profiles, skipped, tooBig, events, figures: tally.figures, mismatches, untold };
  }

  async #split(definitions: LoadedDefinitions): Promise<{ compared: number[]; untold: string[] }> {
    const isTold = await readWhatLogTells(this.#parts.db);
    const compared: number[] = [];
    const untold: string[] = [];
    for (const view of definitions.views.values()) {
      for (const { name } of view.features) {
        const index = definitions.features.indexOf(name);
        const definition = index === undefined ? undefined : definitions.features.definitions[index];
        if (index === undefined || definition === undefined) continue;
        if (definitions.isReady(index) && isTold(definition)) compared.push(index);
        else untold.push(name);
      }
    }
    return { compared, untold: untold.sort() };
  }

  async #compareOne(
    id: Uuid,
    subject: Subject,
    tally: ParityTally,
  ): Promise<{ readonly events: number; readonly mismatches: readonly ParityMismatch[] } | typeof TOO_BIG | null> {
    const first = await this.#sample(id, subject);
    if (first === null || first === TOO_BIG) return first;
    let sample = first;
    const { features } = subject.definitions;
    const wrong = this.#differing(sample, subject, sample.stored);
    let where: ParityMismatch['where'] = 'state';
    let values: readonly FeatureValue[] = wrong.values;
    if (wrong.names.length === 0) {
      const copy = await this.#settledCopy(id, subject, sample);
      if (copy === null) return null;
      sample = copy.sample;
      values = copy.values;
      where = 'copy';
    }
    const mismatches: ParityMismatch[] = [];
    for (const [at, index] of subject.indexes.entries()) {
      const definition = features.definitions[index];
      const [online, offline] = [values[at], sample.offline[index]];
      if (definition === undefined || online === undefined || offline === undefined) continue;
      const comparison = compareFeature(online, offline, definition);
      tally.add(definition.name, comparison);
      if (comparison.outcome === 'mismatched' || comparison.outcome === 'missing') {
        mismatches.push({ profileId: id, feature: definition.name, where });
      }
    }
    return { events: sample.events, mismatches };
  }

  /** Values of the copy that is served, or of the state where there is none; null: both changed all the time. */
  async #settledCopy(
    id: Uuid,
    subject: Subject,
    first: Sample,
  ): Promise<{ readonly sample: Sample; readonly values: readonly FeatureValue[] } | null> {
    let sample = first;
    let version: number | null = null;
    for (let attempt = 0; attempt < COPY_ATTEMPTS; attempt++) {
      const [blob] = await this.#parts.store().getMany([profileKey(id)]);
      const unpacked = blob == null ? null : unpackSnapshot(blob.bytes);
      if (blob == null || unpacked === null || 'alias' in unpacked || !sample.isSwept) {
        return { sample, values: this.#valuesOf(sample, subject, sample.stored) };
      }
      const state = subject.definitions.features.decode(unpacked.profile.state);
      const { values, names } = this.#differing(sample, subject, state);
      if (names.length === 0) return { sample, values };
      const isLast = attempt === COPY_ATTEMPTS - 1;
      if (isLast) return blob.version === version ? { sample, values } : null;
      version = blob.version;
      await this.#parts.sleep(COPY_PAUSE_MS);
      const next = await this.#sample(id, subject);
      if (next === null || next === TOO_BIG || this.#differing(next, subject, next.stored).names.length > 0)
        return null;
      sample = next;
    }
    return null;
  }

  /** Values of a state, and names of the features in which they are not what the log gives. */
  #differing(sample: Sample, subject: Subject, state: AnchorState) {
    const values = this.#valuesOf(sample, subject, state);
    const names = subject.indexes.flatMap((index, at) => {
      const definition = subject.definitions.features.definitions[index];
      const [online, offline] = [values[at], sample.offline[index]];
      if (definition === undefined || online === undefined || offline === undefined) return [];
      const { outcome } = compareFeature(online, offline, definition);
      return outcome === 'mismatched' || outcome === 'missing' ? [definition.name] : [];
    });
    return { values, names };
  }

  #valuesOf({ t }: Sample, { definitions, indexes }: Subject, state: AnchorState): FeatureValue[] {
    return indexes.map((index) => definitions.features.value(state, index, t));
  }

  /** Null where it cannot be compared. */
  #sample(id: Uuid, subject: Subject): Promise<Sample | typeof TOO_BIG | null> {
    return this.#parts.db.transaction((tx) => this.#read(tx, id, subject.definitions), {
      isolation: 'REPEATABLE READ',
      readOnly: true,
      timeoutMs: snapshotTimeoutMs(this.#maxEvents),
    });
  }

  async #read(
    tx: Transaction,
    id: Uuid,
    { features, version }: LoadedDefinitions,
  ): Promise<Sample | typeof TOO_BIG | null> {
    const parts = await tx.query<PartitionRow>(
      `SELECT p.part, p.applied_pos AS applied, i.definitions_version AS "inForce", h.accepted_at AS "acceptedAt",
              p.swept_version >= i.definitions_version
                AND NOT EXISTS (SELECT FROM timers WHERE profile_id = $1 AND is_swept) AS "isSwept"
       FROM partitions p, installation i, log_head h`,
      [id],
    );
    if (parts.some(({ inForce }) => inForce !== version)) return null;
    const rows = await this.#parts.anchors.loadByProfiles(tx, [id]);
    if (rows.length === 0) return null;
    const asOf = parts.reduce((latest, { acceptedAt }) => Math.max(latest, acceptedAt), this.#parts.clock.now());
    const applied = new Map(parts.map(({ part, applied: pos }) => [part, pos]));
    const anchorIds = rows.map(({ identifierId }) => identifierId);
    let offline: readonly FeatureValue[] = valuesOf(features, features.empty(), asOf);
    const fold = new HistoryFold(features, [{ index: 0, timeMs: asOf, request: null }], (_, answer) => {
      offline = answer.values;
    });
    let [events, isDamaged] = [0, false];
    const history = this.#parts.events.read(tx, [{ anchorIds, untilMs: asOf }], {
      toPos: Math.max(0, ...applied.values()),
      order: 'occurred',
      onDamaged: () => (isDamaged = true),
    });
    for await (const page of history) {
      if ((events += page.length) > this.#maxEvents) return TOO_BIG;
      for (const { event } of page) {
        if (event.pos <= (applied.get(event.part) ?? 0)) fold.add(event, event.occurredAt);
      }
    }
    if (isDamaged) return null;
    fold.finish();
    const stored = features.merge(
      rows.flatMap(({ anchor }) => (anchor === null ? [] : [features.decode(anchor.state)])),
    );
    const isSwept = parts.every((row) => row.isSwept);
    return { t: asOf + 1, stored, offline, isSwept, events };
  }
}
