import type { RawIdentifier } from '../../events/event.model.js';
import { isOlderThan } from '../../features/feature.model.js';
import { readRequestValues } from '../../features/on-demand.model.js';
import { WeftError } from '../../platform/errors.js';
import type { Uuid } from '../../platform/ids.js';
import { MAX_NEEDED_PURPOSES, unknownPurpose } from '../../profiles/purpose.model.js';
import type { FeatureView } from './profile-view.js';
import type { Reads } from './reads.js';

const MAX_ENTITIES = 500;
const MAX_ONLINE_VALUES = 50_000;

/** What is asked of each entity. */
export interface OnlineQuestion {
  /** Names of features; all of them if neither these nor a service are given. */
  readonly names?: readonly string[] | null | undefined;
  readonly service?: string | null | undefined;
  /** What the answer is for. */
  readonly purposes?: readonly string[] | null | undefined;
  /** Values whose newest event is older than this, ms, are `OUTSIDE_MAX_AGE`; left out: only those beyond their ttl. */
  readonly maxAgeMs?: number | null | undefined;
  /** Values that on-demand features read of the request, by name, the same for all entities; times in ISO 8601 or ms. */
  readonly request?: unknown;
}

export interface OnlineRow {
  /** Null: nobody is known by this key; there are no features then. */
  readonly profileId: Uuid | null;
  /** In the order asked. */
  readonly features: readonly FeatureView[];
}

/**
 * Features of many entities, in the order asked, all as of the instant of the request: one read a profile, whatever the
 * number of views. Needs no GraphQL, but the reads of a request.
 *
 * @throws WeftError BAD_REQUEST for names that there are not, values of the request that no feature asked for reads or
 * that are not of its type, or for more than the bounds
 */
export async function readOnlineFeatures(
  reads: Reads,
  keys: readonly RawIdentifier[],
  { names, service, purposes, maxAgeMs, request }: OnlineQuestion,
): Promise<OnlineRow[]> {
  const asked = reads.index.select(names, service);
  const needed = neededPurposes(reads, purposes);
  demandWithinBounds(keys.length, asked.length);
  const values = readRequestValues(
    asked.map(({ definition }) => definition),
    request,
  );
  demandAge(maxAgeMs);
  return Promise.all(
    keys.map(async (key) => {
      const view = await reads.profileOf(key);
      if (view === null) return { profileId: null, features: [] };
      const features = view.features(asked, needed, values);
      if (typeof maxAgeMs !== 'number') return { profileId: view.id, features };
      return { profileId: view.id, features: features.map((feature) => notOlderThan(feature, maxAgeMs)) };
    }),
  );
}

/** @throws WeftError BAD_REQUEST for more entities, or values in all, than one request may ask for */
export function demandWithinBounds(entities: number, features: number): void {
  if (entities <= MAX_ENTITIES && entities * features <= MAX_ONLINE_VALUES) return;
  throw new WeftError('BAD_REQUEST', 'too many values are asked for', {
    where: 'entities',
    hint: `at most ${String(MAX_ENTITIES)} entities and ${String(MAX_ONLINE_VALUES)} values in a request`,
  });
}

/** @throws WeftError BAD_REQUEST */
export function demandAge(maxAgeMs: number | null | undefined): void {
  if (typeof maxAgeMs !== 'number' || maxAgeMs >= 0) return;
  throw new WeftError('BAD_REQUEST', 'an age cannot be negative', { where: 'maxAgeMs', hint: 'give ms, from 0' });
}

export function notOlderThan(feature: FeatureView, maxAgeMs: number): FeatureView {
  if (!isOlderThan(feature, maxAgeMs)) return feature;
  return { ...feature, status: 'OUTSIDE_MAX_AGE', value: null, approximate: false };
}

/** @throws WeftError BAD_REQUEST for a purpose that there is not */
export function neededPurposes(
  { definitions }: Pick<Reads, 'definitions'>,
  given: readonly string[] | null | undefined,
): readonly string[] {
  if (given === null || given === undefined || given.length === 0) return [];
  if (given.length > MAX_NEEDED_PURPOSES) {
    throw new WeftError('BAD_REQUEST', `${String(given.length)} purposes are named`, {
      where: 'purposes',
      hint: `name at most ${String(MAX_NEEDED_PURPOSES)}`,
    });
  }
  const unknown = unknownPurpose(given, new Set(definitions.purposes.keys()));
  if (unknown === null) return given;
  throw new WeftError('BAD_REQUEST', unknown.message, { where: 'purposes', hint: unknown.hint });
}
