import type { Redis } from 'ioredis';
import { expect } from 'vitest';

/** Which of the texts are in keys and values of Redis that begin so, in whatever case. At least one of these is there. */
export async function findInRedis(client: Redis, prefix: string, texts: readonly string[]): Promise<string[]> {
  const all: string[] = [];
  for (const key of await client.keys(`${prefix}*`)) {
    // Nothing is kept in any other form: a command for another one fails here.
    const bytes = await client.getBuffer(key);
    // That something was deleted is remembered for ten minutes, by the hash that it was under.
    const isTombstone = bytes?.length === 8 && bytes[0] === 1;
    if (isTombstone) expect(await client.pttl(key)).toBeGreaterThan(0);
    else all.push(`${key} ${bytes?.toString('latin1') ?? ''}`);
  }
  expect(all.length).toBeGreaterThan(0);
  const folded = all.join('\n').toLowerCase();
  return texts.filter((each) => folded.includes(each.toLowerCase()));
}
