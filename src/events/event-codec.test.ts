import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { hashId } from '../platform/ids.js';
import { decodeEvent, encodePayload } from './event-codec.js';
import type { EventPayload } from './event-codec.js';
import { EVENT_TYPES } from './event.model.js';
import type { JsonObject } from './event.model.js';

const COLUMNS = { pos: 12, part: 3, sourceId: 4, occurredAt: 5, acceptedAt: 6, historical: true };

function jsonObject(): fc.Arbitrary<JsonObject> {
  return fc
    .dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true })
    .map((o) => JSON.parse(JSON.stringify(o)) as JsonObject);
}

const payloads: fc.Arbitrary<EventPayload> = fc.record({
  type: fc.constantFrom(...EVENT_TYPES),
  name: fc.string({ unit: 'grapheme' }),
  messageId: fc.string(),
  identifiers: fc.array(
    fc
      .record({ ns: fc.constantFrom('user_id', 'email'), value: fc.string() })
      .map((i) => ({ ...i, id: hashId(i.ns, i.value) })),
    { minLength: 1 },
  ),
  properties: jsonObject(),
  traits: jsonObject(),
  context: jsonObject(),
  groupId: fc.option(fc.string()),
});

describe('event codec', () => {
  it('gives back what was written', () => {
    fc.assert(
      fc.property(payloads, (payload) => {
        expect(decodeEvent(encodePayload(payload), COLUMNS)).toEqual({ ...payload, ...COLUMNS });
      }),
    );
  });

  it('refuses a format it does not know', () => {
    expect(() => decodeEvent(Buffer.from([9, 91, 93]), COLUMNS)).toThrow(/unknown format 9/);
  });

  it('says so when the bytes are damaged, whatever the damage', () => {
    const [sample] = fc.sample(payloads, { numRuns: 1, seed: 1 });
    const bytes = encodePayload(sample as EventPayload);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeEvent(bytes.subarray(0, length), COLUMNS)).toThrow(WeftError);
    }
  });
});
