import { Readable } from 'node:stream';
import type { ListCommandDeps } from '../../src/list.command.js';
import { ListReader } from '../../src/profiles/list.reader.js';
import { ListService } from '../../src/profiles/list.service.js';
import type { ApiWorld } from './api-world.js';

export function listsOf({ db, clock, engine, services }: ApiWorld): ListService {
  return new ListService({
    ...{ db, clock, accept: engine.accept, sources: services.sources },
    uses: (tx) => services.segments.listUses(tx),
  });
}

/** What the command for lists needs, of a world. */
export function listParts(world: ApiWorld): Omit<ListCommandDeps, 'stdout' | 'stderr' | 'setExitCode'> {
  const { db, clock, engine } = world;
  const namespaces = new Set(engine.policy.rules.namespaces.keys());
  const parts = { lists: listsOf(world), reader: new ListReader(db), namespaces, applied: () => world.drain() };
  return {
    ...{ stdin: Readable.from([]), signal: new AbortController().signal, confirm: null },
    now: () => clock.now(),
    sleep: () => Promise.resolve(),
    withLists: (use) => use(parts),
    withWorkingLists: (use) => use(parts),
  };
}
