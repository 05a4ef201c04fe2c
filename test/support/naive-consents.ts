import type { LoggedEvent } from '../../src/events/event.model.js';
import { compareCanonical } from '../../src/events/event.model.js';
import { aPurpose } from './a-purpose.js';
import type { NaiveView } from './naive-fold.js';
import { pick, type LogStep, type Random } from './random-log.js';
import { DAY_MS, HOUR_MS, MINUTE_MS } from './world.js';

/*
 * Consents by their definition: of the events that say something of a purpose the last one counts, of those of one instant
 * one that denies it, until its word runs out.
 */

const MAIL_EXPIRY_DAYS = 1;
export const PURPOSES = [aPurpose('ads'), aPurpose('mail', { default: 'granted', expiresAfterDays: MAIL_EXPIRY_DAYS })];
export const PURPOSE_KEYS = PURPOSES.map(({ key }) => key);

/** The same log, in which some events say something of a purpose. */
export function withConsents(random: Random, log: readonly LogStep[]): LogStep[] {
  return log.map((step) => ({
    ...step,
    events: step.events.map((event) => {
      if (random() < 0.8) return event;
      const validMs = pick(random, [null, MINUTE_MS, HOUR_MS, DAY_MS]);
      const word = {
        status: random() < 0.6 ? 'granted' : 'denied',
        ...(validMs === null ? {} : { expiresAt: (event.timestampMs ?? 0) + validMs }),
      };
      return { ...event, context: { consent: { purposes: { [pick(random, PURPOSE_KEYS)]: word } } } };
    }),
  }));
}

interface NaiveWord {
  readonly status: string;
  readonly until: number;
}

function wordIn({ context, occurredAt }: LoggedEvent, purpose: string): NaiveWord | null {
  const { consent } = context as { consent?: { purposes: Record<string, { status: string; expiresAt?: number }> } };
  const said = consent?.purposes[purpose];
  if (said === undefined) return null;
  const byPurpose = purpose === 'mail' ? occurredAt + MAIL_EXPIRY_DAYS * DAY_MS : Infinity;
  return { status: said.status, until: said.expiresAt ?? byPurpose };
}

export function naiveAllowed(view: NaiveView, purpose: string, t: number): boolean {
  const given = view.events.filter((event) => wordIn(event, purpose) !== null).sort(compareCanonical);
  const lastMs = given.at(-1)?.occurredAt;
  const words = given.filter((event) => event.occurredAt === lastMs).map((event) => wordIn(event, purpose));
  const last = words.findLast((word) => word?.status === 'denied') ?? words.at(-1) ?? null;
  if (last === null || t >= last.until) return purpose === 'mail';
  return last.status === 'granted';
}

/** Every instant at which a word runs out. */
export function naiveExpiries(view: NaiveView): number[] {
  const words = view.events.flatMap((event) => PURPOSE_KEYS.flatMap((purpose) => wordIn(event, purpose) ?? []));
  return words.map(({ until }) => until).filter(Number.isFinite);
}
