import type { FeatureDefinition, FeatureEvent, FeatureValue } from '../../src/features/feature.model.js';

/*
 * Features of the order and the hours of events, by their definition: over the list of all events of a window, by trying
 * out. What a ring forgets is not forgotten here.
 */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type NaiveValue = Omit<FeatureValue, 'validUntil'>;
type Filters = ReadonlyMap<string, (event: FeatureEvent) => boolean>;

/** Windows of these are exact to the millisecond. */
export function isOfRing({ aggregate }: FeatureDefinition): boolean {
  return [
    'last_events',
    'session_count',
    'session_depth',
    'session_duration',
    'session_entropy',
    'inter_event',
    'funnel',
  ].includes(aggregate);
}

/** Length of the hops in which the window of a feature of hours or days moves on; null: by its length alone. */
export function naiveCalendarHop({ aggregate, unitMs, options }: FeatureDefinition): number | null {
  if (aggregate !== 'frequency' && aggregate !== 'hour_of_week') return null;
  if ((options?.zone ?? 'UTC') !== 'UTC') return 15 * 60_000;
  return aggregate === 'frequency' ? unitMs : HOUR_MS;
}

/** @param rows those that the feature counts, in its window */
export function naiveSequence(
  definition: FeatureDefinition,
  rows: readonly FeatureEvent[],
  filters: Filters,
): NaiveValue {
  const { aggregate, limit, options } = definition;
  if (aggregate === 'frequency' || aggregate === 'hour_of_week') return calendarValue(definition, rows);
  const markOf = (row: FeatureEvent): number => {
    if (aggregate === 'last_events') return definition.events.indexOf(row.name) + 1;
    if (aggregate !== 'funnel') return 0;
    return stepsOf(row, definition, filters).reduce((sum, step) => sum + 2 ** step, 0);
  };
  const kept = rows.filter((row) => aggregate !== 'funnel' || markOf(row) > 0);
  kept.sort((a, b) => a.occurredAt - b.occurredAt || markOf(a) - markOf(b));
  const newest = kept.at(-1)?.occurredAt ?? null;
  const times = kept.map(({ occurredAt }) => occurredAt);
  switch (aggregate) {
    case 'last_events':
      return found(kept.slice(-(limit ?? 1)).map(markOf), newest);
    case 'funnel':
      return found(depthOf(kept, definition, filters), newest);
    case 'inter_event':
      return gapValue(definition, times);
    default: {
      const sessions = sessionsOf(times, options?.gapMs ?? NaN);
      if (aggregate === 'session_count') return found(sessions.length, newest);
      if (sessions.length === 0) return absent();
      if (aggregate === 'session_entropy') return found(bitsOf(sessions, times.length), newest);
      const sizes = sessions.map((session) =>
        aggregate === 'session_depth' ? session.length : (session.at(-1) ?? 0) - (session[0] ?? 0),
      );
      const unit = aggregate === 'session_depth' ? 1 : (definition.unitMs ?? NaN);
      if (options?.of !== 'mean') return found((sizes.at(-1) ?? 0) / unit, newest);
      return found(sizes.reduce((a, b) => a + b, 0) / (sizes.length * unit), newest);
    }
  }
}

/** By definition: −Σ p log₂ p over the shares of the sessions, the smallest first, as the aggregate adds them. */
function bitsOf(sessions: readonly number[][], events: number): number {
  const shares = sessions.map((session) => session.length / events).sort((a, b) => a - b);
  return shares.reduce((bits, share) => bits - share * Math.log2(share), 0) + 0;
}

function sessionsOf(times: readonly number[], gapMs: number): number[][] {
  const sessions: number[][] = [];
  for (const time of times) {
    const current = sessions.at(-1);
    if (current !== undefined && time < (current.at(-1) ?? 0) + gapMs) current.push(time);
    else sessions.push([time]);
  }
  return sessions;
}

function gapValue({ unitMs, options }: FeatureDefinition, times: readonly number[]): NaiveValue {
  const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  const newest = times.at(-1) ?? null;
  const unit = unitMs ?? NaN;
  const tooFew: NaiveValue = { status: 'NULL_VALUE', value: null, eventTs: newest, approximate: false };
  if (gaps.length === 0) return newest === null ? absent() : tooFew;
  const mean = gaps.reduce((a, b) => a + b, 0) / gaps.length;
  switch (options?.of) {
    case 'last':
      return found((gaps.at(-1) ?? 0) / unit, newest);
    case 'min':
      return found(Math.min(...gaps) / unit, newest);
    case 'stddev': {
      const squares = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0);
      return found(Math.sqrt(squares / gaps.length) / unit, newest);
    }
    default:
      return found(mean / unit, newest);
  }
}

/** Steps of a funnel, from 0, that an event can be. */
function stepsOf(row: FeatureEvent, { options }: FeatureDefinition, filters: Filters): number[] {
  const steps = options?.steps ?? [];
  return [...steps.keys()].filter((i) => {
    const step = steps[i];
    return step?.event === row.name && (step.where === null || filters.get(step.where)?.(row) === true);
  });
}

/** Tries every chain of events. */
function depthOf(rows: readonly FeatureEvent[], definition: FeatureDefinition, filters: Filters): number {
  const steps = definition.options?.steps?.length ?? 0;
  const canBe = rows.map((row) => stepsOf(row, definition, filters));
  const deepest = (reached: number, at: number, until: number): number => {
    let best = reached;
    for (let i = at + 1; i < rows.length && best < steps; i++) {
      const ts = rows[i]?.occurredAt ?? 0;
      if (ts > until || canBe[i]?.includes(reached) !== true) continue;
      const end = reached === 0 ? ts + (definition.options?.withinMs ?? NaN) : until;
      best = Math.max(best, deepest(reached + 1, i, end));
    }
    return best;
  };
  return deepest(0, -1, Infinity);
}

/** By the calendar of Intl, event by event. */
function calendarValue(definition: FeatureDefinition, rows: readonly FeatureEvent[]): NaiveValue {
  const { aggregate, unitMs, options } = definition;
  const newest = Math.max(...rows.map(({ occurredAt }) => occurredAt));
  if (rows.length === 0) return aggregate === 'frequency' ? found(0, null) : absent();
  const clocks = rows.map(({ occurredAt }) => clockAt(occurredAt, options?.zone ?? 'UTC'));
  if (aggregate === 'frequency') {
    return found(
      new Set(clocks.map(({ date, hour }) => (unitMs === DAY_MS ? date : `${date} ${String(hour)}`))).size,
      newest,
    );
  }
  if (options?.days === undefined && options?.hours === undefined) {
    const shares = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].flatMap((day) =>
      Array.from({ length: 24 }, (_, hour) => clocks.filter((c) => c.weekday === day && c.hour === hour).length),
    );
    return found(
      shares.map((count) => count / rows.length),
      newest,
    );
  }
  const hours: number[] = [];
  const [first, last] = options.hours ?? [0, 23];
  for (let hour = first; ; hour = (hour + 1) % 24) {
    hours.push(hour);
    if (hour === last) break;
  }
  const inside = clocks.filter(
    ({ weekday, hour }) =>
      (options.days === undefined || options.days.includes(weekday.toLowerCase() as 'mon')) && hours.includes(hour),
  );
  return found(inside.length / rows.length, newest);
}

const formats = new Map<string, Intl.DateTimeFormat>();

function clockAt(ms: number, timeZone: string): { date: string; weekday: string; hour: number } {
  const format =
    formats.get(timeZone) ??
    new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hourCycle: 'h23',
      weekday: 'short',
      dateStyle: undefined,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
    });
  formats.set(timeZone, format);
  const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  return {
    date: `${parts['year'] ?? ''}-${parts['month'] ?? ''}-${parts['day'] ?? ''}`,
    weekday: parts['weekday'] ?? '',
    hour: Number(parts['hour']),
  };
}

function found(value: NonNullable<NaiveValue['value']>, eventTs: number | null): NaiveValue {
  return { status: 'PRESENT', value, eventTs, approximate: false };
}

function absent(): NaiveValue {
  return { status: 'NOT_FOUND', value: null, eventTs: null, approximate: false };
}
