import type { Uuid } from '../platform/ids.js';
import { ComponentReplay } from './component-replay.js';
import type { Evidence } from './evidence.model.js';
import { NO_LINKS, type IdentityLinks } from './identity-links.model.js';
import type { IdentityRules } from './identity-rules.model.js';

/** Rows of evidence, each set counted once, beyond which a component is contested and stands as it is. */
export const MAX_REPLAY_ROWS = 10_000;

interface Resolution {
  /** Identifier ids, sorted; the groups are sorted by their first id. */
  readonly groups: readonly (readonly Uuid[])[];
  /** Rows of evidence that could not join all of their identifiers. */
  readonly demotedRows: number;
}

/**
 * Resolves a raw component at once: a canonical replay of all that is known of it (`component-replay.ts`).
 *
 * @param evidence all rows of one raw component (or of several), in any order
 * @throws RangeError if an identifier's namespace is not allowed by the rules
 */
export function resolveComponent(
  evidence: readonly Evidence[],
  rules: IdentityRules,
  links: IdentityLinks = NO_LINKS,
): Resolution {
  const replay = new ComponentReplay(rules, links);
  for (const row of evidence) replay.add(row);
  const groups = replay.advance().map((group) => group.sort());
  return { groups: groups.sort(compareFirst), demotedRows: replay.demotedRows };
}

function compareFirst(a: readonly Uuid[], b: readonly Uuid[]): number {
  const [x = ''] = a;
  const [y = ''] = b;
  return x < y ? -1 : x > y ? 1 : 0;
}
