import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DEFAULT_INTENT_OPTIONS, formatLabels, intentLabels, rfmRows } from './label-rows.js';
import type { Click } from './source-data.js';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2024, 0, 10);

function aClick(userId: string, sessionId: string, event: string, timeMs: number): Click {
  return {
    userId,
    sessionId,
    event,
    timeMs,
    platform: 'desktop',
    channel: 'email',
    cohort: '2024-01',
    lifecycle: 'new',
  };
}

const clicksArbitrary = fc
  .array(
    fc.record({
      user: fc.integer({ min: 0, max: 2 }),
      session: fc.integer({ min: 0, max: 3 }),
      event: fc.constantFrom('home', 'product_view', 'purchase'),
      hour: fc.integer({ min: 0, max: 120 }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((clicks) =>
    clicks
      .map(({ user, session, event, hour }) =>
        aClick(`u${String(user)}`, `u${String(user)}s${String(session)}`, event, START_MS + hour * HOUR_MS),
      )
      .sort((a, b) => a.timeMs - b.timeMs),
  );

describe('labels of purchase intent', () => {
  it('are 1 exactly where the same user buys after T and within the horizon', () => {
    fc.assert(
      fc.property(clicksArbitrary, (clicks) => {
        const cookies = new Map(clicks.map((click) => [click.sessionId, `cookie-of-${click.userId}`]));
        for (const row of intentLabels(clicks, cookies)) {
          const user = row.value.replace('cookie-of-', '');
          const ages = clicks
            .filter((click) => click.userId === user && click.event === 'purchase')
            .map((click) => click.timeMs - row.timeMs);
          expect(row.label).toBe(ages.some((age) => age > 0 && age <= 24 * HOUR_MS) ? 1 : 0);
        }
      }),
    );
  });

  it('are asked for while the visitor is there, and between visits', () => {
    const hours = [0, 1, 50, 51, 200];
    const clicks = hours.map((hour) =>
      aClick('u', `s${String(Math.floor(hour / 50))}`, 'home', START_MS + hour * HOUR_MS),
    );
    const cookies = new Map(clicks.map((click) => [click.sessionId, 'cookie']));
    const ages = (perSession: number, perPause: number): number[] =>
      intentLabels(clicks, cookies, { horizonMs: 0, perSession, perPause, seed: 'x' }).map(
        ({ timeMs }) => (timeMs - START_MS) / HOUR_MS,
      );
    expect(ages(50, 0).every((age) => hours.some((hour) => age >= hour && age <= hour + 0.25))).toBe(true);
    const paused = ages(0, 50);
    expect(paused.length).toBeGreaterThan(40);
    expect(paused.every((age) => (age >= 1 && age < 50) || age >= 51)).toBe(true);
  });

  it('ask nothing whose answer lies beyond the data', () => {
    fc.assert(
      fc.property(clicksArbitrary, (clicks) => {
        const cookies = new Map(clicks.map((click) => [click.sessionId, click.userId]));
        const endMs = Math.max(...clicks.map((click) => click.timeMs));
        for (const row of intentLabels(clicks, cookies)) expect(row.timeMs + 24 * HOUR_MS).toBeLessThanOrEqual(endMs);
      }),
    );
  });

  it('are the same when they are drawn again, and sorted by time', () => {
    const clicks = [0, 1, 2, 3, 60].map((hour) => aClick('u', `s${String(hour)}`, 'home', START_MS + hour * HOUR_MS));
    const cookies = new Map(clicks.map((click) => [click.sessionId, click.sessionId]));
    const rows = intentLabels(clicks, cookies);
    expect(rows.length).toBeGreaterThan(3);
    expect(rows).toEqual(intentLabels(clicks, cookies));
    expect(rows.map((row) => row.timeMs)).toEqual(rows.map((row) => row.timeMs).sort((a, b) => a - b));
    expect(rows).not.toEqual(intentLabels(clicks, cookies, { ...DEFAULT_INTENT_OPTIONS, seed: 'other' }));
  });
});

describe('a labels file', () => {
  it('has one row per customer as of the end, moved by the shift of the load', () => {
    const customer = { country: 'France', firstOrderAt: 0, lastOrderAt: 0, orders: 1 };
    const rows = rfmRows([{ crmId: '12346', ...customer }], START_MS);
    expect(formatLabels(rows, HOUR_MS)).toBe('ns,value,time,label\ncrm_id,12346,2024-01-10T01:00:00.000Z,\n');
  });
});
