/*
 * The documents of Weft's own clients, which every installation knows from the start. Clients name them by the SHA-256
 * of their texts, so a text, once released, never changes: a better one is added beside it.
 */

/** What the JavaScript client and the plugins ask of a visitor on each page view. */
export const EDGE_PROFILE_DOCUMENT =
  'query EdgeProfile($identifier: EdgeIdentifierInput!, $deadlineMs: Int, $onMiss: EdgeDefaultInput, $after: String) ' +
  '{ edgeProfile(identifier: $identifier, deadlineMs: $deadlineMs, onMiss: $onMiss, after: $after) ' +
  '{ known degraded asOf segments traits scores { model value label } } }';

export const STANDARD_DOCUMENTS: readonly string[] = [EDGE_PROFILE_DOCUMENT];
