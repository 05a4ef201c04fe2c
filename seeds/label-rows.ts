import { SeededRandom } from './random.js';
import { type Click, groupSessions, type OrderCustomer } from './source-data.js';
import { csvLine } from './truth-table.js';

/** One row of a labels file: who, as of when, and what came of it. */
export interface LabelRow {
  readonly ns: string;
  readonly value: string;
  /** The features are asked for as of this instant, ms. */
  readonly timeMs: number;
  readonly label: number | null;
}

export interface IntentOptions {
  /** A purchase counts in `(T, T + horizonMs]`. */
  readonly horizonMs: number;
  /** Instants drawn from each session, while the visitor is there. */
  readonly perSession: number;
  /** Instants drawn from the time between each session and the next, or the end of the data. */
  readonly perPause: number;
  readonly seed: string;
}

export const DEFAULT_INTENT_OPTIONS: IntentOptions = {
  horizonMs: 24 * 60 * 60 * 1000,
  perSession: 2,
  perPause: 2,
  seed: 'labels/purchase-intent',
};

/** How long after a click the question is put: at once, as the live score is, or when the visitor has paused. */
const DELAYS_MS = [0, 0, 5 * 60_000, 15 * 60_000] as const;

/**
 * Samples instants from the clickstream and labels each with 1 if the same user buys within the horizon, else 0. A live
 * model is asked about visitors in the shop and about those who left long ago, so that both are sampled. The row names
 * the session's cookie, which is what was known of the visitor then. Instants whose horizon reaches beyond the data are
 * left out: their label is not known. Sorted by time.
 */
export function intentLabels(
  clicks: readonly Click[],
  cookieBySession: ReadonlyMap<string, string>,
  options: IntentOptions = DEFAULT_INTENT_OPTIONS,
): LabelRow[] {
  const purchases = purchaseTimes(clicks);
  const endMs = clicks.reduce((greatest, click) => Math.max(greatest, click.timeMs), 0);
  const random = new SeededRandom(options.seed);
  const rows = new Map<string, LabelRow>();
  for (const [userId, sessions] of groupSessions(clicks)) {
    sessions.forEach((session, index) => {
      const cookie = cookieBySession.get(session[0]?.sessionId ?? '');
      const pauseStartMs = session.at(-1)?.timeMs ?? endMs;
      const pauseEndMs = sessions[index + 1]?.[0]?.timeMs ?? endMs;
      const instants = [
        ...times(options.perSession, () => random.pick(session).timeMs + random.pick(DELAYS_MS)),
        ...times(options.perPause, () => pauseStartMs + random.int(Math.max(pauseEndMs - pauseStartMs, 1))),
      ];
      for (const timeMs of instants) {
        if (cookie === undefined || timeMs + options.horizonMs > endMs) continue;
        const bought = (purchases.get(userId) ?? []).some((at) => at > timeMs && at <= timeMs + options.horizonMs);
        rows.set(`${cookie} ${String(timeMs)}`, { ns: 'anonymous_id', value: cookie, timeMs, label: bought ? 1 : 0 });
      }
    });
  }
  return [...rows.values()].sort((a, b) => a.timeMs - b.timeMs || (a.value < b.value ? -1 : 1));
}

function times(count: number, draw: () => number): number[] {
  return Array.from({ length: count }, draw);
}

function purchaseTimes(clicks: readonly Click[]): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const click of clicks) {
    if (click.event === 'purchase') times.set(click.userId, [...(times.get(click.userId) ?? []), click.timeMs]);
  }
  return times;
}

/** One row for each customer as of the end of the orders; a clustering has no label. */
export function rfmRows(customers: readonly OrderCustomer[], endMs: number): LabelRow[] {
  return customers.map((customer) => ({ ns: 'crm_id', value: customer.crmId, timeMs: endMs, label: null }));
}

/** CSV with header `ns,value,time,label`; times as ISO 8601, moved by the shift that the source was loaded with. */
export function formatLabels(rows: readonly LabelRow[], timeShiftMs: number): string {
  const lines = rows.map((row) =>
    csvLine([row.ns, row.value, new Date(row.timeMs + timeShiftMs).toISOString(), row.label ?? '']),
  );
  return ['ns,value,time,label', ...lines].join('\n') + '\n';
}
