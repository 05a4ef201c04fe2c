import type { Profile } from './profile.model.js';

/** What the server knew when it rendered a page, for the browser to start from. */
export interface WeftState {
  /** Fingerprint of the visitor's anonymous id; null where the server did not know it. */
  readonly whose: string | null;
  readonly profile: Profile;
}

/**
 * The state as JSON that is safe inside a `<script>` of any page: neither `</script>` nor `<!--` can be in it, nor a line
 * break that older JavaScript would not take in a string.
 *
 * @param anonymousId of the visitor, so that a browser can tell that a cached page was made for somebody else. Only a
 *   fingerprint of 32 bits gets into the page: an anonymous id is what lets one read the profile.
 */
export function dehydrate(profile: Profile, anonymousId?: string): string {
  const state: WeftState = { whose: anonymousId === undefined ? null : fingerprint(anonymousId), profile };
  return JSON.stringify(state).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * The profile of a state; null if it is none, or of another visitor, as in a page that a cache held.
 *
 * @param anonymousId of the visitor; null: has none; undefined: cannot be known here, as while a server renders
 */
export function hydrate(
  initial: WeftState | string | null | undefined,
  anonymousId: string | null | undefined,
): Profile | null {
  try {
    const state = (typeof initial === 'string' ? JSON.parse(initial) : initial) as WeftState | null | undefined;
    if (!Array.isArray(state?.profile.segments)) return null;
    const { whose } = state;
    const isOurs =
      whose === null || anonymousId === undefined || (anonymousId !== null && whose === fingerprint(anonymousId));
    return isOurs ? state.profile : null;
  } catch {
    return null;
  }
}

/** FNV-1a, 32 bits (Fowler, Noll, Vo), base 36. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(36);
}
