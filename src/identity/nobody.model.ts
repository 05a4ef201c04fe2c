import type { IdentifierPolicy, RawIdentifier } from '../events/event.model.js';
import { WeftError, type ErrorCode } from '../platform/errors.js';

/** What is wrong with an identifier that stands for nobody, to whoever named it: with the rule, where one blocks it. */
export function standsForNobody(
  raw: RawIdentifier,
  policy: IdentifierPolicy,
  where: string,
  code: ErrorCode = 'BAD_REQUEST',
): WeftError {
  const rule = policy.blockedBy(raw);
  const what = refusalOf(raw, policy) ?? 'malformed';
  return new WeftError(code, `the identifier stands for nobody: ${what}`, {
    where,
    hint:
      rule === null
        ? 'name what events name people by, as email and a.tanner@example.com'
        : 'weft identity rules show lists what is blocked; name another identifier of the person',
  });
}

/** Why an identifier stands for nobody: `blocked, by the rule: …`, or what is wrong with it; null: it may name somebody. */
export function refusalOf(raw: RawIdentifier, policy: IdentifierPolicy): string | null {
  const rule = policy.blockedBy(raw);
  if (rule !== null) return `blocked, by the rule: ${rule}`;
  return policy.resolve([raw]).dropped[0]?.reason.replaceAll('_', ' ') ?? null;
}
