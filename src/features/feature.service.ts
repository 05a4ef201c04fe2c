import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions } from '../platform/installation.js';
import { nameHint, nearestName } from '../platform/near-names.js';
import type { Database, Transaction } from '../platform/postgres.js';
import type { Warning } from '../platform/warning.js';
import { MAX_SEARCHABLE_FEATURES } from '../profiles/search-field.model.js';
import { unknownPurpose } from '../profiles/purpose.model.js';
import { questionFeatures, traitsReadBy, type KnownNames } from './feature-questions.model.js';
import { DefinitionHistoryReader } from './definition-history.reader.js';
import {
  brokenUses,
  plain,
  planFeatures,
  type DefinedFeatures,
  type FeaturePlan,
  type FeatureUse,
  type FeatureUser,
} from './definition-plan.model.js';
import type { EntityDefinition } from './entity.model.js';
import { isOfPeople, type FeatureDefinition, type FeatureService as ServiceDefinition } from './feature.model.js';
import { FeatureReader, type StoredFeatureView } from './feature.reader.js';
import { FeatureStore } from './feature.store.js';
import { checkImputations } from './impute.model.js';
import { linkOnDemand } from './link-on-demand.js';
import { neededFieldOf, requestFieldsOf, type ExpressionLanguage } from './on-demand.model.js';
import { MAX_FEATURES } from './parse-features.js';

export interface FeatureDefinitions {
  readonly views: readonly Omit<StoredFeatureView, 'version'>[];
  readonly services: readonly ServiceDefinition[];
  /** Left out: none. */
  readonly entities?: readonly EntityDefinition[];
}

/** What applying would do, or did. */
export interface ApplyPlan extends FeaturePlan {
  /** Events that were accepted so far, of which a worker reads each once if there are new streams. */
  readonly historyEvents: number;
  /** What goes out of service because it reads what goes, or rests on something that does; only where that is forced. */
  readonly withdrawn: readonly FeatureUser[];
  /** Names in the given definitions that nothing has sent so far. */
  readonly warnings: readonly Warning[];
}

export interface ApplyOptions {
  /** Says what would happen and does nothing. */
  readonly dryRun?: boolean;
  /** Also removes the views and services that are not in the given definitions. Default: leaves them alone. */
  readonly prune?: boolean;
  /** Removes and retypes also what is in use, and puts out of service what uses it. Default: refuses to. */
  readonly force?: boolean;
  /** In place of what depends on features now: what will, once all of a larger change is made. See {@link DefinitionHooks}. */
  readonly uses?: readonly FeatureUse[];
  /** In place of the models that active segments ask: those that they will. */
  readonly askedModels?: ReadonlySet<string>;
  /** In place of the purposes that there are: those that there will be. */
  readonly purposes?: ReadonlySet<string>;
  /** In place of the traits that are sealed: those that will be. */
  readonly sealedTraits?: ReadonlySet<string>;
}

/** What other modules have to say about a change, within its transaction. */
export interface DefinitionHooks {
  /** What outside the feature store depends on features. */
  uses(tx: Transaction): Promise<readonly FeatureUse[]>;
  /** Keys of the models that active segments ask, so that they answer without a request. */
  askedModels(tx: Transaction): Promise<ReadonlySet<string>>;
  /** These and all that rests on them, in an order in which nothing goes before what rests on it. */
  restingOn(tx: Transaction, users: readonly FeatureUser[]): Promise<readonly FeatureUser[]>;
  /** Puts them out of service, as if somebody had archived or retired each. */
  withdraw(tx: Transaction, users: readonly FeatureUser[]): Promise<void>;
  purposes(tx: Transaction): Promise<ReadonlySet<string>>;
  /** Names of the traits whose values nothing may keep in plain text. */
  sealedTraits(tx: Transaction): Promise<ReadonlySet<string>>;
  /** What has been sent so far. */
  known(tx: Transaction): Promise<KnownNames>;
  /** What expressions of on-demand features are written in. */
  readonly language: ExpressionLanguage;
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
      const before = {
        views: await reader.allViews(),
        services: await reader.services(),
        entities: await reader.entities(),
      };
      const last = await lastVersions(tx);
      const after = merged(
        before,
        this.#linked(before, definitions, options.prune ?? false),
        options.prune ?? false,
        last,
      );
      checkNames(after);
      checkEntities(after);
      checkImputations(after.views, after.services);
      if (options.force !== true) await checkRecords(tx, missingOf(before.entities, after.entities));
      checkPurposes(after.views, options.purposes ?? (await this.#hooks.purposes(tx)));
      checkSearchable(after.views);
      const given = featuresOf(definitions.views.filter(isOfPeople));
      checkUnsealed(featuresOf(definitions.views), options.sealedTraits ?? (await this.#hooks.sealedTraits(tx)));
      const uses = options.uses ?? (await this.#hooks.uses(tx));
      const askedModels = options.askedModels ?? (await this.#hooks.askedModels(tx));
      checkRequests(featuresOf(after.views), uses, askedModels);
      const changes = planFeatures(before, after, await reader.streamIds(), uses);
      const broken = brokenUses(changes);
      if (options.force !== true) checkUses(broken);
      const plan: ApplyPlan = {
        ...changes,
        historyEvents: await reader.acceptedEvents(),
        withdrawn: await this.#hooks.restingOn(
          tx,
          broken.flatMap(({ breaking }) => breaking.users),
        ),
        warnings: questionFeatures(given, await this.#hooks.known(tx)),
      };
      if (options.dryRun !== true && plan.changes.length > 0) await this.#write(tx, before, after, plan.withdrawn);
      return plan;
    });
  }

  /** With the views that stay: what their features are computed from may be given. */
  #linked(before: DefinedFeatures, given: FeatureDefinitions, prune: boolean): FeatureDefinitions {
    const names = new Set(given.views.map(({ name }) => name));
    const staying = prune ? [] : before.views.filter(({ name }) => !names.has(name));
    return { ...given, views: linkOnDemand([...staying, ...given.views], this.#hooks.language) };
  }

  async #write(
    tx: Transaction,
    before: DefinedFeatures,
    after: DefinedFeatures,
    withdrawn: readonly FeatureUser[],
  ): Promise<void> {
    const nowMs = this.#clock.now();
    // While its features can still be read, as whoever puts a segment out of service does.
    await this.#hooks.withdraw(tx, withdrawn);
    for (const view of changedOf(before.views, after.views)) await this.#store.save(tx, 'view', view, nowMs);
    for (const service of changedOf(before.services, after.services)) {
      await this.#store.save(tx, 'service', service, nowMs);
    }
    for (const entity of changedOf(before.entities, after.entities))
      await this.#store.save(tx, 'entity', entity, nowMs);
    await this.#store.drop(tx, 'entity', missingOf(before.entities, after.entities), nowMs);
    await this.#store.drop(tx, 'view', missingOf(before.views, after.views), nowMs);
    await this.#store.drop(tx, 'service', missingOf(before.services, after.services), nowMs);
    await this.#hooks.changed(tx);
  }
}

async function lastVersions(tx: Transaction): Promise<LastVersions> {
  const reader = new DefinitionHistoryReader(tx);
  return {
    views: await reader.lastVersions('view'),
    services: await reader.lastVersions('service'),
    entities: await reader.lastVersions('entity'),
  };
}

/** The newest version of each name that there was, by kind. */
interface LastVersions {
  readonly views: ReadonlyMap<string, number>;
  readonly services: ReadonlyMap<string, number>;
  readonly entities: ReadonlyMap<string, number>;
}

function merged(
  before: DefinedFeatures,
  given: FeatureDefinitions,
  prune: boolean,
  last: LastVersions,
): DefinedFeatures {
  return {
    views: mergeByName(before.views, given.views, prune, last.views),
    services: mergeByName(before.services, given.services, prune, last.services),
    entities: mergeByName(before.entities, given.entities ?? [], prune, last.entities),
  };
}

/** Each definition with its next version if it differs from what is stored; one that comes back goes on counting. */
function mergeByName<T extends { readonly name: string; readonly version: number }>(
  before: readonly T[],
  given: readonly Omit<T, 'version'>[],
  prune: boolean,
  last: ReadonlyMap<string, number>,
): T[] {
  const standing = new Map(before.map((item) => [item.name, item]));
  const next = new Map<string, T>(prune ? [] : standing);
  for (const item of given as readonly (Omit<T, 'version'> & { readonly name: string })[]) {
    const old = standing.get(item.name);
    const same = old !== undefined && isDeepStrictEqual(plain({ ...item, version: old.version }), plain(old));
    next.set(item.name, same ? old : ({ ...item, version: (last.get(item.name) ?? 0) + 1 } as unknown as T));
  }
  return [...next.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
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

function featuresOf(views: readonly Pick<StoredFeatureView, 'features'>[]): FeatureDefinition[] {
  return views.flatMap((view) => view.features);
}

/** @throws WeftError DEFINITION_INVALID for a view of what is not defined, or a join key of two entities */
function checkEntities({ views, entities }: DefinedFeatures): void {
  const known = new Set(entities.map(({ name }) => name));
  for (const { name, entity } of views) {
    if (entity === undefined || known.has(entity)) continue;
    throw new WeftError('DEFINITION_INVALID', `view ${name} is about ${entity}, and there is no such entity`, {
      where: name,
      hint: nameHint(entity, known, 'define it under entities, with its join_key'),
    });
  }
  const owner = new Map<string, string>();
  for (const { name, joinKey } of entities) {
    const other = owner.get(joinKey);
    owner.set(joinKey, name);
    if (other === undefined) continue;
    const what = `entities ${other} and ${name} have the same join_key ${joinKey}`;
    throw new WeftError('DEFINITION_INVALID', what, { where: name, hint: 'give each its own' });
  }
}

/** @throws WeftError DEFINITION_INVALID for entities that would go and have records */
async function checkRecords(tx: Transaction, going: readonly string[]): Promise<void> {
  if (going.length === 0) return;
  const [row] = await tx.query<{ entity: string }>(
    'SELECT entity FROM entity_records WHERE entity = ANY ($1) LIMIT 1',
    [going],
  );
  if (row === undefined) return;
  throw new WeftError('DEFINITION_INVALID', `the entity ${row.entity} has records, which would go with it`, {
    where: row.entity,
    hint: 'keep it in the files, or force it',
  });
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

/** Segments are evaluated, and models that they ask, when events come and time passes: there is no request then. */
function checkRequests(
  features: readonly FeatureDefinition[],
  uses: readonly FeatureUse[],
  askedModels: ReadonlySet<string>,
): void {
  const byName = new Map(features.map((feature) => [feature.name, feature]));
  for (const { kind, key, feature: name } of uses) {
    const feature = byName.get(name);
    if (feature === undefined) continue;
    if (kind === 'segment') {
      const [field] = requestFieldsOf(feature);
      if (field === undefined) continue;
      throw new WeftError(
        'DEFINITION_INVALID',
        `feature ${name} reads request.${field.name}, and segment ${key} reads it`,
        {
          where: name,
          hint: 'there is no request where segments are evaluated: let the segment read features that need none',
        },
      );
    }
    const needed = askedModels.has(key) ? neededFieldOf(feature) : undefined;
    if (needed === undefined) continue;
    const what = `feature ${name} reads request.${needed}, and model ${key} reads it, which segments ask`;
    throw new WeftError('DEFINITION_INVALID', what, {
      where: name,
      hint: `there is no request where segments are evaluated: give request.${needed} a default`,
    });
  }
}

function checkUses(broken: ReturnType<typeof brokenUses>): void {
  const [first] = broken;
  if (first === undefined) return;
  const { change, breaking } = first;
  const users = breaking.users.filter(({ kind }) => kind !== 'service').map(({ kind, key }) => `${kind} ${key}`);
  const type = change.fields.find(({ field }) => field === 'type');
  const others = broken.length - 1;
  const more = others === 0 ? '' : `; so are ${String(others)} others that would go or change their type`;
  const hint =
    type === undefined
      ? `archive, retire or change the ${users.join(' and the ')} first, or force it, which does so`
      : `its type cannot change from ${JSON.stringify(type.before)} to ${JSON.stringify(type.after)}, unless that is forced`;
  throw new WeftError('DEFINITION_INVALID', `feature ${change.name} is used by ${users.join(' and ')}`, {
    where: change.name,
    hint: `${hint}${more}`,
  });
}

function checkNames({ views, services }: DefinedFeatures): void {
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
