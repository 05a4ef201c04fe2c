import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EVENT_TYPES } from '../events/event.model.js';
import type { IncomingEvent } from '../events/event.model.js';
import { mapBatch, mapSingleCall, typeOfPath } from './map-tracking-call.js';

const T = '2026-01-31T12:00:00.000Z';
const T_MS = Date.parse(T);
const S = '2026-01-31T12:00:05.000Z';
const S_MS = Date.parse(S);

/** Only what is set. */
function plain(event: IncomingEvent): unknown {
  return JSON.parse(JSON.stringify(event));
}

describe('mapSingleCall', () => {
  it('maps a track call', () => {
    const event = mapSingleCall(
      {
        event: 'Order Completed',
        userId: 'u1',
        anonymousId: 'a1',
        messageId: 'm1',
        timestamp: T,
        sentAt: S,
        properties: { total: 3 },
        context: { ip: '203.0.113.9', userAgent: 'x', device: { id: 'd1' } },
      },
      'track',
    );
    expect(plain(event)).toEqual({
      type: 'track',
      name: 'Order Completed',
      messageId: 'm1',
      identifiers: [
        { ns: 'user_id', value: 'u1' },
        { ns: 'anonymous_id', value: 'a1' },
        { ns: 'device_id', value: 'd1' },
      ],
      timestampMs: T_MS,
      sentAtMs: S_MS,
      properties: { total: 3 },
      context: { userAgent: 'x', device: { id: 'd1' } },
    });
  });

  it('takes e-mail and phone from the traits of identify and of context, but not from the traits of a group', () => {
    const contacts = (body: Record<string, unknown>, type: 'identify' | 'group' | 'track'): string[] =>
      mapSingleCall(body, type).identifiers.map(({ ns, value }) => `${ns}=${value}`);
    const traits = { email: 'ann@example.com', phone: '+447700900123' };
    expect(contacts({ userId: 1, traits }, 'identify')).toEqual([
      'user_id=1',
      'email=ann@example.com',
      'phone=+447700900123',
    ]);
    expect(contacts({ context: { traits } }, 'track')).toEqual(['email=ann@example.com', 'phone=+447700900123']);
    expect(contacts({ userId: 1, groupId: 'g', traits }, 'group')).toEqual(['user_id=1']);
  });

  it("keeps a group's traits apart from the person's", () => {
    const event = mapSingleCall({ userId: 'u', groupId: 'g1', traits: { name: 'Acme', seats: 5 } }, 'group');
    expect(plain(event)).toMatchObject({ groupId: 'g1', properties: { name: 'Acme', seats: 5 } });
    expect(event.traits).toBeUndefined();
  });

  it('links the new and the previous id of an alias', () => {
    expect(mapSingleCall({ userId: 'u', previousId: 'a' }, 'alias').identifiers).toEqual([
      { ns: 'user_id', value: 'u' },
      { ns: 'anonymous_id', value: 'a' },
    ]);
  });

  it('takes numbers as ids by their digits, and passes on those whose digits are lost, to be refused', () => {
    const { identifiers, messageId } = mapSingleCall(
      { event: 'x', userId: 9_007_199_254_740_991, messageId: 7 },
      'track',
    );
    expect([identifiers, messageId]).toEqual([[{ ns: 'user_id', value: '9007199254740991' }], '7']);
    const lost = mapSingleCall({ event: 'x', userId: 2 ** 53, messageId: 2 ** 60 }, 'track');
    expect([lost.identifiers, lost.messageId]).toEqual([[{ ns: 'user_id', value: 2 ** 53 }], 2 ** 60]);
  });

  it('reads external ids by their type', () => {
    const externalIds = [
      { id: 'c9', type: 'crm_id', collection: 'users' },
      { id: 7, type: 'twitter' },
      { id: 'x' },
      null,
    ];
    expect(mapSingleCall({ context: { externalIds } }, 'track').identifiers).toEqual([
      { ns: 'crm_id', value: 'c9' },
      { ns: 'twitter', value: '7' },
    ]);
  });

  it('believes a timestamp that stands beside the original one, and corrects one that stands alone', () => {
    const times = (body: Record<string, unknown>): unknown => {
      const { timestampMs, sentAtMs } = mapSingleCall({ userId: 'u', event: 'x', ...body }, 'track');
      return { timestampMs, sentAtMs };
    };
    expect(times({ timestamp: T, originalTimestamp: S, sentAt: S })).toEqual({
      timestampMs: T_MS,
      sentAtMs: undefined,
    });
    expect(times({ originalTimestamp: T, sentAt: S })).toEqual({ timestampMs: T_MS, sentAtMs: S_MS });
    expect(times({ timestamp: T })).toEqual({ timestampMs: T_MS, sentAtMs: undefined });
    expect(times({ sentAt: S })).toEqual({ timestampMs: undefined, sentAtMs: undefined });
    expect(times({ timestamp: 'yesterday', sentAt: S })).toEqual({ timestampMs: Number.NaN, sentAtMs: S_MS });
  });
});

describe('mapBatch', () => {
  it('maps each item by its type, with the time the batch was sent where an item has none', () => {
    const items = mapBatch({
      sentAt: S,
      batch: [
        { type: 'track', event: 'x', userId: 'u', timestamp: T },
        { type: 'page', name: 'Home', anonymousId: 'a', timestamp: T, sentAt: T },
      ],
    });
    expect(items).toMatchObject([
      { type: 'track', timestampMs: T_MS, sentAtMs: S_MS },
      { type: 'page', name: 'Home', timestampMs: T_MS, sentAtMs: T_MS },
    ]);
  });

  it('keeps the places of items that are no events', () => {
    const items = mapBatch({ batch: [7, { type: 'nope' }, { type: 't', event: 'x', userId: 'u' }] });
    expect(items).toMatchObject([
      { refusal: { code: 'MALFORMED' }, raw: 7 },
      { refusal: { code: 'UNKNOWN_TYPE' }, raw: { type: 'nope' } },
      { type: 'track' },
    ]);
  });

  it('wants a list', () => {
    expect(mapBatch({ batch: {} })).toBeNull();
    expect(mapBatch({})).toBeNull();
  });

  it('never throws, whatever the JSON', () => {
    const field = fc.oneof(
      fc.jsonValue(),
      fc.record({ traits: fc.jsonValue(), device: fc.jsonValue(), externalIds: fc.jsonValue() }),
    );
    const call = fc.dictionary(
      fc.constantFrom(
        'userId',
        'anonymousId',
        'previousId',
        'traits',
        'context',
        'timestamp',
        'originalTimestamp',
        'event',
      ),
      field,
    );
    fc.assert(
      fc.property(call, fc.constantFrom(...EVENT_TYPES), (body, type) => {
        const event = mapSingleCall(body, type);
        const values = event.identifiers.map(({ value }): unknown => value);
        expect(values.every((value) => typeof value === 'string' || !Number.isSafeInteger(value))).toBe(true);
        expect(event.identifiers.every(({ ns }) => ns !== '')).toBe(true);
        expect(mapBatch({ batch: [{ ...body, type }] })).toEqual([event]);
      }),
    );
  });
});

describe('typeOfPath', () => {
  it('knows full and short names', () => {
    expect(
      ['identify', 'i', 'track', 't', 'page', 'p', 'screen', 's', 'group', 'g', 'alias', 'a'].map(typeOfPath),
    ).toEqual(EVENT_TYPES.flatMap((type) => [type, type]));
    expect(typeOfPath('batch')).toBeNull();
  });
});
