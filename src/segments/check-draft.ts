import { checkNaming } from '../platform/check-naming.js';
import { WeftError } from '../platform/errors.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { MAX_NEEDED_PURPOSES, unknownPurpose } from '../profiles/purpose.model.js';
import type { SegmentDraft } from './segment-rule.model.js';
import { SEGMENT_LIMITS } from './segment.model.js';

const { maxNameLength, maxTextLength, maxTags, maxTagLength } = SEGMENT_LIMITS;

/** @throws WeftError BAD_REQUEST for purposes that are not there, or too many */
export function checkPurposes(needed: readonly string[], known: ReadonlySet<string>): void {
  if (needed.length > MAX_NEEDED_PURPOSES) {
    throw new WeftError('BAD_REQUEST', `the segment needs ${String(needed.length)} purposes`, {
      where: 'purposes',
      hint: `name at most ${String(MAX_NEEDED_PURPOSES)}`,
    });
  }
  const unknown = unknownPurpose(needed, known);
  if (unknown !== null) throw new WeftError('BAD_REQUEST', unknown.message, { where: 'purposes', hint: unknown.hint });
}

/** @throws WeftError BAD_REQUEST for a key, name, description or tags that do not fit */
export function checkDraft({ key, name, description, tags }: SegmentDraft): void {
  if (!isKey(key)) {
    throw new WeftError('BAD_REQUEST', `"${key.slice(0, 100)}" is no segment key`, { where: 'key', hint: KEY_HINT });
  }
  checkNaming({ name, description }, { maxNameLength, maxDescriptionLength: maxTextLength });
  if (tags.length > maxTags || tags.some((tag) => tag.trim() === '' || tag.length > maxTagLength)) {
    throw new WeftError('BAD_REQUEST', 'there are too many tags, or one is empty or too long', {
      where: 'tags',
      hint: `give at most ${String(maxTags)} tags of 1 to ${String(maxTagLength)} characters`,
    });
  }
}
