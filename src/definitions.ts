import { EntityFeatures } from './features/entity-features.js';
import { isOfPeople, type FeatureDefinition } from './features/feature.model.js';
import { FeatureReader, type StoredFeatureService, type StoredFeatureView } from './features/feature.reader.js';
import { FeatureSet } from './features/feature-set.model.js';
import { streamsOf } from './features/stream.model.js';
import { IdentityRulesReader, type RulesInForce } from './identity/identity-rules.reader.js';
import { LinkageModelReader } from './identity/matching/linkage-model.reader.js';
import { WeftError } from './platform/errors.js';
import { NO_SECRET, type InstallationSecret } from './platform/installation-secret.js';
import type { Database, Transaction } from './platform/postgres.js';
import { SearchFieldReader } from './profiles/search-field.reader.js';
import { compileConsents } from './profiles/consent.model.js';
import type { PurposeDefinition } from './profiles/purpose.model.js';
import { PurposeReader } from './profiles/purpose.reader.js';
import { TraitDefinitionReader } from './profiles/trait-definition.reader.js';
import { isSealed, ruleOf, type TraitDefinition } from './profiles/trait-definition.model.js';
import { compileTraitRules } from './profiles/trait-rule.model.js';
import { TraitSealer } from './profiles/trait-seal.model.js';
import type { ModelManifest } from './scoring/model-manifest.model.js';
import { ModelReader } from './scoring/model.reader.js';
import { canaryName, type ModelFace, type RowScorer } from './scoring/prediction.model.js';
import type { ScoreTally } from './scoring/score-tally.js';
import type { Scorer } from './scoring/scorer.js';
import { compileSegment, type CompiledSegment } from './segments/compile-segment.js';
import { featuresOfModel, type ActiveModel, type AskedVersion } from './segments/asked-version.model.js';
import type { Definitions, SegmentIndex } from './segments/definitions.model.js';
import { FEATURE_EXPRESSIONS } from './segments/feature-expression.js';
import type { SegmentRequirements } from './segments/parse-segment.js';
import { parseRule } from './segments/segment-rule.model.js';
import { bindSearchedFeatures } from './segments/searched-features.js';
import { SegmentGraph } from './segments/segment-graph.js';
import { MAX_SEGMENTS, SegmentReader, type StoredSegment } from './segments/segment.reader.js';
import { evaluatedVersions } from './segments/evaluated-versions.js';
import { isShadow } from './segments/shadow.model.js';

/** The definitions in force, with what only the worker needs to know of them. */
export interface LoadedDefinitions extends Definitions {
  readonly streamIds: readonly number[];
  /** Sources by id, as features name them. */
  readonly sourceKeys: ReadonlyMap<number, string>;
  /** Drafts and active segments, by key; archived ones are looked up where somebody asks for them. */
  readonly stored: ReadonlyMap<string, StoredSegment>;
  /** Those of people, by name. */
  readonly views: ReadonlyMap<string, StoredFeatureView>;
  readonly services: ReadonlyMap<string, StoredFeatureService>;
  /** Features of other entities than people, by the name of the entity. */
  readonly entities: ReadonlyMap<string, EntityFeatures>;
  /** Grows with each change of how values of traits are taken in; 0: there never was one. */
  readonly traitRulesVersion: number;
  /** Grows with each trait and feature that becomes searchable; 0: none is. */
  readonly searchVersion: number;
  /** Defined ones, by name; there may be others. */
  readonly traits: readonly TraitDefinition[];
  /** What values of sealed traits are sealed and opened by. */
  readonly traitSealer: TraitSealer;
  /** Whether values of traits may be stored sealed: a trait is, or some were and are still being opened. */
  readonly hasSealedTraits: boolean;
  /** By key. */
  readonly purposes: ReadonlyMap<string, PurposeDefinition>;
  /** What somebody has to allow for a feature to be used, by its name, and to be asked a model about, by its key. */
  readonly featurePurposes: ReadonlyMap<string, readonly string[]>;
  readonly modelPurposes: ReadonlyMap<string, readonly string[]>;
  /** Keys of active models of which edge keys may be told. */
  readonly edgeModels: readonly string[];
  /** The models that `models` is bound to, whatever is promoted later. */
  readonly scorer: RowScorer;
  /** False while history is still being folded into the stream of the feature at this index. */
  isReady(featureIndex: number): boolean;
  /** False while history is still being folded into new streams: segments that read them wait. */
  readonly complete: boolean;
}

/** Loads definitions as one consistent whole, and again when they changed. */
export class DefinitionsLoader {
  readonly #db: Database;
  readonly #scorer: Scorer;
  readonly #scores: ScoreTally | undefined;
  readonly #onRules: (inForce: RulesInForce) => void;
  readonly #traitSealer: TraitSealer;
  #loaded: Promise<LoadedDefinitions> | null = null;

  /**
   * @param onRules told of the rules of identity with each load, before anybody works with them
   * @param secret by which values of sealed traits are sealed
   * @param scores told of what models say of whom the fold evaluates; left out: nobody is
   */
  constructor(
    db: Database,
    scorer: Scorer,
    onRules: (inForce: RulesInForce) => void = () => undefined,
    secret: InstallationSecret = NO_SECRET,
    scores?: ScoreTally,
  ) {
    this.#scores = scores;
    this.#db = db;
    this.#traitSealer = new TraitSealer(secret);
    this.#scorer = scorer;
    this.#onRules = onRules;
  }

  async current(): Promise<LoadedDefinitions> {
    const loading = (this.#loaded ??= this.#load());
    try {
      return await loading;
    } catch (error) {
      if (this.#loaded === loading) this.#loaded = null;
      throw error;
    }
  }

  /** False if somebody changed the definitions since they were loaded. One small query. */
  async isCurrent(): Promise<boolean> {
    const [row] = await this.#db.query<{ version: number }>('SELECT definitions_version AS version FROM installation');
    return row?.version === (await this.current()).version;
  }

  invalidate(): void {
    this.#loaded = null;
  }

  async #load(): Promise<LoadedDefinitions> {
    const rows = await this.#db.transaction(readRows, { isolation: 'REPEATABLE READ', readOnly: true });
    this.#onRules(rows.identity);
    const served = await this.#scorer.reload(rows.models);
    const defined = rows.views.flatMap((view) => view.features);
    const types = new Map(defined.map((feature) => [feature.name, feature.type]));
    const parsed = rows.segments
      .flatMap(evaluatedVersions)
      .map((evaluated) => ({ ...evaluated, parsed: parseRule(evaluated.rule, { features: types }) }));
    const all = new Map<string, FeatureDefinition>(defined.map((feature) => [feature.name, feature]));
    for (const { parsed: p } of parsed) for (const inline of p.requires.inlineFeatures) all.set(inline.name, inline);
    const features = FeatureSet.compile([...all.values()], rows.streamIds, rows.sources, FEATURE_EXPRESSIONS);
    const purposes = new Map(rows.purposes.map((purpose) => [purpose.key, purpose]));
    const inputs = purposesOfInputs(rows);
    const compiled = parsed.map(({ rule, parsed: p, ...identity }) =>
      compileSegment(
        p,
        identity,
        (name) => features.indexOf(name),
        { needed: purposesOfSegment(rule.purposes, p.requires, inputs), purposes },
        rule,
      ),
    );
    const models = bindModels(served, features);
    const streamIds = features.streams.map((stream) => stream.id);
    const isReady = (index: number): boolean => {
      const definition = features.definitions[index];
      if (definition === undefined) return false;
      return streamsOf([definition]).every(({ key }) => rows.ready.has(rows.streamIds.get(key) ?? 0));
    };
    return {
      version: rows.version,
      hasIdentityLinks: rows.hasIdentityLinks,
      identityRules: rows.identity.rules,
      matching: rows.matching,
      features,
      models,
      segments: indexSegments(withoutUnreferred(compiled), models, isReady),
      score: (modelKey, featureRows, asOf) => served.predict(modelKey, featureRows, asOf),
      ...this.#tallying(features),
      traitRules: compileTraitRules(
        rows.traits.map((trait) => [trait.name, ruleOf(trait)] as const),
        rows.sources,
        rows.traitDeletions,
        compileConsents(rows.purposes, rows.sources),
        { names: new Set(rows.traits.filter(isSealed).map(({ name }) => name)), sealFor: this.#traitSealer.for },
      ),
      traitSealer: this.#traitSealer,
      hasSealedTraits: rows.traits.some(isSealed) || rows.isResealing,
      purposes,
      ...inputs,
      streamIds,
      sourceKeys: new Map([...rows.sources].map(([key, id]) => [id, key])),
      stored: new Map(rows.segments.map((segment) => [segment.key, segment])),
      views: new Map(rows.views.map((view) => [view.name, view])),
      entities: EntityFeatures.of(rows.entities, rows.entityViews, rows.sources),
      services: new Map(rows.services.map((service) => [service.name, service])),
      search: rows.search.fields === null ? null : { ...rows.search.fields, sealer: this.#traitSealer },
      searchedFeatures: bindSearchedFeatures(rows.search.features, features, inputs.featurePurposes, purposes),
      searchVersion: rows.search.version,
      traitRulesVersion: rows.traitRulesVersion,
      traits: rows.traits,
      edgeModels: rows.models.filter(({ edge, stage }) => edge && stage === 'active').map(({ key }) => key),
      scorer: served,
      isReady,
      complete: streamIds.every((id) => rows.ready.has(id)),
    };
  }

  #tallying(features: FeatureSet): Pick<Definitions, 'onScored'> {
    const scores = this.#scores;
    if (scores === undefined) return {};
    return {
      onScored: ({ version: { key, version, featureIndexes }, ...scored }) => {
        const names = (): string[] => featureIndexes.map((index) => features.definitions[index]?.name ?? '');
        scores.add({ ...scored, key, version, features: names });
      },
    };
  }
}

async function readRows(tx: Transaction) {
  const features = new FeatureReader(tx);
  const allViews = await features.allViews();
  const [installation] = await tx.query<{ version: number; hasIdentityLinks: boolean; traitRulesVersion: number }>(
    `SELECT definitions_version AS version, has_identity_links AS "hasIdentityLinks",
            trait_rules_version AS "traitRulesVersion" FROM installation`,
  );
  const sources = await tx.query<{ id: number; key: string }>('SELECT id, key FROM sources');
  const traits = new TraitDefinitionReader(tx);
  return {
    version: installation?.version ?? 0,
    hasIdentityLinks: installation?.hasIdentityLinks ?? false,
    identity: await new IdentityRulesReader(tx).inForce(),
    traitRulesVersion: installation?.traitRulesVersion ?? 0,
    matching: await new LinkageModelReader(tx).activeInputs(),
    sources: new Map(sources.map((source) => [source.key, source.id])),
    views: allViews.filter(isOfPeople),
    entityViews: allViews.filter((view) => !isOfPeople(view)),
    entities: await features.entities(),
    services: await features.services(),
    streamIds: await features.streamIds(),
    ready: await features.readyStreams(),
    models: await new ModelReader(tx).answering(),
    segments: await standingSegments(tx),
    search: await new SearchFieldReader(tx).written(),
    purposes: await new PurposeReader(tx).all(),
    traits: await traits.all(),
    traitDeletions: await traits.deletions(),
    isResealing: await traits.isResealing(),
  };
}

type InputPurposes = Pick<LoadedDefinitions, 'featurePurposes' | 'modelPurposes'>;

function purposesOfInputs({
  views,
  models,
}: Pick<Awaited<ReturnType<typeof readRows>>, 'views' | 'models'>): InputPurposes {
  const featurePurposes = new Map(
    views.flatMap(({ features, purposes = [] }) =>
      purposes.length === 0 ? [] : features.map(({ name }) => [name, purposes] as const),
    ),
  );
  const modelPurposes = new Map(
    [...new Set(models.map(({ key }) => key))].flatMap((key) => {
      // Also what a canary needs: views of features may have come to need more since it became one.
      const versions = models.filter((model) => model.key === key);
      const needed = sortedOnce(versions.flatMap(({ manifest }) => purposesOfModel(manifest, featurePurposes)));
      return needed.length === 0 ? [] : [[key, needed] as const];
    }),
  );
  return { featurePurposes, modelPurposes };
}

/** What somebody has to allow to be asked a model about: what its manifest says, and what the views of its features do. */
export function purposesOfModel(
  { purposes = [], featureService }: Pick<ModelManifest, 'purposes' | 'featureService'>,
  featurePurposes: InputPurposes['featurePurposes'],
): string[] {
  return sortedOnce([...purposes, ...featureService.features.flatMap((name) => featurePurposes.get(name) ?? [])]);
}

/** Its own, and those of the features and models that it reads. A segment that it refers to has its own gate. */
export function purposesOfSegment(
  own: readonly string[],
  { features, models }: SegmentRequirements,
  { featurePurposes, modelPurposes }: InputPurposes,
): string[] {
  return sortedOnce([
    ...own,
    ...features.flatMap((name) => featurePurposes.get(name) ?? []),
    ...models.flatMap((key) => modelPurposes.get(key) ?? []),
  ]);
}

function sortedOnce(keys: readonly string[]): string[] {
  return [...new Set(keys)].sort();
}

/** Members of a segment that is not loaded leave it, so that all are, or none. */
async function standingSegments(tx: Transaction): Promise<StoredSegment[]> {
  const segments = await new SegmentReader(tx).standing();
  if (segments.length <= MAX_SEGMENTS) return segments;
  throw new WeftError('DEFINITION_INVALID', `there are ${String(segments.length)} segments that are not archived`, {
    where: 'segments',
    hint: `archive some of them with weft segment archive: at most ${String(MAX_SEGMENTS)} can be`,
  });
}

/** @throws WeftError MODEL_INVALID where one reads a feature that does not exist */
export function bindModels(
  { models, canaries }: Pick<RowScorer, 'models' | 'canaries'>,
  features: FeatureSet,
): Map<string, ActiveModel> {
  return new Map(
    [...models.values()].map((face) => {
      const { key } = face;
      const beside = canaries.get(key);
      const canary =
        beside === undefined ? null : { ...bindVersion(beside, canaryName(key), features), share: beside.share };
      return [key, { ...bindVersion(face, key, features), canary }];
    }),
  );
}

function bindVersion(
  { key, version, features: names }: ModelFace,
  scoredAs: string,
  features: FeatureSet,
): AskedVersion {
  const indexes = names.map((name) => features.indexOf(name));
  const missing = names.filter((_, i) => indexes[i] === undefined);
  if (missing.length === 0) return { key, version, scoredAs, featureIndexes: indexes as number[] };
  // Without an answer its segments would lose their members.
  throw new WeftError('MODEL_INVALID', `model ${key} reads features that do not exist: ${missing.join(', ')}`, {
    where: key,
    hint: 'apply their definitions again, or promote a version of the model that does not read them',
  });
}

/** A shadow that refers to what is not live any more waits for its author. */
function withoutUnreferred(compiled: readonly CompiledSegment[]): CompiledSegment[] {
  const keys = new Set(compiled.map(({ key }) => key));
  return compiled.filter(
    ({ segmentId, segmentDeps }) => !isShadow(segmentId) || segmentDeps.every((key) => keys.has(key)),
  );
}

export function indexSegments(
  compiled: readonly CompiledSegment[],
  models: ReadonlyMap<string, ActiveModel>,
  isReady: (featureIndex: number) => boolean,
): SegmentIndex {
  const byKey = new Map(compiled.map((segment) => [segment.key, segment]));
  const waiting = new Set<string>();
  for (const segment of SegmentGraph.build(compiled).ordered) {
    const inputs = [
      ...segment.featureDeps,
      ...segment.modelDeps.flatMap((key) => {
        const model = models.get(key);
        return model === undefined ? [] : featuresOfModel(model);
      }),
    ];
    if (!inputs.every(isReady) || segment.segmentDeps.some((key) => waiting.has(key))) waiting.add(segment.key);
  }
  const graph = SegmentGraph.build(compiled.filter((segment) => !waiting.has(segment.key)));
  const modelsOf = new Map<number, string[]>();
  for (const model of models.values()) {
    const { key } = model;
    for (const index of featuresOfModel(model)) modelsOf.set(index, [...(modelsOf.get(index) ?? []), key]);
  }
  return {
    ordered: graph.ordered,
    // Those that wait are among them: their members stay until the segment can be evaluated.
    byId: new Map(compiled.map((segment) => [segment.segmentId, segment])),
    byKey,
    affectedBy: (features, traits) =>
      graph.affectedBy({
        features,
        traits,
        models: modelsOf.size === 0 ? [] : new Set(features.flatMap((index) => modelsOf.get(index) ?? [])),
      }),
  };
}
