import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteLength, createEventQueue, type EventQueue } from './event-queue.js';
import { createMemoryQueue } from './memory-queue.js';
import { createStore } from './storage.js';

const nobody = (): boolean => false;
const all = { events: 10_000, bytes: 10_000_000 };
const texts = (queue: EventQueue): string[] => queue.peek(all, nobody).map(({ json }) => json);

interface Bounds {
  readonly maxQueuedEvents: number;
  readonly maxQueuedBytes: number;
}

function inStore(
  { maxQueuedEvents, maxQueuedBytes }: Bounds,
  store = createStore(null),
  pageId = 'a',
  now = () => 1_000,
): EventQueue {
  return createEventQueue({ store, prefix: 'weft:event:', maxQueuedEvents, maxQueuedBytes, now, pageId });
}

const kinds: [string, (bounds: Bounds) => EventQueue][] = [
  ['the queue of a browser', (bounds) => inStore(bounds)],
  [
    'the queue of a server',
    ({ maxQueuedEvents, maxQueuedBytes }) => createMemoryQueue(maxQueuedEvents, maxQueuedBytes),
  ],
];

describe.each(kinds)('%s', (_name, create) => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });
  const step = fc.oneof(
    fc.record({ add: text }),
    fc.record({ remove: fc.nat(3) }),
    fc.record({ peek: fc.record({ events: fc.integer({ min: 1, max: 5 }), bytes: fc.integer({ min: 1, max: 40 }) }) }),
  );

  it('is a list of which the oldest fall out where a bound is reached', () => {
    fc.assert(
      fc.property(
        fc.record({ maxQueuedEvents: fc.integer({ min: 1, max: 6 }), maxQueuedBytes: fc.integer({ min: 1, max: 60 }) }),
        fc.array(step, { maxLength: 40 }),
        (bounds, steps) => {
          const queue = create(bounds);
          let model: string[] = [];
          const bytes = (): number => model.reduce((sum, each) => sum + byteLength(each), 0);
          for (const each of steps) {
            if ('add' in each) {
              let dropped = 0;
              while (
                model.length > 0 &&
                (model.length + 1 > bounds.maxQueuedEvents || bytes() + byteLength(each.add) > bounds.maxQueuedBytes)
              ) {
                model = model.slice(1);
                dropped += 1;
              }
              expect(queue.add(each.add).dropped).toBe(dropped);
              model.push(each.add);
            } else if ('remove' in each) {
              queue.remove(queue.peek({ events: each.remove, bytes: 10_000 }, nobody).slice(0, each.remove));
              model = model.slice(each.remove);
            } else {
              const expected: string[] = [];
              let sum = 0;
              for (const next of model) {
                sum += byteLength(next) + 1;
                if (expected.length > 0 && (expected.length === each.peek.events || sum > each.peek.bytes)) break;
                expected.push(next);
              }
              expect(queue.peek(each.peek, nobody).map(({ json }) => json)).toEqual(expected);
            }
            expect(texts(queue)).toEqual(model);
            expect(queue.size()).toBe(model.length);
          }
          queue.clear();
          expect(queue.size()).toBe(0);
        },
      ),
    );
  });

  it('leaves out what is already on its way', () => {
    const queue = create({ maxQueuedEvents: 10, maxQueuedBytes: 1_000 });
    const { key } = queue.add('first');
    queue.add('second');
    expect(queue.peek(all, (each) => each === key).map(({ json }) => json)).toEqual(['second']);
  });
});

describe('the queue of a browser, in several tabs', () => {
  it('is one: what tabs add by turns is there for each of them, in the order of time', () => {
    const store = createStore(null);
    let time = 0;
    const bounds = { maxQueuedEvents: 10, maxQueuedBytes: 1_000 };
    const tabs = ['a', 'b'].map((page) => inStore(bounds, store, page, () => ++time));
    for (const [i, json] of ['1', '2', '3', '4'].entries()) tabs[i % 2]?.add(json);
    for (const tab of tabs) expect(texts(tab)).toEqual(['1', '2', '3', '4']);
  });

  it('keeps both of two events that are added in the same instant', () => {
    const store = createStore(null);
    const bounds = { maxQueuedEvents: 10, maxQueuedBytes: 1_000 };
    const [one, other] = ['a', 'b'].map((page) => inStore(bounds, store, page));
    one?.add('of one');
    other?.add('of the other');
    expect(one?.size()).toBe(2);
  });
});
