import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions } from '../platform/installation.js';
import { nearestName } from '../platform/near-names.js';
import type { Database, Transaction } from '../platform/postgres.js';
import type { Warning } from '../platform/warning.js';
import { MAX_SEARCHABLE_FEATURES } from '../profiles/search-field.model.js';
import { unknownPurpose } from '../profiles/purpose.model.js';
import { questionFeatures, traitsReadBy, type KnownNames } from './feature-questions.model.js';
import type { FeatureDefinition, FeatureService as ServiceDefinition } from './feature.model.js';
import { FeatureReader, type StoredFeatureService, type StoredFeatureView } from './feature.reader.js';
import { FeatureStore } from './feature.store.js';
import { MAX_FEATURES } from './parse-features.js';
import { streamsOf } from './stream.model.js';

export interface FeatureDefinitions {
  readonly views: readonly Omit<StoredFeatureView, 'version'>[];
  readonly services: readonly ServiceDefinition[];
}

/** What applying would do, or did; names of features and services. */
export interface ApplyPlan {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Streams that history has to be folded into before their features are complete. */
  readonly newStreams: number;
  /** Names in the given definitions that nothing has sent so far. */
  readonly warnings: readonly Warning[];
}

export interface ApplyOptions {
  /** Says what would happen and does nothing. */
  readonly dryRun?: boolean;
  /** Also removes the views and services that are not in the given definitions. Default: leaves them alone. */
  readonly prune?: boolean;
  /** In place of what depends on features now: what will, once all of a larger change is made. See {@link DefinitionHooks}. */
  readonly uses?: ReadonlyMap<string, string>;
  /** In place of the purposes that there are: those that there will be. */
  readonly purposes?: ReadonlySet<string>;
  /** In place of the traits that are sealed: those that will be. */
  readonly sealedTraits?: ReadonlySet<string>;
}

/** What other modules have to say about a change, within its transaction. */
export interface DefinitionHooks {
  /** Names of the features that something outside the feature store depends on, with what that is. */
  uses(tx: Transaction): Promise<ReadonlyMap<string, string>>;
  purposes(tx: Transaction): Promise<ReadonlySet<string>>;
  /** Names of the traits whose values nothing may keep in plain text. */
  sealedTraits(tx: Transaction): Promise<ReadonlySet<string>>;
  /** What has been sent so far. */
  known(tx: Transaction): Promise<KnownNames>;
  /** Definitions were written: streams are to be registered, and everybody is to load them anew. */
  changed(tx: Transaction): Promise<void>;
}

/** Applies feature definitions: one plan, one transaction. */
export class FeatureDefinitionService {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #hooks: DefinitionHooks;
  readonly #store = new FeatureStore();

  constructor(db: Database, clock: Clock, hooks: DefinitionHooks) {
    this.#db = db;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  /**
   * @throws WeftError DEFINITION_INVALID if a name is taken by another view, a service names a feature that does not
   * exist, a removed or retyped feature is in use, or a feature reads a sealed trait
   */
  async apply(definitions: FeatureDefinitions, options: ApplyOptions = {}): Promise<ApplyPlan> {
    return this.#db.transaction(async (tx) => {
      await lockDefinitions(tx);
      const reader = new FeatureReader(tx);
      const before = { views: await reader.views(), services: await reader.services() };
      const after = merged(before, definitions, options.prune ?? false);
      checkNames(after);
      checkPurposes(after.views, options.purposes ?? (await this.#hooks.purposes(tx)));
      checkSearchable(after.views);
      const given = definitions.views.flatMap((view) => view.features);
      checkUnsealed(given, options.sealedTraits ?? (await this.#hooks.sealedTraits(tx)));
      const plan = {
        ...planOf(before, after, await reader.streamIds()),
        warnings: questionFeatures(given, await this.#hooks.known(tx)),
      };
      checkUses(options.uses ?? (await this.#hooks.uses(tx)), before.views, after.views);
      if (options.dryRun !== true && !isEmpty(plan)) await this.#write(tx, before, after);
      return plan;
    });
  }

  async #write(tx: Transaction, before: Stored, after: Stored): Promise<void> {
    const nowMs = this.#clock.now();
    for (const view of changedOf(before.views, after.views)) await this.#store.saveView(tx, view, nowMs);
    for (const service of changedOf(before.services, after.services)) await this.#store.saveService(tx, service, nowMs);
    await this.#store.dropViews(tx, missingOf(before.views, after.views));
    await this.#store.dropServices(tx, missingOf(before.services, after.services));
    await this.#hooks.changed(tx);
  }
}

interface Stored {
  readonly views: readonly StoredFeatureView[];
  readonly services: readonly StoredFeatureService[];
}

function merged(before: Stored, given: FeatureDefinitions, prune: boolean): Stored {
  return {
    views: mergeByName(before.views, given.views, prune),
    services: mergeByName(before.services, given.services, prune),
  };
}

/** Each definition with its next version if it differs from what is stored. */
function mergeByName<T extends { readonly name: string; readonly version: number }>(
  before: readonly T[],
  given: readonly Omit<T, 'version'>[],
  prune: boolean,
): T[] {
  const standing = new Map(before.map((item) => [item.name, item]));
  const next = new Map<string, T>(prune ? [] : standing);
  for (const item of given as readonly (Omit<T, 'version'> & { readonly name: string })[]) {
    const old = standing.get(item.name);
    const same = old !== undefined && isDeepStrictEqual(plain({ ...item, version: old.version }), plain(old));
    next.set(item.name, same ? old : ({ ...item, version: (old?.version ?? 0) + 1 } as unknown as T));
  }
  return [...next.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** As it comes back from the database. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function changedOf<T extends { readonly name: string; readonly version: number }>(
  before: readonly T[],
  after: readonly T[],
): T[] {
  const versions = new Map(before.map((item) => [item.name, item.version]));
  return after.filter((item) => versions.get(item.name) !== item.version);
}

function missingOf(
  before: readonly { readonly name: string }[],
  after: readonly { readonly name: string }[],
): string[] {
  const left = new Set(after.map((item) => item.name));
  return before.map((item) => item.name).filter((name) => !left.has(name));
}

function featuresOf(views: readonly StoredFeatureView[]): FeatureDefinition[] {
  return views.flatMap((view) => view.features);
}

function planOf(before: Stored, after: Stored, streamIds: ReadonlyMap<string, number>): Omit<ApplyPlan, 'warnings'> {
  const old = gatedFeatures(before.views);
  const now = gatedFeatures(after.views);
  const added = [...now.keys()].filter((name) => !old.has(name));
  const changed = [...now].filter(([name, f]) => old.has(name) && !isDeepStrictEqual(plain(f), plain(old.get(name))));
  const services = changedOf(before.services, after.services).map((service) => service.name);
  const known = new Set(before.services.map((service) => service.name));
  return {
    added: [...added, ...services.filter((name) => !known.has(name))],
    changed: [...changed.map(([name]) => name), ...services.filter((name) => known.has(name))],
    removed: [...[...old.keys()].filter((name) => !now.has(name)), ...missingOf(before.services, after.services)],
    newStreams: streamsOf(featuresOf(after.views)).filter((stream) => !streamIds.has(stream.key)).length,
  };
}

/** Each with what its view asks to be allowed, by name. */
function gatedFeatures(views: readonly StoredFeatureView[]): Map<string, unknown> {
  return new Map(views.flatMap(({ features, purposes = [] }) => features.map((f) => [f.name, { ...f, purposes }])));
}

function checkPurposes(views: readonly StoredFeatureView[], known: ReadonlySet<string>): void {
  for (const { name, purposes = [] } of views) {
    const unknown = unknownPurpose(purposes, known);
    if (unknown === null) continue;
    throw new WeftError('DEFINITION_INVALID', `view ${name}: ${unknown.message}`, { where: name, hint: unknown.hint });
  }
}

function checkUnsealed(features: readonly FeatureDefinition[], sealed: ReadonlySet<string>): void {
  if (sealed.size === 0) return;
  for (const feature of features) {
    const trait = traitsReadBy(feature).find((name) => sealed.has(name));
    if (trait === undefined) continue;
    throw new WeftError('DEFINITION_INVALID', `feature ${feature.name} reads traits.${trait}, which is sealed`, {
      where: feature.name,
      hint: 'features keep what they read in plain text: let it read what is not sealed',
    });
  }
}

function checkSearchable(views: readonly StoredFeatureView[]): void {
  const searchable = featuresOf(views).filter((feature) => feature.searchable === true);
  if (searchable.length <= MAX_SEARCHABLE_FEATURES) return;
  throw new WeftError('DEFINITION_INVALID', `${String(searchable.length)} features would be searchable`, {
    where: 'views',
    hint: `at most ${String(MAX_SEARCHABLE_FEATURES)} can be: profiles are found by any others through segments`,
  });
}

function isEmpty(plan: ApplyPlan): boolean {
  return plan.added.length + plan.changed.length + plan.removed.length === 0;
}

function checkUses(
  uses: ReadonlyMap<string, string>,
  before: readonly StoredFeatureView[],
  after: readonly StoredFeatureView[],
): void {
  const left = new Map(featuresOf(after).map((feature) => [feature.name, feature]));
  for (const feature of featuresOf(before)) {
    const user = uses.get(feature.name);
    const now = left.get(feature.name);
    if (user === undefined || now?.type === feature.type) continue;
    throw new WeftError('DEFINITION_INVALID', `feature ${feature.name} is used by ${user}`, {
      where: feature.name,
      hint:
        now === undefined
          ? `archive, retire or change the ${user} first`
          : `its type cannot change from ${feature.type} to ${now.type}`,
    });
  }
}

function checkNames({ views, services }: Stored): void {
  const owner = new Map<string, string>();
  for (const view of views) {
    for (const { name } of view.features) {
      const other = owner.get(name);
      if (other !== undefined) {
        throw new WeftError(
          'DEFINITION_INVALID',
          `feature ${name} is defined in view ${other} and in view ${view.name}`,
          {
            where: name,
            hint: 'feature names are unique over all views: rename one',
          },
        );
      }
      owner.set(name, view.name);
    }
  }
  if (owner.size > MAX_FEATURES) {
    throw new WeftError('DEFINITION_INVALID', `there would be ${String(owner.size)} features`, {
      where: 'views',
      hint: `at most ${String(MAX_FEATURES)} can be: remove some that nothing reads`,
    });
  }
  for (const service of services) {
    const unknown = service.features.filter((name) => !owner.has(name));
    const [first] = unknown;
    if (first === undefined) continue;
    const near = nearestName(first, owner.keys());
    throw new WeftError('DEFINITION_INVALID', `service ${service.name} names unknown features: ${unknown.join(', ')}`, {
      where: service.name,
      hint:
        near === undefined
          ? 'define them in a view, or take them out of the service'
          : `did you mean ${near} in place of ${first}?`,
    });
  }
}
