import { demandRange } from '../../features/materialization.model.js';
import { WeftError } from '../../platform/errors.js';
import { isInstant, parseInstant } from '../../platform/instant.js';

/** A feature as Feast refers to it: `web_activity:views_24h`. */
export interface FeatureRef {
  readonly view: string;
  readonly feature: string;
  /** Of the view, as in `web_activity@v2:views_24h`; null: the one in force. */
  readonly version: number | null;
}

/** The body of `POST /get-online-features`. */
export interface OnlineFeaturesRequest {
  /** Null: those of the service. */
  readonly refs: readonly FeatureRef[] | null;
  readonly service: string | null;
  /** As it was sent; read once it is known what the features asked for read of a request. */
  readonly entities: unknown;
  /** What is said with the request, as it was sent. */
  readonly context: unknown;
  /** Whether features are called `view__feature`. */
  readonly isFullNamed: boolean;
  readonly withVersions: boolean;
  /** What the answer is for; not of Feast. */
  readonly purposes: readonly string[];
  /** Values whose newest event is older, ms, are `OUTSIDE_MAX_AGE`; not of Feast. Null: only those beyond a ttl. */
  readonly maxAgeMs: number | null;
  /** Whether missing values are given what the service imputes; not of Feast. */
  readonly isImputed: boolean;
}

export type Body = Readonly<Record<string, unknown>>;

const REF = /^([^:@]+)(?:@v(\d{1,9}))?:([^:]+)$/;
const MAX_REFS = 2_000;
const MAX_SHOWN = 100;

/** @throws WeftError BAD_REQUEST that says what is wrong, and where */
export function readOnlineFeaturesRequest(body: Body): OnlineFeaturesRequest {
  const service = optionalText(body, 'feature_service');
  const listed = textList(body, 'features');
  if (service === null && listed.length === 0) {
    throw wrong('features', 'no features are asked for', 'list them as "view:feature", or name a feature_service');
  }
  const isImputed = flag(body, 'imputed', false);
  if (isImputed && service === null) {
    const hint = 'ask for a feature_service, or leave imputed out';
    throw wrong('imputed', 'what is imputed is said by a feature service, and none is named', hint);
  }
  return {
    // As in Feast, a service counts before a list.
    refs: service === null ? listed.map(readRef) : null,
    service,
    entities: body['entities'],
    context: body['request_context'],
    isFullNamed: flag(body, 'full_feature_names', false),
    withVersions: flag(body, 'include_feature_view_version_metadata', false),
    purposes: textList(body, 'purposes'),
    maxAgeMs: readAge(body['max_age_ms']),
    isImputed,
  };
}

function readRef(text: string, index: number): FeatureRef {
  const [, view, version, feature] = REF.exec(text) ?? [];
  if (view !== undefined && feature !== undefined) {
    return { view, feature, version: version === undefined ? null : Number(version) };
  }
  const hint = 'write the view and the feature, as in "web_activity:views_24h"';
  throw wrong(`features.${String(index)}`, `${shown(text)} is no reference to a feature`, hint);
}

function readAge(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'number' && value >= 0) return value;
  throw wrong('max_age_ms', 'this is no age', 'give ms, from 0');
}

/**
 * The body of `POST /materialize` and `/materialize-incremental`: names of views; none: all.
 * @throws WeftError BAD_REQUEST for times that are missing or cannot be read
 */
export function readMaterializeRequest(body: Body, isIncremental: boolean): readonly string[] {
  const needsRange = !isIncremental && !flag(body, 'disable_event_timestamp', false);
  const from = isIncremental ? null : readTime(body, 'start_ts', needsRange);
  const to = readTime(body, 'end_ts', needsRange || isIncremental);
  demandRange(from, to, 'end_ts');
  return textList(body, 'feature_views');
}

function readTime(body: Body, field: string, isNeeded: boolean): number | null {
  const given = optionalText(body, field);
  if (given === null && !isNeeded) return null;
  const ms = given === null ? Number.NaN : parseInstant(given, { date: 'utc', time: 'utc' });
  if (isInstant(ms)) return ms;
  throw wrong(
    field,
    `${field} is ${given === null ? 'missing' : 'no time'}`,
    'write ISO 8601, as in 2026-01-31T12:00:00Z',
  );
}

// --- parts of bodies ------------------------------------------------------------------------------------------------

export function isObject(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws WeftError BAD_REQUEST where there is no such text */
export function text(body: Body, field: string): string {
  const value = optionalText(body, field);
  if (value !== null) return value;
  throw wrong(field, `${field} is missing`, 'add it');
}

/** Null where it is left out. @throws WeftError BAD_REQUEST */
export function optionalText(body: Body, field: string): string | null {
  const value = body[field];
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string') return value;
  throw wrong(field, `${field} is not a text`, 'put it in quotes');
}

/** Empty where it is left out. @throws WeftError BAD_REQUEST */
export function textList(body: Body, field: string): readonly string[] {
  const value = body[field];
  if (value === undefined || value === null) return [];
  const isList = Array.isArray(value) && value.every((item): item is string => typeof item === 'string');
  if (!isList) throw wrong(field, `${field} is not a list of texts`, 'give a list, as in ["a", "b"]');
  if (value.length <= MAX_REFS) return value;
  throw wrong(field, `${field} has ${String(value.length)} items`, `give at most ${String(MAX_REFS)}`);
}

/** @throws WeftError BAD_REQUEST */
export function flag(body: Body, field: string, byDefault: boolean): boolean {
  const value = body[field] ?? byDefault;
  if (typeof value === 'boolean') return value;
  throw wrong(field, `${field} is not a boolean`, 'give true or false');
}

export function wrong(where: string, message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { where, hint });
}

/** What a caller wrote, as far as it is told back. */
export function shown(given: string): string {
  return given.slice(0, MAX_SHOWN);
}
