import { traitsReadBy } from '../features/feature-questions.model.js';
import { WeftError } from '../platform/errors.js';
import type { SegmentRequirements } from './parse-segment.js';

/**
 * A condition on a sealed trait would keep a value of it in its own text, in plain.
 * @throws WeftError EXPRESSION_INVALID
 */
export function demandUnsealed(
  { traits, inlineFeatures }: Pick<SegmentRequirements, 'traits' | 'inlineFeatures'>,
  sealed: ReadonlySet<string>,
): void {
  if (sealed.size === 0) return;
  const read = [...traits, ...inlineFeatures.flatMap(traitsReadBy)];
  const trait = read.find((name) => sealed.has(name));
  if (trait === undefined) return;
  throw new WeftError('EXPRESSION_INVALID', `traits.${trait} is sealed`, {
    hint: `ask for what is not sealed; profiles(filter: { trait: { name: "${trait}", eq: … } }) finds people by it`,
  });
}
