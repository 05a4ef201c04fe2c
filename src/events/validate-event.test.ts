import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashId } from '../platform/ids.js';
import { EVENT_LIMITS, REFUSAL_CODES } from './accept.model.js';
import type { Refusal } from './accept.model.js';
import { decodeEvent } from './event-codec.js';
import type { IdentifierPolicy, IncomingEvent, JsonObject, LoggedEvent } from './event.model.js';
import { validateEvent } from './validate-event.js';
import type { Validated } from './validate-event.js';

const NOW = Date.UTC(2026, 0, 31, 12);

/** Blocks the value `blocked`, keeps the order given. */
const plainPolicy: IdentifierPolicy = {
  blockedBy: () => null,
  rulesVersion: 7,
  resolve: (raw) => ({
    identifiers: raw.filter((r) => r.value !== 'blocked').map((r) => ({ ...r, id: hashId(r.ns, r.value) })),
    dropped: raw.filter((r) => r.value === 'blocked').map((r) => ({ ns: r.ns, reason: 'blocked' as const })),
  }),
};

function validate(event: Partial<IncomingEvent>): Validated {
  const whole = { type: 'track', name: 'x', identifiers: [{ ns: 'user_id', value: 'ann' }], ...event } as IncomingEvent;
  return validateEvent(whole, {
    origin: {},
    earliestMs: 0,
    sourceId: 3,
    receivedAtMs: NOW,
    historical: false,
    policy: plainPolicy,
    newMessageId: () => 'generated',
    plan: null,
    enrichment: null,
  });
}

function taken(event: Partial<IncomingEvent>): LoggedEvent {
  const result = validate(event);
  if (!result.ok) throw new Error(`refused: ${result.refusal.reason}`);
  const { occurredAt, historical, payload } = result.event;
  return decodeEvent(payload, { pos: 1, part: 0, sourceId: 3, occurredAt, acceptedAt: NOW, historical });
}

function refused(event: Partial<IncomingEvent>): Refusal {
  const result = validate(event);
  if (result.ok) throw new Error('was taken');
  return result.refusal;
}

function nested(levels: number): JsonObject {
  return levels === 1 ? {} : { a: nested(levels - 1) };
}

describe('validateEvent', () => {
  it('takes out traits under reserved names, counts them, and keeps those that Weft sets itself', () => {
    const event = { traits: { plan: 'pro', '$consent.ads': true, $x: 1 }, reserved: { '$consent.mail': false } };
    expect(taken(event).traits).toEqual({ plan: 'pro', '$consent.mail': false });
    expect(validate(event)).toMatchObject({ ok: true, strippedTraits: 2 });
    expect(validate({ traits: { a$: 1 } })).toMatchObject({ ok: true, strippedTraits: 0 });
  });

  it('takes the traits of a group for its properties, whatever door they come in by', () => {
    const event = taken({
      type: 'group',
      groupId: 'acme',
      traits: { plan: 'pro', seats: 3 },
      properties: { seats: 4 },
    });
    expect([event.groupId, event.properties, event.traits]).toEqual(['acme', { plan: 'pro', seats: 4 }, {}]);
  });

  it('keeps everything a good event says', () => {
    const event = taken({
      messageId: 'm1',
      identifiers: [
        { ns: 'user_id', value: 'ann' },
        { ns: 'email', value: 'ann@example.com' },
      ],
      properties: { total: 12.5, lines: [{ sku: 'a' }], note: null },
      traits: { plan: 'pro' },
      context: { userAgent: 'x' },
      groupId: 'acme',
    });
    expect(event).toEqual({
      pos: 1,
      part: 0,
      sourceId: 3,
      messageId: 'm1',
      type: 'track',
      name: 'x',
      occurredAt: NOW,
      acceptedAt: NOW,
      historical: false,
      identifiers: [
        { ns: 'user_id', value: 'ann', id: hashId('user_id', 'ann') },
        { ns: 'email', value: 'ann@example.com', id: hashId('email', 'ann@example.com') },
      ],
      properties: { total: 12.5, lines: [{ sku: 'a' }], note: null },
      traits: { plan: 'pro' },
      context: { userAgent: 'x' },
      groupId: 'acme',
    });
  });

  it('hangs the event on the first identifier and dedupes on source and message id', () => {
    const result = validate({ messageId: 'm1' });
    expect(result).toMatchObject({
      ok: true,
      event: {
        anchorId: hashId('user_id', 'ann'),
        dedupeId: hashId('dedupe', '3', 'm1'),
        rulesVersion: 7,
        sourceId: 3,
      },
    });
  });

  it('generates a missing or empty message id', () => {
    expect(taken({}).messageId).toBe('generated');
    expect(taken({ messageId: '' }).messageId).toBe('generated');
  });

  it('names events other than track by their type, and keeps a page name as a property', () => {
    const page = taken({ type: 'page', name: 'Home', properties: { path: '/' } });
    expect(page.name).toBe('page');
    expect(page.properties).toEqual({ path: '/', name: 'Home' });
    expect(taken({ type: 'page', name: 'Home', properties: { name: 'Start' } }).properties).toEqual({ name: 'Start' });
    expect(taken({ type: 'identify', name: 'ignored' }).name).toBe('identify');
  });

  describe('time', () => {
    it('believes a timestamp that comes alone, and says now without one', () => {
      expect(taken({ timestampMs: NOW - 5000 }).occurredAt).toBe(NOW - 5000);
      expect(taken({}).occurredAt).toBe(NOW);
      expect(taken({ sentAtMs: NOW - 5000 }).occurredAt).toBe(NOW);
    });

    it('cancels a wrong client clock by the time it was sent', () => {
      const clientAheadMs = 3_600_000;
      const sentAtMs = NOW + clientAheadMs;
      expect(taken({ timestampMs: sentAtMs - 250, sentAtMs }).occurredAt).toBe(NOW - 250);
    });

    it('takes what a device says that counts from 1970, once corrected', () => {
      expect(taken({ timestampMs: 60_000, sentAtMs: 90_000 }).occurredAt).toBe(NOW - 30_000);
      const tooLongAgoMs = NOW - EVENT_LIMITS.minTimeMs + 1;
      expect(refused({ timestampMs: 0, sentAtMs: tooLongAgoMs })).toMatchObject({
        code: 'TIME_TOO_OLD',
        reason: 'timestamp, corrected by sentAt, lies before the year 2000',
      });
    });

    it('never lies in the future', () => {
      expect(taken({ timestampMs: NOW + 1 }).occurredAt).toBe(NOW);
      expect(taken({ timestampMs: NOW, sentAtMs: NOW - 9000 }).occurredAt).toBe(NOW);
    });

    it('is an integer', () => {
      expect(taken({ timestampMs: NOW - 0.5 }).occurredAt).toBe(NOW - 1);
    });

    it('is refused when it cannot be read or is too old, saying which', () => {
      expect(refused({ timestampMs: Number.NaN })).toMatchObject({
        code: 'TIME_UNPARSABLE',
        reason: 'timestamp is not a time',
      });
      expect(refused({ sentAtMs: Number.NaN })).toMatchObject({
        code: 'TIME_UNPARSABLE',
        reason: 'sentAt is not a time',
      });
      expect(refused({ timestampMs: NOW / 1000 }).code).toBe('TIME_TOO_OLD');
      expect(refused({ timestampMs: EVENT_LIMITS.minTimeMs - 1 }).code).toBe('TIME_TOO_OLD');
      expect(taken({ timestampMs: EVENT_LIMITS.minTimeMs }).occurredAt).toBe(EVENT_LIMITS.minTimeMs);
    });
  });

  describe('bounds', () => {
    it('takes an event of exactly 32 KB and refuses one byte more', () => {
      const size = (text: string): number => {
        const result = validate({ properties: { text } });
        return result.ok ? result.event.payload.length - 1 : -1;
      };
      const room = EVENT_LIMITS.maxBytes - size('');
      expect(size('x'.repeat(room))).toBe(EVENT_LIMITS.maxBytes);
      expect(refused({ properties: { text: 'x'.repeat(room + 1) } }).code).toBe('TOO_LARGE');
    });

    it('takes 16 levels and refuses 17, counting lists', () => {
      expect(taken({ properties: nested(16) }).properties).toEqual(nested(16));
      expect(refused({ properties: nested(17) }).code).toBe('TOO_DEEP');
      expect(refused({ traits: { a: [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]] } }).code).toBe('TOO_DEEP');
    });

    it('refuses a list of a million values without walking it to the end', () => {
      expect(refused({ properties: { list: new Array<number>(1_000_000).fill(1) } }).code).toBe('TOO_LARGE');
    });

    it('refuses long names and message ids', () => {
      expect(refused({ name: 'x'.repeat(201) }).code).toBe('NAME_TOO_LONG');
      expect(refused({ messageId: 'x'.repeat(201) }).code).toBe('MESSAGE_ID_TOO_LONG');
      expect(taken({ name: 'x'.repeat(200), messageId: 'y'.repeat(200) }).name).toHaveLength(200);
    });
  });

  it('refuses an unknown type, a nameless track and a group without id', () => {
    expect(refused({ type: 'purchase' as 'track' }).code).toBe('UNKNOWN_TYPE');
    expect(refused({ name: '' }).code).toBe('NAME_MISSING');
    expect(refused({ type: 'group' }).code).toBe('GROUP_ID_MISSING');
  });

  it('refuses an event that belongs to nobody and lists why, without the values', () => {
    expect(refused({ identifiers: [] })).toMatchObject({ code: 'NO_IDENTIFIER', reason: 'no identifier is given' });
    const { reason } = refused({ identifiers: [{ ns: 'email', value: 'blocked' }] });
    expect(reason).toBe('no identifier is usable: email is blocked');
  });

  it('drops keys that reach a prototype, at every level', () => {
    const properties = JSON.parse(
      '{"a":{"__proto__":{"x":1},"b":[{"constructor":2,"c":3}]},"prototype":4}',
    ) as JsonObject;
    expect(taken({ properties }).properties).toEqual({ a: { b: [{ c: 3 }] } });
  });

  it('replaces U+0000 and lone surrogates everywhere, and nothing else', () => {
    const event = taken({
      name: 'a\0b',
      messageId: 'm\ud800',
      identifiers: [{ ns: 'user_id', value: 'u\0' }],
      properties: { 'k\0': ['\udc00', 'C:\\users', '🧵', '\u001b'] },
    });
    expect(event.name).toBe('a\ufffdb');
    expect(event.messageId).toBe('m\ufffd');
    expect(event.identifiers[0]?.value).toBe('u\ufffd');
    expect(event.properties).toEqual({ 'k\ufffd': ['\ufffd', 'C:\\users', '🧵', '\u001b'] });
  });

  it('refuses what is not JSON', () => {
    expect(refused({ properties: [] as unknown as JsonObject }).code).toBe('NOT_JSON');
    expect(refused({ traits: { at: new Date(0) } as unknown as JsonObject }).code).toBe('NOT_JSON');
    expect(refused({ context: { n: 1n } as unknown as JsonObject }).code).toBe('NOT_JSON');
  });

  it('never throws: any input is refused with a known code or taken in full', () => {
    const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true });
    const mostly = <T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
      fc.oneof({ weight: 15, arbitrary: good }, { weight: 1, arbitrary: anything });
    const key = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor', 'prototype'));
    const object = fc
      .array(fc.tuple(key, fc.jsonValue({ stringUnit: 'binary' })))
      .map((entries) => Object.fromEntries(entries));
    const text = fc.string({ unit: 'binary', minLength: 1 });
    const timeMs = fc.oneof(fc.double(), fc.double({ min: NOW - 1e12, max: NOW + 1e12 }), fc.constant(NOW));
    const raw = fc.record({ ns: fc.constantFrom('user_id', 'email'), value: fc.string({ unit: 'binary' }) });
    const event = fc.record(
      {
        type: mostly(fc.constantFrom('track', 'page', 'identify', 'group', 'alias')),
        name: mostly(text),
        messageId: mostly(text),
        identifiers: mostly(fc.array(raw, { minLength: 1 })),
        timestampMs: mostly(timeMs),
        sentAtMs: mostly(timeMs),
        properties: mostly(object),
        traits: mostly(object),
        context: mostly(object),
        groupId: mostly(text),
      },
      { requiredKeys: ['type', 'identifiers'] },
    );
    let takenCount = 0;
    fc.assert(
      fc.property(event, (input) => {
        const result = validate(input as Partial<IncomingEvent>);
        if (!result.ok) {
          expect(REFUSAL_CODES).toContain(result.refusal.code);
          return;
        }
        takenCount += 1;
        const { occurredAt, payload } = result.event;
        const back = decodeEvent(payload, {
          pos: 1,
          part: 0,
          sourceId: 3,
          occurredAt,
          acceptedAt: NOW,
          historical: false,
        });
        expect(back.identifiers.length).toBeGreaterThan(0);
        expect(Number.isSafeInteger(occurredAt) && occurredAt <= NOW && occurredAt >= EVENT_LIMITS.minTimeMs).toBe(
          true,
        );
        expect(payload.length - 1).toBeLessThanOrEqual(EVENT_LIMITS.maxBytes);
        const stored = JSON.stringify(back);
        expect(stored).not.toMatch(/\\u0000|\\ud[89a-f]|"(__proto__|constructor|prototype)":/);
      }),
      { numRuns: 2000 },
    );
    expect(takenCount).toBeGreaterThan(100);
  });
});
