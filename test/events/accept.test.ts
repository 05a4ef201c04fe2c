import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AcceptService } from '../../src/events/accept.service.js';
import type { DeadLetter } from '../../src/events/dead-letter.model.js';
import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import type { EventLog } from '../../src/events/event-log.model.js';
import { PostgresEventLog } from '../../src/events/event-log.postgres.js';
import type { IdentifierPolicy, IncomingEvent } from '../../src/events/event.model.js';
import { observeAccepts } from '../../src/events/observe-accepts.js';
import { WeftError } from '../../src/platform/errors.js';
import { CachedIdentifierPolicy } from '../../src/identity/identifier-policy.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { createLogger } from '../../src/platform/logger.js';
import { Metrics } from '../../src/platform/metrics.js';
import { createTestDatabase } from '../support/database.js';
import type { TestDatabase } from '../support/database.js';
import { acceptAllPolicy } from '../support/event-builders.js';
import { readLog } from '../support/tracking-server.js';

const NOW = Date.UTC(2026, 0, 31, 12);
const SHOP = { id: 1, key: 'shop' };
const clock = { now: () => NOW };

let test: TestDatabase;
let log: PostgresEventLog;

beforeAll(async () => {
  test = await createTestDatabase();
  log = new PostgresEventLog(test.database, clock, 16);
});

afterAll(() => test.drop());

function anEvent(messageId: string, more: Partial<IncomingEvent> = {}): IncomingEvent {
  return { type: 'track', name: 'x', messageId, identifiers: [{ ns: 'user_id', value: 'ann' }], ...more };
}

/** A service with its metrics and log lines at hand. */
function newService(more: { deadLetters?: DeadLetterStore; log?: EventLog; policy?: IdentifierPolicy } = {}) {
  const metrics = new Metrics({ defaults: false });
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const accept = new AcceptService({
    log,
    policy: acceptAllPolicy,
    deadLetters: new DeadLetterStore(),
    db: test.database,
    clock,
    observer: observeAccepts(metrics, createLogger({ level: 'info', destination })),
    ...more,
  });
  return { accept, metrics, lines };
}

async function countLetters(): Promise<number> {
  const [row] = await test.database.query<{ n: number }>('SELECT count(*) AS n FROM dead_letters');
  return row?.n ?? 0;
}

describe('AcceptService', () => {
  it('answers each item at its index, takes the good ones and counts every outcome', async () => {
    const { accept, metrics } = newService();
    const results = await accept.accept(
      SHOP,
      [anEvent('a1'), anEvent('a2', { name: '' }), anEvent('a1'), anEvent('a3')],
      { historical: false },
    );
    expect(results.map(({ status }) => status)).toEqual(['accepted', 'refused', 'duplicate', 'accepted']);
    expect(results[1]).toMatchObject({ code: 'NAME_MISSING', hint: 'put the name into "event"' });
    expect(await countLetters()).toBe(1);
    const text = await metrics.text();
    expect(text).toContain('weft_events_total{source="shop",outcome="accepted"} 2');
    expect(text).toContain('weft_events_total{source="shop",outcome="duplicate"} 1');
    expect(text).toContain('weft_events_total{source="shop",outcome="refused"} 1');
    expect(text).toContain('weft_events_refused_total{code="NAME_MISSING"} 1');
  });

  it('says which identifiers an event was taken without, and counts them without the values', async () => {
    const { accept, metrics } = newService({ policy: new CachedIdentifierPolicy(DEFAULT_IDENTITY_RULES) });
    const whole = anEvent('drop1');
    const lacking = anEvent('drop2', {
      identifiers: [
        { ns: 'user_id', value: 'ann' },
        { ns: 'email', value: 'ann at home' },
        { ns: 'crm_id', value: 'N/A' },
        { ns: 'shoe size', value: '38' },
      ],
    });
    const dropped = [
      { ns: 'email', reason: 'malformed' },
      { ns: 'crm_id', reason: 'blocked' },
      { ns: 'shoe size', reason: 'unknown_namespace' },
    ];
    expect(await accept.accept(SHOP, [whole, lacking, lacking], { historical: false })).toEqual([
      { status: 'accepted' },
      { status: 'accepted', dropped },
      { status: 'duplicate', dropped },
    ]);
    const text = await metrics.text();
    expect(text).toContain('weft_identifiers_dropped_total{namespace="email",reason="malformed"} 2');
    expect(text).toContain('weft_identifiers_dropped_total{namespace="",reason="unknown_namespace"} 2');
    expect(text).not.toContain('shoe');
  });

  it('checks without writing, as it would accept', async () => {
    const { accept, metrics } = newService({ policy: new CachedIdentifierPolicy(DEFAULT_IDENTITY_RULES) });
    const head = await log.head();
    const letters = await countLetters();
    const items = [
      anEvent('c1', { identifiers: [{ ns: 'email', value: 'x' }] }),
      anEvent('c2'),
      anEvent('c3', {
        identifiers: [
          { ns: 'user_id', value: 'bob' },
          { ns: 'email', value: 'x' },
        ],
      }),
    ];
    const found = accept.check(SHOP, items, { historical: true });
    expect(await log.head()).toEqual(head);
    expect(await countLetters()).toBe(letters);
    expect(await metrics.text()).not.toContain('outcome="refused"');
    expect(await accept.accept(SHOP, items, { historical: true })).toEqual(found);
  });

  it('marks history as such and believes the time it was received when told', async () => {
    const { accept } = newService();
    const { pos } = await log.head();
    const receivedAtMs = NOW - 86_400_000;
    await accept.accept(SHOP, [anEvent('h1')], { historical: true, receivedAtMs });
    expect(await readLog(log, pos)).toMatchObject([{ historical: true, occurredAt: receivedAtMs, acceptedAt: NOW }]);
  });

  it('gives events without a message id different ones', async () => {
    const { accept } = newService();
    const { messageId: _, ...nameless } = anEvent('');
    const results = await accept.accept(SHOP, [nameless, nameless], { historical: false });
    expect(results.map(({ status }) => status)).toEqual(['accepted', 'accepted']);
  });

  it('keeps no dead letters for an adapter that keeps its own', async () => {
    const { accept } = newService();
    const before = await countLetters();
    await accept.accept(SHOP, [anEvent('q', { name: '' })], { historical: false, deadLetters: false });
    expect(await countLetters()).toBe(before);
  });

  it('keeps what was handed in even where it is no JSON', async () => {
    const { accept } = newService();
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    const refusal = { code: 'MALFORMED', reason: 'r', hint: 'h' } as const;
    const before = await countLetters();
    const items = [undefined, 1n, circular].map((raw) => ({ refusal, raw }));
    expect(await accept.accept(SHOP, items, { historical: false })).toHaveLength(3);
    expect(await countLetters()).toBe(before + 3);
  });

  it('stands by what is durable when dead letters cannot be written, and says so without personal data', async () => {
    class Broken extends DeadLetterStore {
      override insert(_tx: unknown, letters: readonly DeadLetter[]): Promise<void> {
        return Promise.reject(new WeftError('UNAVAILABLE', `cannot write ${String(letters.length)} letters`));
      }
    }
    const { accept, metrics, lines } = newService({ deadLetters: new Broken() });
    const bad = anEvent('d2', { name: '', identifiers: [{ ns: 'email', value: 'ann@acme.org' }] });
    const results = await accept.accept(SHOP, [anEvent('d1'), bad], { historical: false });
    expect(results.map(({ status }) => status)).toEqual(['accepted', 'refused']);
    expect(await metrics.text()).toContain('weft_dead_letters_lost_total 1');
    expect(lines.join('')).toContain('cannot write 1 letters');
    expect(lines.join('')).not.toContain('ann@acme.org');
  });

  it('promises nothing when the log refuses', async () => {
    const refusing: EventLog = Object.assign(Object.create(log) as EventLog, {
      append: () => Promise.reject(new WeftError('OVERLOADED', 'full', { retryAfterMs: 1 })),
    });
    const { accept, metrics } = newService({ log: refusing });
    await expect(accept.accept(SHOP, [anEvent('e1')], { historical: false })).rejects.toMatchObject({
      code: 'OVERLOADED',
    });
    expect(await metrics.text()).not.toContain('outcome="accepted"');
  });
});
