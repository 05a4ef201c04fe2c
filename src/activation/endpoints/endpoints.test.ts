import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressGuard } from './address-guard.js';
import { deliverLanes } from './deliver-lanes.js';
import { changeDelayMs, outcomeOfStatus, probeDelayMs, type AttemptOutcome } from './delivery-attempt.model.js';
import { parseTemplate, renderPayload, type PayloadValues } from './payload-template.model.js';
import { PAYLOAD_TEMPLATES } from './payload-templates.js';
import { settleRound } from './settle-round.js';
import { signDelivery, signingSecretText } from './sign-delivery.js';

describe('a signature', () => {
  // Of the specification's own example secret; computed here by hand, as a receiver does.
  const secret = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');

  it('is that of Standard Webhooks, one for each secret in force', () => {
    const other = Buffer.alloc(32, 7);
    const body = '{"test": 2432232314}';
    const signed = signDelivery('msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330_999, body, [secret, other]);
    expect(signed['webhook-timestamp']).toBe('1614265330');
    const [first, second] = signed['webhook-signature'].split(' ');
    // The value that the specification's libraries have in their tests.
    expect(first).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
    const mac = createHmac('sha256', other).update(`msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.${body}`);
    expect(second).toBe(`v1,${mac.digest('base64')}`);
    expect(signingSecretText(secret)).toBe('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
  });
});

describe('addresses', () => {
  const guard = new AddressGuard(['10.1.0.0/16', '::1']);

  it.each([
    ...[
      '127.0.0.1',
      '10.0.0.1',
      '169.254.169.254',
      '192.168.1.1',
      '172.31.255.255',
      '100.64.0.1',
      '0.0.0.0',
      '224.0.0.1',
    ],
    ...[
      '::',
      'fe80::1',
      'fe80::1%eth0',
      'fc00::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
    ],
    ...['2001:db8::1', 'ff02::1', 'x', ''],
  ])('%s is refused', (address) => {
    expect(guard.admits(address, false)).toBe(false);
  });

  it('that are public, or allowed, are not; unencrypted ones are for those that are allowed', () => {
    for (const address of ['93.184.216.34', '2606:2800:220:1::1', '172.32.0.1']) {
      expect(guard.admits(address, false)).toBe(true);
      expect(guard.admits(address, true)).toBe(false);
    }
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '::1']) expect(guard.admits(address, true)).toBe(true);
  });

  it.each([
    ['https://127.0.0.1/', 'may not go to'],
    ['https://[::ffff:127.0.0.1]/', 'may not go to'],
    ['https://2130706433/', 'may not go to'],
    ['https://localhost/x', 'may not go to'],
    ['http://93.184.216.34/', 'may not go to'],
    ['ftp://example.com/', 'cannot be used'],
    ['/hooks', 'cannot be used'],
    ['https://me:secret@example.com/', 'a user or a password'],
    [`https://example.com/${'x'.repeat(2_000)}`, 'cannot be used'],
  ])('in a URL that is not for requests are refused (%#)', (url, message) => {
    expect(() => guard.checkUrl(url, 2_000)).toThrow(message);
  });

  it('are looked at when a name was resolved', async () => {
    const found = await new Promise((resolve) => {
      guard.lookup(false)('localhost', { all: true }, (error) => {
        resolve(error?.name);
      });
    });
    expect(found).toBe('AddressRefused');
  });
});

describe('what becomes of an attempt', () => {
  it('is told by the status of the answer', () => {
    const kind = (status: number): string => outcomeOfStatus(status, undefined, 0).kind;
    expect([200, 204, 299].map(kind)).toEqual(['delivered', 'delivered', 'delivered']);
    expect([400, 409, 413, 422].map(kind)).toEqual(['refused', 'refused', 'refused', 'refused']);
    expect([301, 307, 401, 403, 404, 408, 429, 500, 503].map(kind)).toEqual(Array(9).fill('down'));
    expect(kind(410)).toBe('gone');
  });

  it.each([
    ['120', 120_000],
    ['Thu, 01 Jan 1970 00:00:30 GMT', 30_000],
    ['999999', 3_600_000],
    ['soon', null],
  ])('with Retry-After: %s waits as it asks, an hour at most', (header, ms) => {
    expect(outcomeOfStatus(503, header, 0)).toMatchObject({ retryAfterMs: ms });
  });

  it('is tried again later and later, within a bound', () => {
    const delays = Array.from({ length: 30 }, (_, i) => changeDelayMs(i + 1, 0.5));
    expect(delays.slice(0, 4)).toEqual([10_000, 30_000, 90_000, 270_000]);
    expect(Math.max(...delays)).toBe(6 * 3_600_000);
    expect([changeDelayMs(1, 0), changeDelayMs(1, 1)]).toEqual([8_000, 12_000]);
    expect(probeDelayMs(4, 1)).toBe(0);
    expect([5, 6, 50].map((n) => probeDelayMs(n, 0.5))).toEqual([5_000, 10_000, 300_000]);
  });
});

const VALUES: PayloadValues = {
  change: {
    ...{ id: 'crm-7', type: 'segment.entered', kind: 'enter', at: '2026-01-31T12:00:00.000Z' },
    ...{ cursor: 'abc', cause: 'event', version: 3, event: null, models: [] },
  },
  segment: { key: 'keen', name: 'Keen' },
  profile: { id: 'p' },
  identifiers: { email: 'a@example.com' },
  traits: { plan: 'pro', 'a.b': 1, email: 'other' },
  features: { orders: 2 },
};

describe('a template', () => {
  it('puts values in their places, and leaves out what is not known', () => {
    const template = parseTemplate({
      whole: '{{features.orders}}',
      text: '{{segment.key}} of {{identifiers.email}}',
      dotted: '{{traits.a.b}}',
      none: '{{traits.city}}',
      partly: 'in {{traits.city}}',
      list: ['{{traits.city}}', '{{change.kind}}', 1],
      '...': ['traits', 'features'],
      email: '{{identifiers.email}}',
      constructor: '{{traits.constructor}}',
    });
    expect(renderPayload(template, VALUES)).toEqual({
      ...{ whole: 2, text: 'keen of a@example.com', dotted: 1, list: ['enter', 1] },
      ...{ email: 'a@example.com', plan: 'pro', 'a.b': 1, orders: 2 },
    });
  });

  it('that requires what is not known makes nothing', () => {
    const template = parseTemplate({ body: { to: '{{identifiers.email}}' }, requires: ['identifiers.email'] });
    expect(renderPayload(template, VALUES)).toEqual({ to: 'a@example.com' });
    expect(renderPayload(template, { ...VALUES, identifiers: {} })).toBeNull();
  });

  it.each([
    [[], 'no JSON object'],
    [{ a: '{{traits}} {{people.x}}' }, 'there is no place people.x'],
    [{ a: '{{change.nothing}}' }, 'there is no place change.nothing'],
    [{ '...': [3] }, 'there is no place 3'],
    [{ body: { a: 1 }, requires: ['x'] }, 'there is no place x'],
    [{ a: 'x'.repeat(20_000) }, 'more than 16384 bytes'],
    [JSON.parse(`${'{"a":'.repeat(12)}1${'}'.repeat(12)}`) as unknown, 'more than 10 levels'],
  ])('that is wrong is refused (%#)', (given, message) => {
    expect(() => parseTemplate(given)).toThrow(message);
  });

  it('that comes with Weft is one that may be given', () => {
    for (const template of Object.values(PAYLOAD_TEMPLATES)) expect(parseTemplate(template)).toEqual(template);
  });

  it('for HubSpot, Marketo and Zapier makes what these take', () => {
    expect(renderPayload(PAYLOAD_TEMPLATES.hubspot, VALUES)).toMatchObject({
      inputs: [
        { idProperty: 'email', id: 'a@example.com', properties: { weft_segment: 'keen', plan: 'pro', orders: 2 } },
      ],
    });
    expect(renderPayload(PAYLOAD_TEMPLATES.marketo, VALUES)).toMatchObject({
      ...{ action: 'createOrUpdate', lookupField: 'email' },
      input: [{ email: 'a@example.com', weftSegmentEvent: 'enter' }],
    });
    expect(renderPayload(PAYLOAD_TEMPLATES.zapier, VALUES)).toMatchObject({
      ...{ id: 'crm-7', event: 'segment.entered', segment: 'keen', email: 'a@example.com', plan: 'pro', orders: 2 },
    });
  });
});

describe('lanes', () => {
  it('are sent side by side within the bound, each in order, and not behind a failure', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        async (plan, concurrency) => {
          const lanes = plan.map((items, lane) => items.map((fits, i) => ({ seq: lane * 10 + i, lane, fits })));
          const sent = new Map<number, number[]>();
          const busy = new Set<number>();
          const outcomes = await deliverLanes(lanes, {
            concurrency,
            mayGoOn: () => true,
            send: async ({ seq, lane, fits }) => {
              expect(busy.has(lane)).toBe(false);
              busy.add(lane);
              expect(busy.size).toBeLessThanOrEqual(concurrency);
              sent.set(lane, [...(sent.get(lane) ?? []), seq]);
              await new Promise((resolve) => setImmediate(resolve));
              busy.delete(lane);
              return fits ? { kind: 'delivered' } : { kind: 'refused', error: 'no' };
            },
          });
          for (const [lane, items] of lanes.entries()) {
            const failed = items.findIndex(({ fits }) => !fits);
            const expected = items.slice(0, failed === -1 ? items.length : failed + 1).map(({ seq }) => seq);
            expect(sent.get(lane)).toEqual(expected);
            expect([...outcomes.keys()].filter((seq) => Math.floor(seq / 10) === lane)).toEqual(expected);
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('a round', () => {
  const change = (seq: number) => ({
    ...{ seq, profileId: 'p', segmentId: 1, kind: 'enter' as const, at: 0, version: 1 },
    cause: { kind: 'event' as const, pos: null },
  });
  const item = (seq: number, attempts = 0, isNew = true) => ({ change: change(seq), attempts, isNew, isHeld: false });
  const facts = {
    ...{ fromSeq: 0, toSeq: 9, failures: 0, skipped: 0, dead: 0, nowMs: 1_000, random: () => 0.5, maxAttempts: 3 },
  };
  const outcomes = (...all: [number, AttemptOutcome][]): Map<number, AttemptOutcome> => new Map(all);

  it('forgets what is done, lets wait what failed or was not tried, and gives up what failed too often', () => {
    const items = [item(1), item(2, 1, false), item(3), item(4), item(5, 2, false), item(6), item(7, 0, false)];
    const refused: AttemptOutcome = { kind: 'refused', error: 'HTTP 422' };
    const result = settleRound(
      items,
      outcomes(
        ...([1, 2] as const).map((seq): [number, AttemptOutcome] => [seq, { kind: 'delivered' }]),
        ...([3, 5] as const).map((seq): [number, AttemptOutcome] => [seq, refused]),
        [6, { kind: 'hopeless', error: 'too large' }],
      ),
      facts,
    );
    expect(result).toMatchObject({ delivered: 2, done: [2], died: 2, retryAt: null, pauseBecause: null });
    expect(result.failed.map(({ seq, status, attempts, nextAt }) => [seq, status, attempts, nextAt])).toEqual([
      [3, 'waiting', 1, 11_000],
      [4, 'waiting', 0, 1_000],
      [5, 'dead', 3, 91_000],
      [6, 'dead', 1, 11_000],
    ]);
  });

  it('leaves a receiver alone that is down or asks for it, and pauses one that wants no more', () => {
    const down = (retryAfterMs: number | null): AttemptOutcome => ({ kind: 'down', error: 'HTTP 503', retryAfterMs });
    expect(settleRound([item(1)], outcomes([1, down(null)]), { ...facts, failures: 4 }).retryAt).toBeNull();
    expect(settleRound([item(1)], outcomes([1, down(null)]), { ...facts, failures: 5 }).retryAt).toBe(6_000);
    expect(settleRound([item(1)], outcomes([1, down(60_000)]), { ...facts, failures: 1 }).retryAt).toBe(61_000);
    const gone = settleRound([item(1, 2)], outcomes([1, { kind: 'gone', error: 'HTTP 410' }]), facts);
    expect(gone).toMatchObject({ pauseBecause: 'the receiver wants no more (HTTP 410)', died: 0 });
    expect(gone.failed).toMatchObject([{ status: 'waiting', attempts: 2 }]);
  });
});
