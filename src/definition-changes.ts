import { SeenNameReader } from './events/seen-name.reader.js';
import type { FeatureUse, FeatureUser } from './features/definition-plan.model.js';
import { traitsReadBy, type KnownNames } from './features/feature-questions.model.js';
import type { FeatureDefinition } from './features/feature.model.js';
import { FeatureReader } from './features/feature.reader.js';
import { FeatureStore } from './features/feature.store.js';
import { FeatureDefinitionService } from './features/feature.service.js';
import { neededFieldOf, withoutRequests } from './features/on-demand.model.js';
import { searchableFeatures } from './features/search-feature.model.js';
import { streamsOf } from './features/stream.model.js';
import { IdentityRulesService, type IdentityRulesServiceOptions } from './identity/identity-rules.service.js';
import { LinkageModelReader } from './identity/matching/linkage-model.reader.js';
import type { Clock } from './platform/clock.js';
import { NO_SECRET, type InstallationSecret } from './platform/installation-secret.js';
import { lockDefinitions, touchDefinitions } from './platform/installation.js';
import type { Database, Queryable, Transaction } from './platform/postgres.js';
import { ProfileSearchStore } from './profiles/profile-search.store.js';
import { ListReader } from './profiles/list.reader.js';
import { PurposeReader } from './profiles/purpose.reader.js';
import { PurposeService } from './profiles/purpose.service.js';
import { TraitDefinitionReader } from './profiles/trait-definition.reader.js';
import { TraitDefinitionService } from './profiles/trait-definition.service.js';
import { TraitSealer } from './profiles/trait-seal.model.js';
import { MODEL_LIMITS } from './scoring/model-manifest.model.js';
import { ModelProcess } from './scoring/model-process.js';
import { ModelReader } from './scoring/model.reader.js';
import { ModelService } from './scoring/model.service.js';
import type { FeatureCatalog } from './scoring/verify-model.js';
import { FEATURE_EXPRESSIONS } from './segments/feature-expression.js';
import type { KnownToSegments } from './segments/question-segment.js';
import type { SegmentSchema } from './segments/segment-schema.model.js';
import { SegmentService, type SegmentReferences } from './segments/segment.service.js';

/** For the process of a graph to start and to load it, on a busy machine, too, ms. */
const TRIAL_LOAD_TIMEOUT_MS = 30_000;

/** The services through which definitions change, tied so that each change is one version of the whole. */
export interface DefinitionServices {
  readonly features: FeatureDefinitionService;
  readonly segments: SegmentService;
  readonly models: ModelService;
  readonly traits: TraitDefinitionService;
  readonly identityRules: IdentityRulesService;
  readonly purposes: PurposeService;
}

/**
 * @param rules what applies rules of identity: `onApplied` is told that some were applied here
 * @param secret by which values of sealed traits are sealed
 */
export function createDefinitionServices(
  db: Database,
  clock: Clock,
  rules: Pick<IdentityRulesServiceOptions, 'onApplied' | 'revisions'>,
  secret: InstallationSecret = NO_SECRET,
): DefinitionServices {
  const store = new FeatureStore();
  const search = new ProfileSearchStore();
  const definedFeatures = async (tx: Transaction) =>
    (await new FeatureReader(tx).views()).flatMap((view) => view.features);
  const changed = async (tx: Transaction): Promise<void> => {
    const features = [...(await definedFeatures(tx)), ...(await segments.inlineFeatures(tx))];
    await store.syncStreams(
      tx,
      streamsOf(features).map((stream) => stream.key),
      clock.now(),
    );
    await search.declareFeatures(tx, searchableFeatures(await new FeatureReader(tx).views()), clock.now());
    await touchDefinitions(tx);
  };
  const segments = new SegmentService(db, clock, {
    lock: lockDefinitions,
    features: async (tx) => new Map(withoutRequests(await definedFeatures(tx)).map(({ name, type }) => [name, type])),
    models: async (tx) => modelNames(tx, await definedFeatures(tx)),
    purposes: purposeKeys,
    lists: (tx) => new ListReader(tx).keys(),
    sealedTraits,
    known: knownToSegments,
    changed,
  });
  const features = new FeatureDefinitionService(db, clock, {
    uses: async (tx) => [...(await featuresOfModels(tx)), ...(await segments.featureUses(tx))],
    askedModels: async (tx) => new Set((await segments.modelUses(tx)).keys()),
    restingOn: async (tx, users) => (users.length === 0 ? [] : restingOn(users, await segments.references(tx))),
    withdraw: async (tx, users) => {
      const keysOf = (kind: FeatureUser['kind']) => users.filter((user) => user.kind === kind).map(({ key }) => key);
      await segments.withdraw(tx, keysOf('segment'));
      await models.withdraw(tx, keysOf('model'));
    },
    purposes: purposeKeys,
    sealedTraits,
    known: knownNames,
    language: FEATURE_EXPRESSIONS,
    changed,
  });
  const models = new ModelService({
    db,
    clock,
    catalog: featureCatalog,
    uses: (tx) => segments.modelUses(tx),
    purposes: purposeKeys,
    startTrial: () => new ModelProcess({ ...MODEL_LIMITS, loadTimeoutMs: TRIAL_LOAD_TIMEOUT_MS }),
  });
  const identityRules = new IdentityRulesService({ db, clock, ...rules });
  const purposes = new PurposeService(db, clock, {
    uses: async (tx) => new Map([...(await purposesOfInputs(tx)), ...(await segments.purposeUses(tx))]),
  });
  const traits = new TraitDefinitionService(db, clock, {
    uses: async (tx) =>
      new Map([...(await traitsOfFeatures(tx)), ...(await traitsOfMatching(tx)), ...(await segments.traitUses(tx))]),
    sealer: new TraitSealer(secret),
  });
  return { features, segments, models, traits, purposes, identityRules };
}

/** Names of the traits that nothing may read, since values of them are, or still may be, stored sealed. */
async function sealedTraits(db: Queryable): Promise<Set<string>> {
  return new TraitDefinitionReader(db).sealedNames();
}

async function traitsOfFeatures(db: Queryable): Promise<Map<string, string>> {
  const features = (await new FeatureReader(db).views()).flatMap((view) => view.features);
  return new Map(features.flatMap((each) => traitsReadBy(each).map((trait) => [trait, `feature ${each.name}`])));
}

async function traitsOfMatching(db: Queryable): Promise<Map<string, string>> {
  const inputs = await new LinkageModelReader(db).activeInputs();
  return new Map([...(inputs?.traits ?? [])].map((trait) => [trait, 'model of record linkage']));
}

export async function purposeKeys(db: Queryable): Promise<Set<string>> {
  return new PurposeReader(db).keys();
}

/** Keys of the purposes that feature views and active models need, each with one that does. */
export async function purposesOfInputs(db: Queryable): Promise<Map<string, string>> {
  const views = await new FeatureReader(db).views();
  return new Map([
    ...views.flatMap(({ name, purposes = [] }) => purposes.map((purpose) => [purpose, `view ${name}`] as const)),
    ...(await purposesOfModels(db)),
  ]);
}

/** Keys of the purposes that active models need, each with a model that does. */
export async function purposesOfModels(db: Queryable): Promise<Map<string, string>> {
  const models = await new ModelReader(db).answering();
  return new Map(
    models.flatMap(({ key, manifest }) => (manifest.purposes ?? []).map((purpose) => [purpose, `model ${key}`])),
  );
}

/** What active models read of features. */
export async function featuresOfModels(db: Queryable): Promise<FeatureUse[]> {
  return (await new ModelReader(db).answering()).flatMap(({ key, manifest }) =>
    manifest.featureService.features.map((feature) => ({ kind: 'model' as const, key, feature })),
  );
}

/** Those and the segments that ask or refer to one of them, the ones that others refer to last. */
function restingOn(users: readonly FeatureUser[], references: readonly SegmentReferences[]): FeatureUser[] {
  const keysOf = (kind: FeatureUser['kind']) =>
    new Set(users.filter((user) => user.kind === kind).map(({ key }) => key));
  const models = keysOf('model');
  const named = keysOf('segment');
  const going = new Set<string>();
  // Whatever a segment refers to stands before it.
  for (const { key, models: asked, segments } of references) {
    if (named.has(key) || asked.some((each) => models.has(each)) || segments.some((each) => going.has(each))) {
      going.add(key);
    }
  }
  return [
    ...[...going].reverse().map((key) => ({ kind: 'segment' as const, key })),
    ...[...models].sort().map((key) => ({ kind: 'model' as const, key })),
  ];
}

async function featureCatalog(db: Queryable): Promise<FeatureCatalog> {
  const reader = new FeatureReader(db);
  const features = (await reader.views()).flatMap((view) => view.features);
  const types = new Map(features.map(({ name, type }) => [name, type]));
  const services = new Map((await reader.services()).map((service) => [service.name, service]));
  const needed = new Map(features.map((feature) => [feature.name, neededFieldOf(feature)]));
  return {
    typeOf: (name) => types.get(name),
    neededFieldOf: (name) => needed.get(name),
    serviceFeatures: (name) => services.get(name)?.features,
    serviceVersion: (name) => services.get(name)?.version,
    imputationsOf: (name) => services.get(name)?.impute,
  };
}

/**
 * The models that segments may ask, those that would have to be promoted first, and those that need a request.
 * @param features as they are, or will be; linked
 */
export async function modelNames(
  db: Queryable,
  features: readonly FeatureDefinition[],
): Promise<Required<Pick<SegmentSchema, 'models' | 'waitingModels' | 'requestModels'>>> {
  const reader = new ModelReader(db);
  const keys = await reader.keys();
  const needed = new Map(features.map((feature) => [feature.name, neededFieldOf(feature)]));
  const requests = (await reader.answering()).flatMap(({ key, manifest }) => {
    const asking = manifest.featureService.features.find((name) => needed.get(name) !== undefined);
    const field = needed.get(asking ?? '');
    return field === undefined
      ? []
      : [[key, `its feature ${asking ?? ''} reads request.${field}, which has no default`] as const];
  });
  return {
    models: new Set(keys.filter(({ isActive }) => isActive).map(({ key }) => key)),
    waitingModels: new Map(keys.filter(({ isActive }) => !isActive).map(({ key, newest }) => [key, newest])),
    requestModels: new Map(requests),
  };
}

/** What has been sent so far, for definitions to be held against. */
async function knownNames(db: Queryable): Promise<KnownNames> {
  const sources = await db.query<{ key: string }>('SELECT key FROM sources');
  return { seen: await new SeenNameReader(db).all(), sources: new Set(sources.map(({ key }) => key)) };
}

export async function knownToSegments(db: Queryable): Promise<KnownToSegments> {
  const models = await new ModelReader(db).active();
  return { ...(await knownNames(db)), models: new Map(models.map(({ key, manifest }) => [key, manifest.outputs])) };
}
