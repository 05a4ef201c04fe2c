import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../events/event.model.js';
import { redactJson } from './redact-body.js';

const CANARY = 'a canary sang';

describe('a body that is redacted', () => {
  it('holds nothing of a text, wherever it stands and whatever its field is called', () => {
    const withCanary = fc.letrec<{ value: JsonValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constant(CANARY),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(
          fc.oneof(fc.constantFrom('note', 'comment', 'id', 'type', 'created_at', 'mid', '__proto__'), fc.string()),
          tie('value'),
          { maxKeys: 4 },
        ),
      ),
    })).value;
    fc.assert(
      fc.property(withCanary, (value) => {
        expect(JSON.stringify(redactJson(value))).not.toContain('canary');
      }),
    );
  });

  it('keeps its shape, and the ids, times and kinds by which it is found', () => {
    const body = {
      id: 'r1',
      kind: 'review',
      created_at: '2026-01-02T03:04:05Z',
      senderId: 17,
      note: 'sesame',
      pin: 4711,
      comment: ['open', { said: 'sesame' }],
      isRead: true,
      parent_id: 'open, sesame',
      none: null,
    };
    expect(redactJson(body)).toEqual({
      id: 'r1',
      kind: 'review',
      created_at: '2026-01-02T03:04:05Z',
      senderId: 17,
      note: '[redacted]',
      pin: '[redacted]',
      comment: ['[redacted]', { said: '[redacted]' }],
      isRead: true,
      parent_id: '[redacted]',
      none: null,
    });
  });

  it('sets no prototype by a field that is called __proto__', () => {
    const redacted = redactJson(JSON.parse('{"__proto__":{"note":"x"}}') as JsonValue);
    expect(Object.getPrototypeOf(redacted)).toBe(Object.prototype);
    expect(JSON.stringify(redacted)).toBe('{"__proto__":{"note":"[redacted]"}}');
  });
});
