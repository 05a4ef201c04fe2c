/**
 * What identity resolution costs, on one thread: `npx tsx test/bench/identity.bench.ts` prints one JSON object.
 * Times are the median of several rounds after warming up.
 */
import { assignProfiles } from '../../src/identity/assign-profiles.js';
import { NO_PROFILE } from '../../src/identity/component.model.js';
import { evidenceOf, type Evidence } from '../../src/identity/evidence.model.js';
import { CachedIdentifierPolicy } from '../../src/identity/identifier-policy.js';
import { DEFAULT_IDENTITY_RULES as RULES } from '../../src/identity/identity-rules.model.js';
import { PhoneParser } from '../../src/identity/normalise-identifier.js';
import { MAX_REPLAY_ROWS, resolveComponent } from '../../src/identity/resolve-component.js';
import type { LoggedEvent, RawIdentifier } from '../../src/events/event.model.js';
import { anEvent, DAY_MS, evidenceRows, HOUR_MS, START_MS } from '../support/identity-builders.js';

const ROUNDS = 15;

/** Median duration of one call, ms. */
function medianMs(run: () => void): number {
  for (let i = 0; i < 3; i++) run();
  const durations = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  }).sort((a, b) => a - b);
  return durations[Math.floor(ROUNDS / 2)] ?? NaN;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

/** Cost of one of `count` items that `run` goes through, µs. */
function perItemUs(count: number, run: () => void): number {
  return rounded((medianMs(run) * 1000) / count);
}

/** Linear congruential generator (Numerical Recipes), for input that is the same in every run. Below `bound`. */
function generator(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

const EVENTS = 20_000;
const VISITORS = 4_000;

const rawEvents: RawIdentifier[][] = Array.from({ length: EVENTS }, (_, i) => {
  const visitor = String(i % VISITORS);
  return [
    { ns: 'anonymous_id', value: `5f0c1b2e-${visitor.padStart(4, '0')}-4d3a-9b7e-0c1d2e3f4a5b` },
    { ns: 'email', value: `Visitor.${visitor}@Example.com` },
    { ns: 'user_id', value: `u-${visitor}` },
  ];
});

/** A crowd behind one address and one phone: users, cookies and devices that meet each other and the limits. */
function contestedComponent(rows: number): Evidence[] {
  const random = generator(rows);
  const users = Math.ceil(rows / 20);
  const events: LoggedEvent[] = [];
  for (let i = 0; i < rows * 2; i++) {
    const names = [
      random(3) > 0 ? `user_id:u${String(random(users))}` : null,
      random(4) === 0 ? `email:e${String(random(users))}@example.com` : null,
      random(8) === 0 ? 'phone:+447700900123' : null,
      random(2) === 0 ? `device_id:d${String(random(users * 2))}` : null,
      `anonymous_id:c${String(random(users * 4))}`,
    ].filter((name) => name !== null);
    const atMs = START_MS + random(365) * DAY_MS + random(24) * HOUR_MS;
    events.push(anEvent({ atMs, names, messageId: `m${String(i)}` }));
  }
  return evidenceRows(events).slice(0, rows);
}

/** One user, year after year: no limit broken, but every row has a new cookie to be weighed against all before. */
function loyalVisitor(rows: number): Evidence[] {
  return Array.from({ length: rows }, (_, i) =>
    evidenceOf(anEvent({ atMs: START_MS + i * 2 * DAY_MS, names: ['user_id:u', `anonymous_id:c${String(i)}`] })),
  );
}

const policy = new CachedIdentifierPolicy(RULES);
const alone = rawEvents.map((raw) => raw.slice(0, 1));
const logged = rawEvents.map((raw, i) => {
  return { ...anEvent({ atMs: START_MS + i, names: [] }), identifiers: policy.resolve(raw).identifiers };
});
const thousand = contestedComponent(1_000);
const most = contestedComponent(MAX_REPLAY_ROWS);
const loyal = loyalVisitor(1_000);
const mostLoyal = loyalVisitor(MAX_REPLAY_ROWS);
const resolution = resolveComponent(thousand, RULES);
const identifiers = new Map(
  thousand.flatMap((row) => row.identifiers.map((identifier) => [identifier.id, identifier])),
);

const placed = new Map([...identifiers].map(([id, i]) => [id, { ...i, firstPos: 1, profileId: NO_PROFILE }]));

const resolveUs = perItemUs(EVENTS, () => {
  for (const raw of rawEvents) policy.resolve(raw);
});
console.log(
  JSON.stringify({
    policyResolveThreeKnownUs: resolveUs,
    policyResolveThreeKnownPerSecond: rounded(1e6 / resolveUs),
    policyResolveOneKnownUs: perItemUs(EVENTS, () => {
      for (const raw of alone) policy.resolve(raw);
    }),
    policyResolveThreeNewUs: perItemUs(VISITORS, () => {
      const cold = new CachedIdentifierPolicy(RULES);
      for (const raw of rawEvents.slice(0, VISITORS)) cold.resolve(raw);
    }),
    phoneParseNewUs: perItemUs(1_000, () => {
      const cold = new PhoneParser(null);
      for (let i = 0; i < 1_000; i++) cold.parse(`+44 7700 90${String(1_000 + i)}`);
    }),
    evidenceOfUs: perItemUs(EVENTS, () => {
      for (const event of logged) evidenceOf(event);
    }),
    replay1000ContestedRowsMs: rounded(medianMs(() => resolveComponent(thousand, RULES))),
    replay1000LoyalRowsMs: rounded(medianMs(() => resolveComponent(loyal, RULES))),
    replayAtBoundRows: most.length,
    replayAtBoundLoyalMs: rounded(medianMs(() => resolveComponent(mostLoyal, RULES))),
    replayAtBoundMs: rounded(medianMs(() => resolveComponent(most, RULES))),
    contestedIdentifiers: identifiers.size,
    contestedGroups: resolution.groups.length,
    contestedDemotedRows: resolution.demotedRows,
    assignContestedMs: rounded(
      medianMs(() =>
        assignProfiles({
          groups: resolution.groups.map((group) => group.flatMap((id) => placed.get(id) ?? [])),
          foundedBy: () => undefined,
          rules: RULES,
          pos: 1,
          newProfileId: () => 'p',
        }),
      ),
    ),
  }),
);
