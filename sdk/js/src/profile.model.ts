/** Any value that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** The answer of a model that the site may see. */
export interface Score {
  readonly model: string;
  readonly value: number | null;
  readonly label: string | null;
}

/** What a site may know of its visitor: the answer of `edgeProfile`. */
export interface Profile {
  /** Whether Weft has met this visitor. Somebody new is not an error. */
  readonly known: boolean;
  /** True where the answer is the default or older than it should be, because none came in time. */
  readonly degraded: boolean;
  /** ISO 8601, UTC; null where the default is shown. */
  readonly asOf: string | null;
  /** Keys of the segments that the visitor is in, among those that are marked as safe to show. */
  readonly segments: readonly string[];
  readonly traits: Readonly<Record<string, Json>>;
  readonly scores: readonly Score[];
}

/** What to show where no answer comes in time. */
export interface ProfileDefault {
  readonly segments?: readonly string[];
  readonly traits?: Readonly<Record<string, Json>>;
}

/** The profile that stands for no answer. */
export function defaultProfile({ segments = [], traits = {} }: ProfileDefault = {}): Profile {
  return { known: false, degraded: true, asOf: null, segments, traits, scores: [] };
}

/**
 * The variant for a visitor: that of the first segment, in the order of `variants`, that the visitor is in.
 *
 * @example choose(profile.segments, { vip: 'Welcome back', new_visitor: 'Hello' }, 'Our shop')
 */
export function choose<T>(segments: readonly string[], variants: Readonly<Record<string, T>>, otherwise: T): T {
  for (const [segment, variant] of Object.entries(variants)) if (segments.includes(segment)) return variant;
  return otherwise;
}
