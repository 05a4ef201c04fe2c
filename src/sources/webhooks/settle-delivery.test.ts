import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dedupeIdOf, type AcceptResult, type IncomingEvent } from '../../events/event.model.js';
import { SUPPRESSED } from '../../events/suppression.model.js';
import { missingOf, type AcceptedDelivery } from './settle-delivery.js';

const SOURCE_ID = 3;

/** What becomes of an item by the mapping as it is now. */
const FATES = ['accepted', 'duplicate', 'renamed', 'left out', 'erased', 'refused', 'unmapped', 'not found'] as const;

interface Item {
  readonly wasTakenBack: boolean;
  readonly fate: (typeof FATES)[number];
}

const item = (fate: Item['fate'], wasTakenBack = true): Item => ({ fate, wasTakenBack });

const RESULTS: Partial<Record<Item['fate'], AcceptResult>> = {
  accepted: { status: 'accepted' },
  renamed: { status: 'accepted' },
  duplicate: { status: 'duplicate' },
  refused: { status: 'refused', code: 'NAME_MISSING', reason: 'it has no name' },
  erased: { status: 'refused', ...SUPPRESSED },
};

function acceptedOf(items: readonly Item[]): AcceptedDelivery {
  const events: IncomingEvent[] = [];
  const results: AcceptResult[] = [];
  for (const [i, { fate }] of items.entries()) {
    const result = RESULTS[fate];
    if (result === undefined) continue;
    events.push({ type: 'track', messageId: `${fate === 'renamed' ? 'new' : 'id'}-${String(i)}`, identifiers: [] });
    results.push(result);
  }
  const unmapped = items.flatMap(({ fate }, index) =>
    fate === 'unmapped' ? [{ code: 'VALUE_INVALID', reason: 'it is none', item: null, index }] : [],
  );
  const left = items.filter(({ fate }) => fate === 'left out').length;
  const leftOut = { own: 0, nobody: 0, ignored: 0, unknown: 0, left_out: left };
  return { sourceId: SOURCE_ID, delivered: { events, unmapped, leftOut }, results };
}

const takenBackOf = (items: readonly Item[]) =>
  new Set(items.flatMap((each, i) => (each.wasTakenBack ? [dedupeIdOf(SOURCE_ID, `id-${String(i)}`)] : [])));

const missing = (...items: Item[]) => missingOf(takenBackOf(items), acceptedOf(items));
const settled = (...items: Item[]): boolean => missing(...items)?.length === 0;

describe('a delivery of which events were taken back', () => {
  it.each<[string, Item[], boolean]>([
    ['is settled once they are in the log', [item('accepted'), item('duplicate')], true],
    ['is settled by another item that is refused, as it was', [item('accepted'), item('unmapped', false)], true],
    ['waits where another item is accepted in its place', [item('accepted', false), item('unmapped')], false],
    ['waits where the log refuses one', [item('accepted', false), item('refused')], false],
    ['is settled where they are left out', [item('left out'), item('accepted')], true],
    ['is settled where they have other ids', [item('renamed')], true],
    ['is settled where the person was erased meanwhile', [item('erased')], true],
    ['waits where they are not found any more', [item('not found'), item('accepted')], false],
    ['waits where the one left out may be the one refused', [item('left out'), item('unmapped', false)], false],
  ])('%s', (_, items, is) => {
    expect(settled(...items)).toBe(is);
  });

  it('is settled only without a refusal where it is not known which they were', () => {
    expect(missingOf(null, acceptedOf([item('accepted'), item('left out')]))).toEqual([]);
    expect(missingOf(null, acceptedOf([item('accepted'), item('unmapped', false)]))).toBeNull();
  });

  it('waits no longer for those that are in the log again', () => {
    expect(missing(item('accepted'), item('unmapped'))).toEqual([dedupeIdOf(SOURCE_ID, 'id-1')]);
  });

  it('is never settled while one is refused, and always once each is in the log', () => {
    const anItem = fc.record({ wasTakenBack: fc.boolean(), fate: fc.constantFrom(...FATES) });
    fc.assert(
      fc.property(fc.array(anItem, { maxLength: 8 }), (items) => {
        const fates = items.filter(({ wasTakenBack }) => wasTakenBack).map(({ fate }) => fate);
        const isLost = fates.some((fate) => fate === 'refused' || fate === 'unmapped');
        const isThere = fates.every((fate) => fate === 'accepted' || fate === 'duplicate');
        if (isLost) expect(settled(...items)).toBe(false);
        if (isThere) expect(settled(...items)).toBe(true);
      }),
    );
  });
});
