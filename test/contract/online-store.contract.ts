import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { OnlineStore, Versioned } from '../../src/profiles/online-store.model.js';

type Write = { readonly kind: 'put' | 'delete'; readonly key: string; readonly version: number };

/** What every {@link OnlineStore} must do. `create` gives an empty one, large enough for what the tests put in. */
export function onlineStoreContract(create: () => Promise<OnlineStore>): void {
  let store: OnlineStore;
  beforeEach(async () => {
    store = await create();
  });

  const put = (key: string, version: number, text = `${key}@${String(version)}`): Promise<void> =>
    store.putMany([{ key, version, bytes: Buffer.from(text) }]);
  const read = async (...keys: string[]): Promise<(string | null)[]> =>
    (await store.getMany(keys)).map((found) => (found === null ? null : found.bytes.toString()));

  describe('reads', () => {
    it('answers in the order asked, null for what is absent, twice for what is asked twice', async () => {
      await store.putMany(['a', 'b', 'c'].map((key, i) => ({ key, version: i + 1, bytes: Buffer.from(key) })));
      expect(await read('c', 'none', 'a', 'c')).toEqual(['c', null, 'a', 'c']);
    });

    it('answers nothing when asked for nothing, and takes nothing', async () => {
      await store.putMany([]);
      await store.deleteMany([], 1);
      expect(await store.getMany([])).toEqual([]);
    });

    it('gives back any bytes and any version as they were put', async () => {
      const entry = fc.tuple(
        fc.maxSafeInteger().map((n) => Math.abs(n) + 1),
        fc.uint8Array({ maxLength: 300 }),
      );
      let n = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(entry, { maxLength: 20 }), async (entries) => {
          n += 1;
          const puts = entries.map(([version, bytes], i) => ({
            key: `any ${String(n)} ${String(i)}`,
            version: Math.min(version, Number.MAX_SAFE_INTEGER),
            bytes: Buffer.from(bytes),
          }));
          await store.putMany(puts);
          const expected = puts.map(({ version, bytes }) => ({ version, bytes }));
          expect(await store.getMany(puts.map(({ key }) => key))).toEqual(expected);
        }),
        { numRuns: 30 },
      );
    });

    it('takes keys with any characters, braces among them', async () => {
      const keys = ['{x}', '{}', 'a{b', '}', 'ключ', '\0', ' '];
      await store.putMany(keys.map((key) => ({ key, version: 1, bytes: Buffer.from(key) })));
      expect(await read(...keys)).toEqual(keys);
    });
  });

  describe('versions', () => {
    it('keeps the greater of two, whichever comes first', async () => {
      await put('up', 1);
      await put('up', 2);
      await put('down', 2);
      await put('down', 1);
      expect(await read('up', 'down')).toEqual(['up@2', 'down@2']);
    });

    it('compares versions as numbers, at the borders of bytes and words too', async () => {
      const borders = [
        127,
        255,
        2 ** 16 - 1,
        2 ** 31 - 1,
        2 ** 32 - 1,
        2 ** 40 - 1,
        2 ** 52,
        Number.MAX_SAFE_INTEGER - 1,
      ];
      for (const border of borders) {
        const key = `border ${String(border)}`;
        await put(key, border + 1, 'newer');
        await put(key, border, 'older');
        expect(await read(key)).toEqual(['newer']);
      }
    });

    it('keeps the first of two puts with the same version', async () => {
      await put('a', 1, 'first');
      await put('a', 1, 'second');
      expect(await read('a')).toEqual(['first']);
    });

    it('keeps the greatest of a key that occurs more than once in a batch', async () => {
      const versions = [2, 9, 4];
      await store.putMany(versions.map((version) => ({ key: 'a', version, bytes: Buffer.from(String(version)) })));
      expect(await read('a')).toEqual(['9']);
    });
  });

  describe('deletion', () => {
    it('takes out its version and older ones, and lets none of them back in', async () => {
      await put('a', 5);
      await store.deleteMany(['a'], 5);
      await put('a', 4);
      await put('a', 5);
      expect(await read('a')).toEqual([null]);
      await put('a', 6);
      expect(await read('a')).toEqual(['a@6']);
    });

    it('stands against a put that comes later, for a key that was never there', async () => {
      await store.deleteMany(['a'], 3);
      await put('a', 3);
      expect(await read('a')).toEqual([null]);
    });

    it('leaves a newer version alone', async () => {
      await put('a', 5);
      await store.deleteMany(['a'], 4);
      expect(await read('a')).toEqual(['a@5']);
    });

    it('is not weakened by an older deletion that arrives after it', async () => {
      await store.deleteMany(['a'], 9);
      await store.deleteMany(['a'], 2);
      await put('a', 5);
      expect(await read('a')).toEqual([null]);
    });
  });

  describe('any interleaving', () => {
    it('of puts and deletions, in any batches, leaves what the greatest versions say', async () => {
      const write: fc.Arbitrary<Write> = fc.record({
        kind: fc.constantFrom('put' as const, 'put' as const, 'delete' as const),
        key: fc.constantFrom('a', 'b', 'c'),
        version: fc.integer({ min: 1, max: 12 }),
      });
      let n = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(write, { maxLength: 6 }), { maxLength: 8 }), async (batches) => {
          n += 1;
          const nameOf = (key: string): string => `run ${String(n)} ${key}`;
          // All at once: a store may run them in any order.
          await Promise.all(batches.flatMap((batch) => writeBatch(store, batch, nameOf)));
          const keys = ['a', 'b', 'c'];
          const expected = keys.map((key) => expectedOf(key, batches.flat()));
          expect(await store.getMany(keys.map(nameOf))).toEqual(expected);
        }),
        { numRuns: 100 },
      );
    });
  });

  it('moves thousands of entries in one call', async () => {
    const entries = Array.from({ length: 5_000 }, (_, i) => ({
      key: `many ${String(i)}`,
      version: i + 1,
      bytes: Buffer.alloc(i % 700, i),
    }));
    await store.putMany(entries);
    const found = await store.getMany(entries.map(({ key }) => key));
    const asPut = entries.filter(
      ({ version, bytes }, i) => found[i]?.version === version && found[i].bytes.equals(bytes),
    );
    expect(asPut).toHaveLength(entries.length);
    await store.deleteMany(
      entries.slice(0, 2_500).map(({ key }) => key),
      10_000,
    );
    const left = await store.getMany(entries.map(({ key }) => key));
    expect(left.filter((entry) => entry !== null)).toHaveLength(2_500);
  });
}

function writeBatch(store: OnlineStore, batch: readonly Write[], nameOf: (key: string) => string): Promise<void>[] {
  const puts = batch.filter(({ kind }) => kind === 'put');
  const deletions = batch.filter(({ kind }) => kind === 'delete');
  return [
    store.putMany(puts.map(({ key, version }) => ({ key: nameOf(key), version, bytes: Buffer.from(String(version)) }))),
    ...deletions.map(({ key, version }) => store.deleteMany([nameOf(key)], version)),
  ];
}

/** By definition: the greatest version put, unless a deletion reaches up to it. */
function expectedOf(key: string, writes: readonly Write[]): Versioned | null {
  const greatest = (kind: Write['kind']): number =>
    Math.max(0, ...writes.filter((write) => write.key === key && write.kind === kind).map(({ version }) => version));
  const version = greatest('put');
  return version > greatest('delete') ? { version, bytes: Buffer.from(String(version)) } : null;
}
