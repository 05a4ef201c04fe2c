/** Calls `task` after a while; returns what calls it off. */
export type Later = (task: () => void, delayMs: number) => () => void;

/** Time and chance, which tests set as they like. */
export interface Runtime {
  /** ms since 1970. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Does not keep a Node process alive. */
  readonly later: Later;
  /** Does keep a Node process alive: somebody waits. */
  readonly sleep: (ms: number) => Promise<void>;
}

export const systemRuntime: Runtime = {
  now: Date.now,
  random: Math.random,
  later: (task, delayMs) => {
    const timer: unknown = setTimeout(task, delayMs);
    (timer as { unref?: () => void }).unref?.();
    return () => clearTimeout(timer as number);
  },
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
