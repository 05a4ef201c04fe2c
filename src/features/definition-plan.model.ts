import { isDeepStrictEqual } from 'node:util';
import type { JsonObject, JsonValue } from '../events/event.model.js';
import { durationText } from '../platform/duration.js';
import { isEntityStream, meaningOf } from './entity-fold.model.js';
import { isOfPeople, type DefinitionKind, type FeatureDefinition } from './feature.model.js';
import type { StoredEntity, StoredFeatureService, StoredFeatureView } from './feature.reader.js';
import { streamsOf } from './stream.model.js';

/** What stands, or will. */
export interface DefinedFeatures {
  readonly views: readonly StoredFeatureView[];
  readonly services: readonly StoredFeatureService[];
  readonly entities: readonly StoredEntity[];
}

/** Something that reads features: it decides or answers by them. */
export interface FeatureUser {
  readonly kind: 'segment' | 'model' | 'service';
  readonly key: string;
}

/** An active model or segment that reads a feature. */
export interface FeatureUse extends FeatureUser {
  readonly kind: 'segment' | 'model';
  readonly feature: string;
}

/** A field of a definition as it was and as it will be; null: it is not there. */
export interface FieldChange {
  readonly field: string;
  readonly before: JsonValue;
  readonly after: JsonValue;
}

export const BREAKS = ['removed', 'retyped', 'redefined'] as const;

/**
 * What a change does to those who read the feature. `removed` and `retyped`: they cannot go on. `redefined`: the name
 * means something else than what a model was trained on.
 */
export interface Breaking {
  readonly how: (typeof BREAKS)[number];
  readonly users: readonly FeatureUser[];
}

export interface DefinitionChange {
  readonly kind: DefinitionKind | 'feature';
  readonly name: string;
  readonly change: 'added' | 'changed' | 'removed';
  /** Of a changed definition what differs; none otherwise. */
  readonly fields: readonly FieldChange[];
  /** Null: nobody who reads it has to care. */
  readonly breaking: Breaking | null;
  /** Whether history has to be folded in before its values are complete. */
  readonly backfilled: boolean;
}

export interface FeaturePlan {
  /** Names of features and services, and of views of which more than the features differs. */
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** All of it, one by one; none: there is nothing to do. */
  readonly changes: readonly DefinitionChange[];
  /** Streams that history has to be folded into before their features are complete. */
  readonly newStreams: number;
}

/** Fields that do not decide what the values of a feature are; its type is told of by itself. */
const WITHOUT_MEANING = new Set(['description', 'view', 'searchable', 'purposes', 'type']);

/** Names under which fields are written, and how. */
const WRITTEN: Readonly<Record<string, string>> = {
  windowMs: 'window',
  unitMs: 'unit',
  gapMs: 'gap',
  withinMs: 'within',
  days: 'share_of',
  halfLifeMs: 'half_life',
};

/** @param streamIds of the streams that there are, by key */
export function planFeatures(
  before: DefinedFeatures,
  after: DefinedFeatures,
  streamIds: ReadonlyMap<string, number>,
  uses: readonly FeatureUse[],
): FeaturePlan {
  const folded = new Set(featuresOfPeople(after));
  const ofItems = newItemFeatures(before, after);
  const isNew = (feature: FeatureDefinition): boolean =>
    ofItems.has(feature) || (folded.has(feature) && streamsOf([feature]).some(({ key }) => !streamIds.has(key)));
  const features = featureChanges(before, after, isNew, uses);
  const views = changesOf('view', before.views, after.views, viewFields);
  const services = changesOf('service', before.services, after.services, serviceFields);
  const entities = changesOf('entity', before.entities, after.entities, serviceFields);
  const changes = [...entities, ...views, ...features, ...services];
  const namesOf = (change: DefinitionChange['change']): string[] =>
    [...entities, ...features, ...services, ...(change === 'changed' ? views : [])]
      .filter((each) => each.change === change)
      .map(({ name }) => name);
  return {
    added: namesOf('added'),
    changed: namesOf('changed'),
    removed: namesOf('removed'),
    changes,
    newStreams:
      streamsOf(featuresOfPeople(after)).filter((stream) => !streamIds.has(stream.key)).length +
      streamsOf([...ofItems]).length,
  };
}

/** Features whose readers cannot go on, with who they are; services that list one are not among them. */
export function brokenUses(plan: FeaturePlan): { readonly change: DefinitionChange; readonly breaking: Breaking }[] {
  return plan.changes.flatMap((change) => {
    const { breaking } = change;
    return breaking === null || breaking.how === 'redefined' ? [] : [{ change, breaking }];
  });
}

function featureChanges(
  before: DefinedFeatures,
  after: DefinedFeatures,
  isNew: (feature: FeatureDefinition) => boolean,
  uses: readonly FeatureUse[],
): DefinitionChange[] {
  const old = gated(before.views);
  const now = gated(after.views);
  const kind = 'feature';
  const added = [...now].flatMap(([name, { definition }]): DefinitionChange[] =>
    old.has(name) ? [] : [{ kind, name, change: 'added', fields: [], breaking: null, backfilled: isNew(definition) }],
  );
  const changed = [...now].flatMap(([name, next]): DefinitionChange[] => {
    const last = old.get(name);
    const fields = last === undefined ? [] : difference(last.fields, next.fields);
    if (fields.length === 0) return [];
    const breaking = breakOf(name, fields, uses, before.services);
    return [{ kind, name, change: 'changed', fields, breaking, backfilled: isNew(next.definition) }];
  });
  const removed = [...old.keys()].flatMap((name): DefinitionChange[] => {
    if (now.has(name)) return [];
    const users = usersOf(name, uses, []);
    const breaking: Breaking | null = users.length === 0 ? null : { how: 'removed', users };
    return [{ kind, name, change: 'removed', fields: [], breaking, backfilled: false }];
  });
  return [...added, ...changed, ...removed];
}

function breakOf(
  name: string,
  fields: readonly FieldChange[],
  uses: readonly FeatureUse[],
  services: readonly StoredFeatureService[],
): Breaking | null {
  const users = usersOf(name, uses, services);
  const isRead = users.some(({ kind }) => kind !== 'service');
  if (isRead && fields.some(({ field }) => field === 'type')) return { how: 'retyped', users };
  const isTrainedOn = users.some(({ kind }) => kind === 'model');
  return isTrainedOn && fields.some(({ field }) => !WITHOUT_MEANING.has(field)) ? { how: 'redefined', users } : null;
}

function usersOf(
  feature: string,
  uses: readonly FeatureUse[],
  services: readonly StoredFeatureService[],
): FeatureUser[] {
  const listing = services.filter(({ features }) => features.includes(feature));
  return [
    ...uses.filter((use) => use.feature === feature).map(({ kind, key }) => ({ kind, key })),
    ...listing.map(({ name }) => ({ kind: 'service' as const, key: name })),
  ];
}

function changesOf<T extends { readonly name: string }>(
  kind: DefinitionKind,
  before: readonly T[],
  after: readonly T[],
  fieldsOf: (item: T) => JsonObject,
): DefinitionChange[] {
  const old = new Map(before.map((item) => [item.name, item]));
  const left = new Set(after.map(({ name }) => name));
  const there = after.flatMap((item): DefinitionChange[] => {
    const { name } = item;
    const last = old.get(name);
    const shared = { kind, name, breaking: null, backfilled: false };
    if (last === undefined) return [{ ...shared, change: 'added', fields: [] }];
    const fields = difference(fieldsOf(last), fieldsOf(item));
    return fields.length === 0 ? [] : [{ ...shared, change: 'changed', fields }];
  });
  const gone = before
    .filter(({ name }) => !left.has(name))
    .map(({ name }): DefinitionChange => {
      return { kind, name, change: 'removed', fields: [], breaking: null, backfilled: false };
    });
  return [...there, ...gone];
}

/** Each feature with what its view asks to be allowed, by name. */
function gated(views: readonly StoredFeatureView[]) {
  return new Map(
    views.flatMap(({ features, purposes = [] }) =>
      features.map((definition) => {
        const { options, ...rest } = definition;
        const fields = { ...written({ ...rest, ...options }), purposes: [...purposes] };
        return [definition.name, { definition, fields }] as const;
      }),
    ),
  );
}

/** Its features are told of one by one. */
function viewFields({ name: _name, version: _version, features: _features, ...rest }: StoredFeatureView): JsonObject {
  return written(rest);
}

function serviceFields({ name: _name, version: _version, ...rest }: StoredFeatureService | StoredEntity): JsonObject {
  return written(rest);
}

/** Fields as they are written in a file; those without a value are left out. */
function written(fields: object): JsonObject {
  const out: JsonObject = {};
  for (const [field, value] of Object.entries(plain(fields) as JsonObject)) {
    if (value === null) continue;
    const isDuration = field.endsWith('Ms') && typeof value === 'number' && value > 0 && value % 1_000 === 0;
    out[WRITTEN[field] ?? field] = isDuration ? durationText(value) : value;
  }
  return out;
}

function difference(before: JsonObject, after: JsonObject): FieldChange[] {
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return fields.flatMap((field) => {
    const [was = null, is = null] = [before[field], after[field]];
    return isDeepStrictEqual(was, is) ? [] : [{ field, before: was, after: is }];
  });
}

/** As it comes back from the database. */
export function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** Features of views that are folded into their items anew: a view is as a whole. */
function newItemFeatures(before: DefinedFeatures, after: DefinedFeatures): Set<FeatureDefinition> {
  const standing = new Set(before.views.filter(isEntityStream).map(meaningOf));
  const anew = after.views.filter(isEntityStream).filter((view) => !standing.has(meaningOf(view)));
  return new Set(anew.flatMap(({ features }) => features));
}

/** What is folded from events into people. */
function featuresOfPeople({ views }: DefinedFeatures): FeatureDefinition[] {
  return views.filter(isOfPeople).flatMap((view) => view.features);
}
