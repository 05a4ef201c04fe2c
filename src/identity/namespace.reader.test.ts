import { describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../platform/clock.js';
import type { Queryable } from '../platform/postgres.js';
import { NamespaceReader } from './namespace.reader.js';

function world(rows: readonly { ns: string; count: number }[]) {
  const clock = new ManualClock(1_000_000);
  const query = vi.fn(() => Promise.resolve(rows));
  const reader = new NamespaceReader({
    db: { query } as unknown as Queryable,
    clock,
    declared: () => ['email', 'user_id'],
  });
  return { clock, query, reader };
}

describe('what is said of a namespace that nobody carries', () => {
  it('is the name that was meant, of those that are declared and those that were seen', async () => {
    const { reader } = world([{ ns: 'loyalty_card', count: 3 }]);
    expect(await reader.nearest('emial')).toBe('email');
    expect(await reader.nearest('loyalty_crad')).toBe('loyalty_card');
    expect(await reader.nearest('loyalty_card')).toBeNull();
    expect(await reader.nearest('shoe_size')).toBeNull();
  });

  it('is looked up for all at once, and not again within half a minute', async () => {
    const { clock, query, reader } = world([{ ns: 'loyalty_card', count: 3 }]);
    await Promise.all([reader.nearest('emial'), reader.nearest('shoe_size')]);
    clock.advance(29_000);
    await reader.nearest('emial');
    expect(query).toHaveBeenCalledTimes(1);
    clock.advance(2_000);
    await reader.nearest('emial');
    expect(query).toHaveBeenCalledTimes(2);
  });

  it('is nothing among very many identifiers, which are not gone through again for hours', async () => {
    const { clock, query, reader } = world([{ ns: 'loyalty_card', count: 1_000_000 }]);
    expect(await reader.nearest('emial')).toBeNull();
    for (let hour = 0; hour < 5; hour += 1) {
      clock.advance(3_600_000);
      expect(await reader.nearest('emial')).toBeNull();
    }
    expect(query).toHaveBeenCalledTimes(1);
    clock.advance(2 * 3_600_000);
    await reader.nearest('emial');
    expect(query).toHaveBeenCalledTimes(2);
  });
});
