import type { Runtime } from './runtime.js';
import type { KeyValueStore } from './storage.js';

/** Runs one task at a time over all tabs of a site. Tasks do not fail. */
export interface Exclusive {
  /** @returns false if another tab is at it and could not be waited for: try again in a while. */
  run(task: () => Promise<void>): Promise<boolean>;
  /** Keeps the place for another `leaseMs`; to be called before each step that takes long. */
  renew(): void;
  /** Gives the place up, as when the page goes away. */
  release(): void;
}

export interface ExclusiveOptions extends Pick<Runtime, 'now' | 'sleep'> {
  readonly locks: LockManager | undefined;
  readonly store: KeyValueStore;
  readonly name: string;
  readonly pageId: string;
  readonly leaseMs: number;
}

/** Longer than it takes a tab to see what another one wrote to the store, which is a matter of messages between them. */
const SETTLE_MS = 50;

/**
 * By Web Locks where there are any (pages with TLS); else by a lease in the store: whoever has written its name there and
 * still reads it after a while has the place until a time that is written beside it. Either way the task begins when the
 * tab can be expected to see what the one before it has done. Where that fails, it costs a request and no event: Weft
 * drops messages that it has.
 */
export function createExclusive(options: ExclusiveOptions): Exclusive {
  const { store, name, pageId, now, sleep } = options;
  let { locks } = options;
  const claim = (): void => store.set(name, `${pageId} ${now() + options.leaseMs}`);
  const holder = (): string | null => {
    const [who = '', until = ''] = store.get(name)?.split(' ') ?? [];
    return Number(until) > now() ? who : null;
  };
  const release = (): void => {
    if (holder() === pageId) store.remove(name);
  };
  const runWithLease = async (task: () => Promise<void>): Promise<boolean> => {
    if ((holder() ?? pageId) !== pageId) return false;
    claim();
    await sleep(SETTLE_MS);
    if (holder() !== pageId) return false;
    await task();
    release();
    return true;
  };
  return {
    run: async (task) => {
      try {
        await locks?.request(name, () => sleep(SETTLE_MS).then(task));
      } catch {
        // As in a sandboxed frame.
        locks = undefined;
      }
      return locks !== undefined || runWithLease(task);
    },
    renew: () => {
      if (locks === undefined) claim();
    },
    release,
  };
}
