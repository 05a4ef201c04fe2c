import { LRUCache } from 'lru-cache';
import type { AuditAccess, GatheredAccess } from '../../audit/audit-recorder.js';
import { knownIds } from '../../identity/identifier-forms.model.js';
import { WeftError } from '../../platform/errors.js';
import { isUuid } from '../../platform/ids.js';
import type { RequestValues } from '../../features/feature.model.js';
import { glanceOf, type ProfileGlance } from '../../segments/profile-snapshot.model.js';
import { auditActorOf } from '../auth/audit-actor.js';
import { hasScope, type Principal } from '../auth/api-key.model.js';
import type { ApiServices } from '../api-services.js';
import type { DefinitionsWatch } from '../definitions-watch.js';
import { demandWithinBounds } from '../graphql/read-online-features.js';
import { SnapshotBatcher } from '../graphql/snapshot-batcher.js';
import { readAskedEntities, type AskedEntities } from './asked-entities.js';
import { AskedFeatures } from './asked-features.js';
import { shown, type OnlineFeaturesRequest } from './feast-request.model.js';
import { cellOf, keyColumn, NOT_FOUND_CELL, packRow, writeColumns, type OnlineRow } from './online-cells.js';
import { askedEntity, OnlineEntities } from './online-entities.js';

/** Of what is remembered of people's values, of all questions together: some 60 a value. */
const MAX_REMEMBERED_BYTES = 48 * 1024 * 1024;
/** What a remembered row takes beside its bytes, about. */
const ROW_OVERHEAD_BYTES = 400;
const PROFILE_ID = 'profile_id';

/** Null: nobody is known by the key. */
type Found = ProfileGlance | null | Promise<ProfileGlance | null>;

interface Asker {
  /** The instant of the request, ms. */
  readonly nowMs: number;
  readonly principal: Principal;
  readonly entities: AskedEntities;
  /** See {@link OnlineFeaturesRequest}. */
  readonly maxAgeMs: number | null;
}

/** What one row of an answer depends on beside the person and the features. */
interface RowAsk {
  readonly nowMs: number;
  readonly maxAgeMs: number | null;
  readonly request: RequestValues | null;
}

/** What one person's features were, in the order asked, and how long they stay so if no events come. */
interface RememberedRow {
  /** The state that they are of. */
  readonly state: Buffer;
  /** ms; the values hold in `[fromMs, untilMs)`. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly row: OnlineRow;
}

export interface OnlineFeaturesOptions {
  readonly services: Pick<
    ApiServices,
    'clock' | 'policy' | 'snapshots' | 'namespaces' | 'audit' | 'db' | 'damagedItems'
  >;
  readonly watch: Pick<DefinitionsWatch, 'current' | 'settled'>;
}

/**
 * Answers `POST /get-online-features` in Feast's columnar JSON.
 *
 *  1. Each profile is read once, whatever the number of views; those that are not in the memory of this process are read
 *     together, with those of the other requests of the same turn.
 *  2. Values are those of the instant of the request. What is remembered of a profile counts for the very state and the
 *     span of time that it was computed of, and never for other definitions.
 *  3. What somebody does not allow is `NOT_FOUND`, as if nothing were known; nothing of that is remembered, nor of what is
 *     computed from values that came with the request.
 *  4. So is a feature that not all profiles have in full yet: Feast has no word for a value that lacks a part.
 *  5. What a service imputes, where that is asked for, stands beside the status that the value has; never in 3 and 4.
 */
export class OnlineFeatures {
  readonly #options: OnlineFeaturesOptions;
  readonly #batcher: SnapshotBatcher;
  readonly #entities: OnlineEntities;
  readonly #rows = new LRUCache<string, RememberedRow>({
    maxSize: MAX_REMEMBERED_BYTES,
    sizeCalculation: ({ row }) => row.bytes.length + row.ends.byteLength + ROW_OVERHEAD_BYTES,
  });

  constructor(options: OnlineFeaturesOptions) {
    this.#options = options;
    this.#entities = new OnlineEntities(options);
    this.#batcher = SnapshotBatcher.of(options.services.snapshots);
  }

  /**
   * JSON, at once where all of it is in memory.
   * @throws WeftError NOT_FOUND for definitions that there are not; BAD_REQUEST
   */
  answer(request: OnlineFeaturesRequest, principal: Principal): Buffer | Promise<Buffer> {
    const entity = askedEntity(this.#options.watch.current, request);
    if (entity !== null) return this.#entities.answer(entity, request, principal);
    const asked = AskedFeatures.of(this.#options.watch.current, request, hasScope(principal, 'pii'));
    const entities = readAskedEntities(request.entities, request.context, asked.asked);
    demandWithinBounds(entities.values.length, asked.features.length);
    const found = entities.values.map((value) => this.#find(entities.joinKey, value));
    const asker = { nowMs: this.#options.services.clock.now(), principal, entities, maxAgeMs: request.maxAgeMs };
    return found.every(isHere) ? this.#written(asked, found, asker) : this.#answerLater(asked, found, asker);
  }

  async #answerLater(asked: AskedFeatures, found: readonly Found[], asker: Asker): Promise<Buffer> {
    const profiles = await Promise.all(found.map(async (each) => each));
    if (profiles.every((profile) => profile === null)) await this.#demandJoinKey(asker.entities.joinKey);
    return this.#written(asked, profiles, asker);
  }

  #find(joinKey: string, value: string): Found {
    if (joinKey === PROFILE_ID) {
      return isUuid(value) ? this.#batcher.byId(value.toLowerCase(), this).then(glanceOrNull) : null;
    }
    const { policy, snapshots, namespaces } = this.#options.services;
    const raw = { ns: joinKey, value };
    const ids = knownIds(policy, raw);
    const [first] = ids;
    if (first === undefined) {
      if (policy.resolve([raw]).dropped[0]?.reason !== 'unknown_namespace') return null;
      throw unknownJoinKey(joinKey, namespaces.formHint(joinKey));
    }
    return atHand(snapshots, first) ?? this.#read(ids);
  }

  async #read(ids: readonly string[]): Promise<ProfileGlance | null> {
    for (const id of ids) {
      const snapshot = await this.#batcher.ofIdentifier(id, this);
      if (snapshot !== null) return glanceOf(snapshot);
    }
    return null;
  }

  /** Somebody who is not known is an answer; a mistyped namespace is not. */
  async #demandJoinKey(joinKey: string): Promise<void> {
    if (joinKey === PROFILE_ID) return;
    const near = await this.#options.services.namespaces.nearest(joinKey);
    if (near !== null) throw unknownJoinKey(joinKey, `did you mean ${near}?`);
  }

  #written(asked: AskedFeatures, profiles: readonly (ProfileGlance | null)[], asker: Asker): Buffer {
    const { nowMs, principal, maxAgeMs } = asker;
    const { joinKey, values, requests } = asker.entities;
    const rows = profiles.map((profile, row) =>
      profile === null
        ? asked.unknown
        : this.#row(asked, profile, { nowMs, maxAgeMs, request: requests?.[row] ?? null }),
    );
    this.#note(profiles, principal);
    const { length } = asked.features;
    const views = asked.viewsJson === null ? '' : `,"feature_view_metadata":${asked.viewsJson}`;
    const names = `[${JSON.stringify(joinKey)}${asked.namesJson}]`;
    return writeColumns(rows, length, {
      before: `{"results":[${keyColumn(values)}${length === 0 ? '' : ','}`,
      after: `],"metadata":{"feature_names":${names}${views}}}`,
    });
  }

  #row(asked: AskedFeatures, profile: ProfileGlance, ask: RowAsk): OnlineRow {
    const t = Math.max(ask.nowMs, profile.asOf + 1);
    const isOwn = asked.isGated || ask.maxAgeMs !== null || ask.request !== null;
    if (isOwn || !asked.isSettled(this.#options.watch.settled)) return this.#computed(asked, profile, t, ask).row;
    const key = `${String(asked.id)}:${profile.id}`;
    const known = this.#rows.get(key);
    if (known !== undefined && t >= known.fromMs && t < known.untilMs && known.state.equals(profile.state))
      return known.row;
    const fresh = this.#computed(asked, profile, t, ask);
    this.#rows.set(key, fresh);
    return fresh.row;
  }

  #computed(
    asked: AskedFeatures,
    profile: ProfileGlance,
    t: number,
    { maxAgeMs, request }: Omit<RowAsk, 'nowMs'>,
  ): RememberedRow {
    const { features: set } = asked.definitions;
    const { state: packed } = profile;
    const state = set.decode(packed);
    const { settled } = this.#options.watch;
    const isSettled = asked.isSettled(settled);
    const allowed = asked.isGated ? asked.allowed(profile, t) : null;
    let untilMs = Infinity;
    const cells = asked.features.map(({ index, definition }, i) => {
      if (allowed !== null && allowed[i] !== true) return NOT_FOUND_CELL;
      if (!isSettled && !settled.has(definition)) return NOT_FOUND_CELL;
      const value = set.value(state, index, t, request);
      untilMs = Math.min(untilMs, value.validUntil);
      const imputed = asked.imputed[i] ?? null;
      return cellOf(value, definition, { isMasked: asked.isMasked[i] === true, t, maxAgeMs, imputed });
    });
    return { state: packed, fromMs: t, untilMs, row: packRow(cells) };
  }

  #note(profiles: readonly (ProfileGlance | null)[], principal: Principal): void {
    const { audit } = this.#options.services;
    const access: AuditAccess = {
      actor: auditActorOf(principal),
      operation: 'POST /get-online-features',
      fields: ['Feature.value'],
      outcome: hasScope(principal, 'pii') ? 'OK' : 'MASKED',
    };
    let gathered: GatheredAccess | null = null;
    for (const profile of profiles) if (profile !== null) gathered = audit.seen(access, profile.id, gathered);
  }
}

function isHere(found: Found): found is ProfileGlance | null {
  return !(found instanceof Promise);
}

function atHand(snapshots: ApiServices['snapshots'], identifierId: string): ProfileGlance | undefined {
  try {
    return snapshots.atHand(identifierId);
  } catch {
    // The read that is waited for meets it again, and says so.
    return undefined;
  }
}

function glanceOrNull(snapshot: Parameters<typeof glanceOf>[0] | null): ProfileGlance | null {
  return snapshot === null ? null : glanceOf(snapshot);
}

function unknownJoinKey(joinKey: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', `nobody is known by ${shown(joinKey)}`, { where: 'entities', hint });
}
