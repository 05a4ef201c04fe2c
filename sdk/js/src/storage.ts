import { isBrowser } from './page-signals.js';

/** Where the client keeps things between pages. Never throws. */
export interface KeyValueStore {
  /** Those that begin with `prefix`, in no order. */
  keys(prefix: string): string[];
  get(key: string): string | null;
  set(key: string, value: string): void;
  remove(key: string): void;
}

/** A store on `localStorage`; what does not go in there (blocked, full, not in a browser) is kept in memory. */
export function createStore(area: Storage | null): KeyValueStore {
  const memory = new Map<string, string>();
  const attempt = <T>(work: (area: Storage) => T, otherwise: T): T => {
    try {
      return area === null ? otherwise : work(area);
    } catch {
      return otherwise;
    }
  };
  return {
    keys: (prefix) =>
      [...memory.keys(), ...attempt((from) => Object.keys(from), [])].filter((key) => key.startsWith(prefix)),
    get: (key) => memory.get(key) ?? attempt((from) => from.getItem(key), null),
    set: (key, value) => {
      const isKept = attempt((to) => (to.setItem(key, value), true), false);
      if (isKept) memory.delete(key);
      else memory.set(key, value);
    },
    remove: (key) => {
      memory.delete(key);
      attempt((from) => from.removeItem(key), undefined);
    },
  };
}

/** The `localStorage` of this page; null where there is none or it is blocked. */
export function localArea(): Storage | null {
  try {
    return isBrowser() ? localStorage : null;
  } catch {
    return null;
  }
}
