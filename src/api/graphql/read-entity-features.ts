import type { EntityFeature, EntityFeatures, EntityValues } from '../../features/entity-features.js';
import { ENTITY_LIMITS, isEntityKey } from '../../features/entity.model.js';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import type { ApiServices } from '../api-services.js';
import { valueOf, type FeatureView } from './profile-view.js';
import type { IdentifierType } from './profile.types.js';
import { demandAge, demandWithinBounds, notOlderThan } from './read-online-features.js';
import type { Reads } from './reads.js';

/** What is asked of each key. */
export interface EntityQuestion {
  /** Names of features; all of the entity if neither these nor a service are given. */
  readonly names?: readonly string[] | null | undefined;
  /** A service: its features that are of this entity. */
  readonly service?: string | null | undefined;
}

/** @throws WeftError NOT_FOUND */
export function demandEntity({ entities }: ApiDefinitions, name: string): EntityFeatures {
  const found = entities.get(name);
  if (found !== undefined) return found;
  throw new WeftError('NOT_FOUND', `there is no entity ${name.slice(0, 100)}`, {
    where: 'entity',
    hint: nameHint(name, entities.keys(), 'leave it out for people, or define it under entities'),
  });
}

/**
 * The features of an entity that a question names, each once, in its order.
 * @throws WeftError BAD_REQUEST for names that are not of the entity, or a list of names beside a service
 */
export function selectEntityFeatures(
  { services }: ApiDefinitions,
  { entity, features }: EntityFeatures,
  { names, service }: EntityQuestion,
): EntityFeature[] {
  if (typeof service === 'string') {
    if (Array.isArray(names)) {
      const hint = 'name the one or the other';
      throw new WeftError('BAD_REQUEST', 'both features and a service are named', { where: 'service', hint });
    }
    const listed = services.get(service)?.features.flatMap((name) => features.get(name) ?? []) ?? [];
    if (listed.length > 0) return listed;
    throw new WeftError(
      'BAD_REQUEST',
      `there is no feature service ${service.slice(0, 100)} with features of ${entity.name}`,
      {
        where: 'service',
        hint: nameHint(service, services.keys(), 'featureServices lists those that there are'),
      },
    );
  }
  return [...new Set(names ?? features.keys())].map((name) => {
    const feature = features.get(name);
    if (feature !== undefined) return feature;
    throw new WeftError('BAD_REQUEST', `${entity.name} has no feature ${name.slice(0, 100)}`, {
      where: 'features',
      hint: nameHint(name, features.keys(), 'featureViews lists those that there are'),
    });
  });
}

/**
 * Values of these features for each key, as of `nowMs`, inclusive, in one or two reads for all of them. Items whose states
 * cannot be read are marked to be folded anew.
 * @throws WeftError BAD_REQUEST for more than one request may ask for, or for what can be no key
 */
export async function readEntityValues(
  { db, damagedItems }: Pick<ApiServices, 'db' | 'damagedItems'>,
  entity: EntityFeatures,
  keys: readonly string[],
  asked: readonly EntityFeature[],
  nowMs: number,
): Promise<EntityValues> {
  demandWithinBounds(keys.length, asked.length);
  const wrong = keys.find((key) => !isEntityKey(key));
  if (wrong !== undefined) {
    throw new WeftError('BAD_REQUEST', `there is a key that no ${entity.entity.joinKey} can be`, {
      where: 'keys',
      hint: `give texts of 1 to ${String(ENTITY_LIMITS.maxKeyLength)} characters`,
    });
  }
  const values = await entity.readNow(db, keys, asked, nowMs + 1);
  if (values.damaged.length > 0) await damagedItems.refold(values.damaged);
  return values;
}

/** As GraphQL asks: what is about people may not be there. */
export interface EntityReading extends EntityQuestion {
  readonly entity?: string | null | undefined;
  readonly keys?: readonly string[] | null | undefined;
  readonly maxAgeMs?: number | null | undefined;
  readonly entities?: unknown;
  readonly purposes?: unknown;
  readonly request?: unknown;
}

/** What is known of one key. */
export interface EntityRow {
  readonly entity: IdentifierType;
  readonly profileId: null;
  readonly features: readonly FeatureView[];
}

/**
 * Features of the keys of an entity, in the order asked, all as of the instant of the request.
 * @throws WeftError NOT_FOUND for an entity that there is not; BAD_REQUEST
 */
export async function readEntityFeatures(reads: Reads, reading: EntityReading): Promise<EntityRow[]> {
  const { entity: name, keys, maxAgeMs } = reading;
  if (typeof name !== 'string' || !Array.isArray(keys)) {
    const hint = 'give both, as entity: "item", keys: ["sku-1"]';
    throw new WeftError('BAD_REQUEST', 'an entity needs keys, and keys an entity', { where: 'entity', hint });
  }
  for (const field of ['entities', 'purposes', 'request'] as const) {
    if (reading[field] === undefined || reading[field] === null) continue;
    const hint = `leave it out, or leave out entity and keys`;
    throw new WeftError('BAD_REQUEST', `${field} is about people, and ${name.slice(0, 100)} is asked about`, {
      where: field,
      hint,
    });
  }
  demandAge(maxAgeMs);
  const entity = demandEntity(reads.definitions, name);
  const asked = selectEntityFeatures(reads.definitions, entity, reading);
  const { rows, isComplete } = await readEntityValues(reads.services, entity, keys as string[], asked, reads.nowMs);
  reads.countFeatureValues(keys.length * asked.length);
  const t = reads.nowMs + 1;
  return (keys as string[]).map((value, row) => ({
    entity: { namespace: entity.entity.joinKey, value, isAsked: true },
    profileId: null,
    features: asked.map((each, i) => {
      const { definition, viewVersion } = each;
      const found = rows[row]?.[i];
      if (found === undefined) throw new TypeError('a value is missing');
      const feature: FeatureView = {
        name: definition.name,
        fullName: `${definition.view}__${definition.name}`,
        type: definition.type,
        status: found.status,
        value: valueOf(found, definition.type),
        eventTs: found.eventTs,
        ageMs: found.eventTs === null ? null : t - found.eventTs,
        validUntil: found.validUntil === Infinity ? null : found.validUntil,
        approximate: found.approximate,
        version: viewVersion,
        complete: isComplete(each, row),
        imputed: false,
      };
      return typeof maxAgeMs === 'number' ? notOlderThan(feature, maxAgeMs) : feature;
    }),
  }));
}
