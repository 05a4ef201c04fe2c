/*
 * A shadow: a version of a segment that is evaluated like any that is live, and told to nobody. Nothing refers to it, the
 * feed does not have its changes, and profiles do not show it; but its members are counted and held against the live ones.
 *
 * It is one more segment of the fold. Its id is the negative of its segment's, which no reader of memberships asks for,
 * and its key is none that a condition could name.
 */

const SUFFIX = ':shadow';

export function shadowIdOf(segmentId: number): number {
  return -segmentId;
}

export function isShadow(segmentId: number): boolean {
  return segmentId < 0;
}

/** As which it stands among segments, which are ordered by key. */
export function shadowKeyOf(key: string): string {
  return `${key}${SUFFIX}`;
}

/** The segment that a key is of, and whether it is that of its shadow. */
export function parseShadowKey(key: string): { readonly key: string; readonly isShadow: boolean } {
  return key.endsWith(SUFFIX) ? { key: key.slice(0, -SUFFIX.length), isShadow: true } : { key, isShadow: false };
}
