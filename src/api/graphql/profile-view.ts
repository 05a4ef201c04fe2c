import type { ConsentStatus } from '../../events/consent-context.model.js';
import { isReservedTrait, type JsonObject, type JsonValue } from '../../events/event.model.js';
import type { AnchorState } from '../../features/anchor-state.model.js';
import { isList, type FeatureType, type FeatureValue, type RequestValues } from '../../features/feature.model.js';
import { readRequestValues } from '../../features/on-demand.model.js';
import { WeftError } from '../../platform/errors.js';
import { hashId, type Uuid } from '../../platform/ids.js';
import { consentTrait, expiryOf, isAllowed, UNDECLARED, wordIn } from '../../profiles/consent.model.js';
import { groupsOf, type KnownGroup } from '../../profiles/groups.model.js';
import type { Provenance } from '../../profiles/trait-rule.model.js';
import { ModelReader } from '../../scoring/model.reader.js';
import { faceOf, type ModelFace, type Prediction } from '../../scoring/prediction.model.js';
import { versionFor, type AskedVersion } from '../../segments/asked-version.model.js';
import type { CompiledSegment } from '../../segments/compile-segment.js';
import type { ProfileSnapshot, SnapshotMembership } from '../../segments/profile-snapshot.model.js';
import type { ChangeCause } from '../../segments/segment.model.js';
import type { StoredSegment } from '../../segments/segment.reader.js';
import { WITHHELD } from './enums.js';
import type { ReadableFeature } from './definitions-index.js';
import { explainMembership, type MembershipExplanation } from './explain-membership.js';
import type { ReadScope } from './read-scope.js';
import { SnapshotContext } from './snapshot-context.js';

const NOTHING: readonly string[] = [];

export type EvaluationMode = 'LIVE' | 'NOW';

/** A feature's value, in the form of the API. */
export interface FeatureView {
  readonly name: string;
  /** `view__feature`. */
  readonly fullName: string;
  readonly type: FeatureType;
  readonly status: FeatureValue['status'] | typeof WITHHELD;
  readonly value: FeatureValue['value'];
  readonly eventTs: number | null;
  readonly ageMs: number | null;
  readonly validUntil: number | null;
  readonly approximate: boolean;
  readonly version: number;
  readonly complete: boolean;
  /** Whether the value is what a feature service says for missing ones. */
  readonly imputed: boolean;
}

export interface MembershipView {
  readonly segment: StoredSegment;
  readonly isMember: boolean;
  readonly since: number | null;
  readonly version: number | null;
  readonly cause: ChangeCause | null;
  readonly evaluation: EvaluationMode;
  readonly asOf: number;
  readonly stale: boolean;
}

export interface ScoreView {
  readonly model: string;
  readonly version: number;
  readonly digest: string;
  readonly score: number | null;
  readonly label: string | null;
  readonly cluster: number | null;
  readonly embedding: readonly (number | null)[] | null;
  readonly asOf: number;
  readonly validUntil: number | null;
  readonly inputs: Prediction['inputs'] | typeof WITHHELD;
  readonly evaluation: 'NOW';
}

/** A trait with where its value is from, in the form of the API. */
export interface TraitView {
  readonly name: string;
  readonly value: JsonValue;
  readonly source: string;
  readonly messageId: string;
  readonly occurredAt: number;
  readonly provenance: Provenance;
  readonly approximate: boolean;
  readonly profile: ProfileView;
}

/** The word on one purpose as a profile holds it. */
export interface ConsentView {
  readonly purpose: string;
  readonly allowed: boolean;
  readonly status: ConsentStatus | null;
  readonly expiresAt: number | null;
  readonly source: string | null;
  readonly messageId: string | null;
  readonly occurredAt: number | null;
  readonly profile: ProfileView;
}

/** A profile as one request sees it: stored by the pipeline, read at the request's instant. */
export class ProfileView {
  readonly reads: ReadScope;
  readonly #snapshot: ProfileSnapshot;
  #state: AnchorState | null = null;
  /** All values are as of this instant, ms: the request's, but after everything that is folded in. */
  readonly #t: number;

  constructor(reads: ReadScope, snapshot: ProfileSnapshot) {
    this.reads = reads;
    this.#snapshot = snapshot;
    this.#t = Math.max(reads.nowMs, snapshot.asOf + 1);
  }

  get id(): Uuid {
    return this.#snapshot.id;
  }

  get createdAt(): number {
    return this.#snapshot.createdAt;
  }

  get asOf(): number {
    return this.#snapshot.asOf;
  }

  get identifiers(): { namespace: string; value: string }[] {
    return this.#snapshot.identifiers.map(([namespace, value]) => ({ namespace, value }));
  }

  get identifierIds(): Uuid[] {
    return this.#snapshot.identifiers.map(([namespace, value]) => hashId(namespace, value));
  }

  traits(names: readonly string[] | null | undefined): JsonObject {
    const all = this.#snapshot.traits;
    const entries: [string, JsonObject[string]][] = [];
    for (const name of names ?? all.keys()) {
      const trait = all.get(name);
      if (trait !== undefined && !isReservedTrait(name)) entries.push([name, trait.value]);
    }
    return Object.fromEntries(entries);
  }

  /** By name in the order of its characters; reserved ones are left out. */
  traitDetails(names: readonly string[] | null | undefined): TraitView[] {
    const { sourceKeys } = this.reads.definitions;
    const wanted = names === null || names === undefined ? null : new Set(names);
    const views: TraitView[] = [];
    for (const [name, { value, occurredAt, sourceId, messageId, provenance, approximate }] of this.#snapshot.traits) {
      if (isReservedTrait(name) || wanted?.has(name) === false) continue;
      const source = sourceKeys.get(sourceId) ?? '';
      views.push({ name, value, occurredAt, messageId, provenance, approximate, source, profile: this });
    }
    return views.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Those named last at the end. */
  get groups(): KnownGroup[] {
    return groupsOf(this.#snapshot.traits);
  }

  /** What the person allows, of every purpose that is declared, by key. */
  consents(): ConsentView[] {
    const { purposes, sourceKeys } = this.reads.definitions;
    return [...purposes.values()].map((terms): ConsentView => {
      const held = this.#snapshot.traits.get(consentTrait(terms.key));
      const word = wordIn(held?.value);
      const expiresAt = held === undefined || word === null ? Infinity : expiryOf(terms, held);
      return {
        purpose: terms.key,
        allowed: isAllowed(terms, held, this.#t),
        status: word?.status ?? null,
        expiresAt: expiresAt === Infinity ? null : expiresAt,
        source: held === undefined ? null : (sourceKeys.get(held.sourceId) ?? ''),
        messageId: held?.messageId ?? null,
        occurredAt: held?.occurredAt ?? null,
        profile: this,
      };
    });
  }

  /** Whether the person allows all of these. A purpose that is not declared is not allowed. */
  allows(needed: readonly string[]): boolean {
    const { purposes } = this.reads.definitions;
    return needed.every((key) =>
      isAllowed(purposes.get(key) ?? UNDECLARED, this.#snapshot.traits.get(consentTrait(key)), this.#t),
    );
  }

  /**
   * @param needed what somebody has to allow beside what the features' views ask for
   * @param request what on-demand features read of the request
   */
  features(
    asked: readonly ReadableFeature[],
    needed: readonly string[] = NOTHING,
    request: RequestValues | null = null,
  ): FeatureView[] {
    this.reads.countFeatureValues(asked.length);
    const { features } = this.reads.definitions;
    if (!this.allows(needed)) return asked.map((feature) => this.#withheld(feature));
    const state = this.#decoded();
    return asked.map((feature) => {
      const { index, definition, fullName, version, isReady, purposes } = feature;
      if (purposes.length > 0 && !this.allows(purposes)) return this.#withheld(feature);
      const value = features.value(state, index, this.#t, request);
      return {
        name: definition.name,
        fullName,
        type: definition.type,
        status: value.status,
        value: valueOf(value, definition.type),
        eventTs: value.eventTs,
        ageMs: value.eventTs === null ? null : this.#t - value.eventTs,
        validUntil: value.validUntil === Infinity ? null : value.validUntil,
        approximate: value.approximate,
        version,
        complete: isReady && this.reads.isSwept,
        imputed: false,
      };
    });
  }

  #withheld({ definition, fullName, version, isReady }: ReadableFeature): FeatureView {
    const { name, type } = definition;
    const nothing = { value: null, eventTs: null, ageMs: null, validUntil: null, approximate: false };
    return {
      name,
      fullName,
      type,
      status: WITHHELD,
      ...nothing,
      version,
      complete: isReady && this.reads.isSwept,
      imputed: false,
    };
  }

  /** The memberships that the pipeline maintains. */
  memberships(): MembershipView[] {
    const { segmentsById } = this.reads.index;
    const views: MembershipView[] = [];
    for (const membership of this.#snapshot.memberships) {
      const segment = segmentsById.get(membership.segmentId);
      // Left out: one made within the last half second, elsewhere, which the next request knows, and one archived as
      // lately, whose members are leaving.
      if (segment !== undefined) views.push(this.#live(segment, membership));
    }
    return views.sort((a, b) => (a.segment.key < b.segment.key ? -1 : 1));
  }

  /** @throws WeftError NOT_FOUND */
  liveMembership(key: string): MembershipView | Promise<MembershipView> {
    const segment = this.reads.segment(key);
    return segment instanceof Promise ? segment.then((found) => this.#liveIn(found)) : this.#liveIn(segment);
  }

  #liveIn(segment: StoredSegment): MembershipView {
    const membership = this.#snapshot.memberships.find(({ segmentId }) => segmentId === segment.id);
    return this.#live(segment, membership);
  }

  /**
   * Whether the condition holds at this instant, evaluated here, models asked anew. The pipeline's past does not enter, but
   * for segments that remember: there it goes on from live membership.
   * @throws WeftError NOT_FOUND; CONFLICT for a segment that is not active; UNAVAILABLE while history is folded in
   */
  async evaluatedMembership(key: string): Promise<MembershipView> {
    const { definitions, index } = this.reads;
    const segment = await this.reads.segment(key);
    const compiled = definitions.segments.byKey.get(key);
    if (compiled === undefined) {
      throw new WeftError('CONFLICT', `segment ${key} is not active`, { where: 'segment', hint: 'activate it first' });
    }
    if (!index.evaluated.has(compiled)) {
      throw new WeftError('UNAVAILABLE', `history is still being folded into the features of ${key}`, {
        where: 'segment',
        hint: 'ask again later, or evaluate LIVE',
        retryAfterMs: 1_000,
      });
    }
    const predictions = new Map<string, Prediction>();
    await Promise.all(
      [...this.#modelsOf(compiled)].map(async (model) => {
        const isAsked = definitions.models.has(model) && this.#allowsModel(model);
        if (isAsked) predictions.set(model, await this.#predict(model));
      }),
    );
    const context = new SnapshotContext(definitions, this.#snapshot, this.#decoded(), predictions, this.#t);
    return {
      segment,
      isMember: compiled.evaluate(context, this.#t, context.memberSince(compiled)),
      since: null,
      version: compiled.version,
      cause: null,
      evaluation: 'NOW',
      asOf: this.#t,
      stale: false,
    };
  }

  /** @throws WeftError as {@link explainMembership} */
  explainMembership(key: string): Promise<MembershipExplanation> {
    const { definitions, services } = this.reads;
    const models = () => new ModelReader(services.db).answering();
    return explainMembership(
      { definitions, snapshot: this.#snapshot, state: this.#decoded(), t: this.#t, models },
      key,
    );
  }

  /** @throws WeftError NOT_FOUND if no version of the model is active; OVERLOADED */
  async score(model: string, request: unknown = null): Promise<ScoreView> {
    const face = this.#allowsModel(model) ? undefined : this.#faceOf(model);
    if (face !== undefined) {
      const nothing = {
        ...{ score: null, label: null, cluster: null, embedding: null, validUntil: null },
        inputs: WITHHELD,
      } as const;
      const { version, digest } = face;
      return { model, version, digest, ...nothing, asOf: this.#t, evaluation: 'NOW' };
    }
    const { modelKey, version, digest, score, label, cluster, embedding, asOf, validUntil, inputs } =
      await this.#predict(model, request);
    return {
      model: modelKey,
      version,
      digest,
      score: score ?? null,
      label: label === undefined ? null : String(label),
      cluster: cluster ?? null,
      embedding: embedding ?? null,
      asOf,
      validUntil: validUntil === Infinity ? null : validUntil,
      inputs,
      evaluation: 'NOW',
    };
  }

  #allowsModel(key: string): boolean {
    const needed = this.reads.definitions.modelPurposes.get(key);
    return needed === undefined || this.allows(needed);
  }

  async #predict(key: string, request: unknown = null): Promise<Prediction> {
    const { definitions, services } = this.reads;
    const state = this.#decoded();
    const version = this.#versionOf(key);
    const indexes = version?.featureIndexes;
    const read = indexes?.map((index) => definitions.features.definitions[index]);
    const values = readRequestValues(read?.filter((definition) => definition !== undefined) ?? [], request);
    const row = indexes?.map((index) => definitions.features.value(state, index, this.#t, values));
    // Without a binding the scorer is asked all the same: it says which models there are.
    return services.batcher.predict(definitions.scorer, version?.scoredAs ?? key, row ?? [], this.#t);
  }

  /** The version that answers for this profile. */
  #versionOf(key: string): AskedVersion | undefined {
    const model = this.reads.definitions.models.get(key);
    return model === undefined ? undefined : versionFor(model, this.#snapshot.id);
  }

  #faceOf(key: string): ModelFace | undefined {
    return faceOf(this.reads.definitions.scorer, this.#versionOf(key)?.scoredAs ?? key);
  }

  /** Through references too; these go round in no circle. */
  #modelsOf(segment: CompiledSegment, into = new Set<string>()): Set<string> {
    for (const key of segment.modelDeps) into.add(key);
    for (const key of segment.segmentDeps) {
      const referred = this.reads.definitions.segments.byKey.get(key);
      if (referred !== undefined) this.#modelsOf(referred, into);
    }
    return into;
  }

  #live(segment: StoredSegment, membership: SnapshotMembership | undefined): MembershipView {
    return {
      segment,
      isMember: membership !== undefined,
      since: membership?.since ?? null,
      version: membership?.version ?? null,
      cause: membership?.cause ?? null,
      evaluation: 'LIVE',
      asOf: this.asOf,
      stale: this.#snapshot.stale.includes(segment.id),
    };
  }

  #decoded(): AnchorState {
    return (this.#state ??= this.reads.definitions.features.decode(this.#snapshot.state));
  }
}

/** As GraphQL shows it: times as text. */
export function valueOf({ value }: Pick<FeatureValue, 'value'>, type: FeatureType): FeatureView['value'] {
  if (type === 'timestamp' && typeof value === 'number') return new Date(value).toISOString();
  const holdsTimes = type === 'times' || type === 'timestamp_list';
  return holdsTimes && isList(value) ? value.map((ms) => new Date(Number(ms)).toISOString()) : value;
}
