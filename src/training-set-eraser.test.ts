import { expect, it } from 'vitest';
import { TrainingSetEraser, type TrainingSetEraserParts } from './training-set-eraser.js';

const db = {
  query: (text: string, values: readonly unknown[] = []) => {
    if (text.startsWith('SELECT id FROM label_files')) return Promise.resolve([{ id: 'l' }]);
    if (text.includes('count(*) FILTER'))
      return Promise.resolve([{ all: (values[0] as unknown[]).length, receiving: 0 }]);
    return Promise.resolve([]);
  },
  execute: () => Promise.resolve(0),
  run: () => Promise.resolve({ rows: [], rowCount: 0 }),
};

it.each([100, 101, 200])('%i erasures at once end, each in its turn', async (n) => {
  const eraser = new TrainingSetEraser({
    db,
    folder: { isOurs: () => Promise.resolve(true) },
    clock: { now: () => 0 },
    onLooked: () => undefined,
  } as unknown as TrainingSetEraserParts);
  const person = { isOf: () => false, isNamedIn: () => false } as never;
  let open = Array.from({ length: n }, (_, i) => String(i));
  for (let cycle = 0; cycle < 1_000 && open.length > 0; cycle++) {
    const left: string[] = [];
    for (const id of open) {
      if ((await eraser.forget(id, person)) === null) left.push(id);
      await new Promise(setImmediate);
    }
    open = left;
  }
  expect(open.length).toBe(0);
});
