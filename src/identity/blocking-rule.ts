import { BlockedPatterns } from './blocked-patterns.js';
import { foldedValue, isBlockedValue, isZeros, type IdentityRules } from './identity-rules.model.js';

/**
 * The rule that blocks a value, called as changes of the rules call it; null: none does. For whoever asks why; the way of
 * events asks `isBlockedValue` and `BlockedPatterns`, which say the same.
 *
 * @param value raw or normalised
 */
export function blockingRule(ns: string, value: string, rules: IdentityRules): string | null {
  const folded = foldedValue(value);
  if (rules.blockedValues.has(folded)) return `blocked value "${folded}"`;
  if (isZeros(folded)) return 'values of nothing but zeros and separators';
  if (isBlockedValue(value, rules)) {
    const mailbox = folded.slice(0, folded.indexOf('@'));
    return `blocked ${rules.blockedMailboxes.has(mailbox) ? 'mailbox' : 'value'} "${mailbox}"`;
  }
  const blocking = rules.blockedPatterns.find((each) => new BlockedPatterns([each]).block(ns, value));
  if (blocking === undefined) return null;
  return `blocked pattern "${blocking.ns === null ? '' : `${blocking.ns}: `}${blocking.pattern}"`;
}
