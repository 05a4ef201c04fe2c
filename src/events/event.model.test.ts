import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareCanonical } from './event.model.js';

describe('the canonical order', () => {
  it('compares message ids as PostgreSQL does with collation "C", by the bytes of their UTF-8', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', '\u00e9', '\ud7ff', '\ue000', '\uff5e', '\u{10000}', '\u{1f600}'),
    });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const key = { occurredAt: 1, sourceId: 1 };
        const order = compareCanonical({ ...key, messageId: a }, { ...key, messageId: b });
        expect(Math.sign(order)).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });

  it('goes by time first, then by source', () => {
    const keys = [
      { occurredAt: 2, sourceId: 1, messageId: 'a' },
      { occurredAt: 1, sourceId: 2, messageId: 'a' },
      { occurredAt: 1, sourceId: 1, messageId: 'b' },
    ];
    expect([...keys].sort(compareCanonical)).toEqual([...keys].reverse());
  });
});
