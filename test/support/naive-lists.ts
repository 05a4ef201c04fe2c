import { listMessageId, listTrait, listWord } from '../../src/profiles/list.model.js';
import type { NaiveView } from './naive-fold.js';
import { pick, type LogStep, type Random } from './random-log.js';

/* Lists by their definition: whoever was named last as on it, by whichever identifier, is on it. */

export const LIST_KEYS = ['vips', 'staff'] as const;

/** The same log, in which some events say that somebody is on a list, or is not. */
export function withLists(random: Random, log: readonly LogStep[]): LogStep[] {
  return log.map((step) => ({
    ...step,
    events: step.events.map((event) => {
      if (step.historical || random() < 0.9) return event;
      const { messageId = '', identifiers, timestampMs = 0 } = event;
      return {
        type: 'identify' as const,
        messageId: listMessageId(timestampMs, messageId),
        timestampMs,
        identifiers: [pick(random, identifiers)],
        reserved: listWord(pick(random, LIST_KEYS), random() < 0.7),
      };
    }),
  }));
}

export function naiveListed({ traits }: NaiveView, key: string): boolean {
  const word = traits.get(listTrait(key)) as { readonly listed: boolean } | undefined;
  return word?.listed === true;
}
