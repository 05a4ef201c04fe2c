/** What sealing costs an event, in µs of CPU: `npx tsx test/bench/sealing.bench.ts` prints one JSON object. */
import { randomBytes } from 'node:crypto';
import { RootSecret } from '../../src/platform/installation-secret.js';
import { hashId } from '../../src/platform/ids.js';
import type { Database } from '../../src/platform/postgres.js';
import { KeyVault } from '../../src/privacy/key-vault.js';

const EVENTS = 500;
const PEOPLE = 200;
const PAYLOAD_BYTES = 380;
const BATCHES_PER_ROUND = 100;
/** Where keys are not in memory, which takes longer. */
const COLD_BATCHES_PER_ROUND = 10;
const ROUNDS = 11;

/** CPU rather than time: other work of the machine hardly shows in it. */
async function medianUs(batches: number, work: () => Promise<unknown>): Promise<number> {
  const costs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let batch = 0; batch < batches; batch++) await work();
    const { user, system } = process.cpuUsage(before);
    // The first rounds warm up.
    if (round > 1) costs.push((user + system) / (batches * EVENTS));
  }
  costs.sort((a, b) => a - b);
  return Math.round((costs[costs.length >> 1] ?? 0) * 100) / 100;
}

/** The elements of an array in binary form, of whatever length. */
function elementsOf(array: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  for (let at = 20; at < array.length;) {
    const length = array.readInt32BE(at);
    elements.push(array.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return elements;
}

const uuidOf = (bytes: Buffer): string => {
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
};

interface KeyRow {
  readonly name: string;
  readonly handle: Buffer;
  readonly wrapped: Buffer;
}

/** Keys are made, and asked for, in memory: what the database takes is not of interest here. */
function inMemory(): Database {
  const byName = new Map<string, KeyRow>();
  const byHandle = new Map<string, KeyRow>();
  const run = ({ name, values: [first, second] }: { name: string; values: readonly Buffer[] }) => {
    const asked = elementsOf(first ?? Buffer.alloc(0));
    const rows = asked.flatMap((bytes): KeyRow[] => {
      if (name === 'data_keys_select') return [];
      const found =
        name === 'sealing_keys_by_handle' ? byHandle.get(bytes.toString('latin1')) : byName.get(uuidOf(bytes));
      return found === undefined ? [] : [found];
    });
    if (name !== 'sealing_keys_insert') return Promise.resolve({ rows });
    const wrapped = elementsOf(second ?? Buffer.alloc(0));
    const made = asked.map((bytes, i): KeyRow => {
      const row = { name: uuidOf(bytes), handle: randomBytes(8), wrapped: Buffer.from(wrapped[i] ?? Buffer.alloc(0)) };
      byName.set(row.name, row);
      byHandle.set(row.handle.toString('latin1'), row);
      return row;
    });
    return Promise.resolve({ rows: made });
  };
  return { run } as unknown as Database;
}

async function measure(identifiers: number) {
  const vault = new KeyVault(inMemory(), new RootSecret(randomBytes(32)));
  const plain = Array.from({ length: EVENTS }, (_, i) => {
    const payload = randomBytes(PAYLOAD_BYTES);
    payload[0] = 0;
    const namedIds = Array.from({ length: identifiers }, (_unused, n) => hashId(`n${String(n)}`, String(i % PEOPLE)));
    return { namedIds, payload };
  });
  const sealed = (await vault.seal(plain)).map((payload, i) => ({ anchor_id: plain[i]?.namedIds[0] ?? '', payload }));
  const opened = await vault.open(sealed);
  if (!opened.every(({ payload }, i) => payload.equals(plain[i]?.payload ?? Buffer.alloc(0))))
    throw new Error('not opened');
  return {
    sealUs: await medianUs(BATCHES_PER_ROUND, () => vault.seal(plain, { mayRemember: true })),
    openUs: await medianUs(BATCHES_PER_ROUND, () => vault.open(sealed)),
    coldSealUs: await medianUs(COLD_BATCHES_PER_ROUND, () => vault.seal(plain)),
    coldOpenUs: await medianUs(COLD_BATCHES_PER_ROUND, () => {
      vault.forget();
      return vault.open(sealed);
    }),
  };
}

const results = {
  events: `${String(PAYLOAD_BYTES)} bytes, in batches of ${String(EVENTS)} of ${String(PEOPLE)} people; cold: keys asked for`,
  identifiers1: await measure(1),
  identifiers3: await measure(3),
};
console.log(JSON.stringify(results));
