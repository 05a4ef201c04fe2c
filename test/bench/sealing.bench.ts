/** What sealing costs an event, in µs of CPU: `npx tsx test/bench/sealing.bench.ts` prints one JSON object. */
import { randomBytes } from 'node:crypto';
import { RootSecret } from '../../src/platform/installation-secret.js';
import { hashId } from '../../src/platform/ids.js';
import type { Database } from '../../src/platform/postgres.js';
import { KeyVault } from '../../src/privacy/key-vault.js';

const EVENTS = 500;
const ANCHORS = 200;
const PAYLOAD_BYTES = 380;
const BATCHES_PER_ROUND = 100;
const ROUNDS = 11;

/** CPU rather than time: other work of the machine hardly shows in it. */
async function medianUs(work: () => Promise<unknown>): Promise<number> {
  const costs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let batch = 0; batch < BATCHES_PER_ROUND; batch++) await work();
    const { user, system } = process.cpuUsage(before);
    // The first rounds warm up.
    if (round > 1) costs.push((user + system) / (BATCHES_PER_ROUND * EVENTS));
  }
  costs.sort((a, b) => a - b);
  return Math.round((costs[costs.length >> 1] ?? 0) * 100) / 100;
}

/** Keys are made, and asked for, by bytes that `unnest` would take apart: here they are never asked for twice. */
function inMemory(): Database {
  const wrapped = new Map<string, Buffer>();
  const idsOf = (array: Buffer): string[] =>
    Array.from({ length: array.readInt32BE(12) }, (_, i) => {
      const hex = array.toString('hex', 24 + i * 20, 40 + i * 20);
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
    });
  const run = ({ name, values }: { name: string; values: readonly Buffer[] }) => {
    const [ids = Buffer.alloc(0), keys] = values;
    if (name === 'data-keys-insert' && keys !== undefined) {
      const length = keys.readInt32BE(20);
      for (const [i, id] of idsOf(ids).entries()) {
        const at = 24 + i * (4 + length);
        wrapped.set(id, keys.subarray(at, at + length));
      }
      return Promise.resolve({ rows: [] });
    }
    return Promise.resolve({
      rows: idsOf(ids).flatMap((id) => {
        const found = wrapped.get(id);
        return found === undefined ? [] : [{ id, wrapped: found }];
      }),
    });
  };
  return { run } as unknown as Database;
}

const vault = new KeyVault(inMemory(), new RootSecret(randomBytes(32)));
const plain = Array.from({ length: EVENTS }, (_, i) => {
  const payload = randomBytes(PAYLOAD_BYTES);
  payload[0] = 0;
  return { anchor_id: hashId('user_id', String(i % ANCHORS)), payload };
});
const sealed = (await vault.seal(plain)).map((payload, i) => ({ anchor_id: plain[i]?.anchor_id ?? '', payload }));
const opened = await vault.open(sealed);
if (!opened.every(({ payload }, i) => payload.equals(plain[i]?.payload ?? Buffer.alloc(0))))
  throw new Error('not opened');

const results = {
  events: `${String(PAYLOAD_BYTES)} bytes, in batches of ${String(EVENTS)}`,
  sealUs: await medianUs(() => vault.seal(plain)),
  openUs: await medianUs(() => vault.open(sealed)),
};
console.log(JSON.stringify(results));
