import { deadLetterText, type DeadLetter } from '../../events/dead-letter.model.js';
import { withoutPrivate, type AcceptResult, type IncomingEvent } from '../../events/event.model.js';
import type { DeliveredEvents, OpenWebhook, UnmappedPart } from './open-webhook.js';
import { redactJson } from './redact-body.js';
import { WEBHOOK_LIMITS } from './webhook.model.js';

type Refused = Extract<AcceptResult, { readonly status: 'refused' }>;

/**
 * The dead letters of what a delivery had in it and was not taken: first what could not be mapped, then what the log
 * refused. At most `maxDeadLetters`, and one more that says how many others there are, and why: the delivery is kept whole.
 * @param results of the events, in their order
 */
export function lettersOf(
  hook: OpenWebhook,
  { events, unmapped }: DeliveredEvents,
  results: readonly AcceptResult[],
  receivedAt: number,
): DeadLetter[] {
  const { maxDeadLetters } = WEBHOOK_LIMITS;
  const letters: DeadLetter[] = [];
  const others = new Map<string, number>();
  const add = (code: string, make: () => DeadLetter): void => {
    if (letters.length < maxDeadLetters) letters.push(make());
    else others.set(code, (others.get(code) ?? 0) + 1);
  };
  for (const part of unmapped) add(part.code, () => letterOfPart(hook, part, receivedAt));
  for (const [i, result] of results.entries()) {
    const event = events[i];
    if (result.status !== 'refused' || event === undefined) continue;
    add(result.code, () => letterOfEvent(hook, event, result, receivedAt));
  }
  if (others.size > 0) letters.push(letterOfOthers(hook, others, receivedAt));
  return letters;
}

/** The dead letter of a part that could not be mapped. */
export function letterOfPart(hook: OpenWebhook, part: UnmappedPart, receivedAt: number): DeadLetter {
  const { code, reason, item, index } = part;
  const { sourceId, adapter } = hook.webhook;
  const payload = deadLetterText(hook.isPrivate ? redactJson(item) : item);
  return { sourceId, stage: 'accept', code, reason, receivedAt, form: { kind: 'webhook', adapter, index }, payload };
}

function letterOfEvent(hook: OpenWebhook, event: IncomingEvent, refusal: Refused, receivedAt: number): DeadLetter {
  return {
    sourceId: hook.webhook.sourceId,
    stage: 'accept',
    code: refusal.code,
    reason: refusal.reason,
    messageId: event.messageId ?? null,
    receivedAt,
    payload: deadLetterText({ ...event, properties: withoutPrivate(event.properties ?? {}) }),
  };
}

function letterOfOthers(hook: OpenWebhook, others: ReadonlyMap<string, number>, receivedAt: number): DeadLetter {
  const { sourceId, adapter } = hook.webhook;
  const refused = [...others.values()].reduce((sum, each) => sum + each, 0);
  const codes = [...others].map(([code, count]) => `${code} ${String(count)}`).join(', ');
  return {
    sourceId,
    stage: 'accept',
    code: 'MORE_REFUSED',
    reason: `${String(refused)} more items of the delivery were refused: ${codes}`,
    receivedAt,
    form: { kind: 'webhook', adapter, index: WEBHOOK_LIMITS.maxDeadLetters },
    payload: deadLetterText({ refused, codes: Object.fromEntries(others) }),
  };
}
