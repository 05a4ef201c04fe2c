import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.js';

export interface ReadThroughOptions<V> {
  /** How old an answer may be, ms. */
  readonly maxAgeMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
  /** Finds what is asked for; null is not kept. `previous` is what was known of it before, however old. */
  readonly load: (key: string, previous: V | undefined) => Promise<V | null>;
  /** Default: an answer past its age never counts. */
  readonly standIn?: StandIn<V>;
}

/** Answers past their age that count nevertheless, while what would tell of a change is away or late. */
export interface StandIn<V> {
  /** From this age on such an answer is looked up anew while it still counts, ms, so that nobody waits. */
  readonly refreshAfterMs: number;
  /** How old it may be, ms. */
  readonly maxAgeMs: number;
  /** How long a look-up is waited for first, ms. */
  readonly patienceMs: number;
  readonly mayStandIn: (value: V) => boolean;
  /** Told of look-ups that failed and that nobody waited for. */
  readonly onError: (error: unknown) => void;
}

interface Entry<V> {
  readonly value: V;
  readonly loadedAtMs: number;
  /** When it was last begun to be looked up anew, ms. */
  triedAtMs: number;
  /** Whether the last look-up has failed, or is late. */
  isUnreachable: boolean;
}

/** Between two look-ups that nobody waits for. */
const RETRY_AFTER_MS = 1_000;

/**
 * What another process may change at any time, as it was a bounded time ago. Concurrent questions for one key share one
 * look-up. After `clear` nobody gets what was looked up before it, not even by a look-up that it overtook.
 */
export class ReadThroughCache<V extends object> {
  readonly #entries: LRUCache<string, Entry<V>>;
  #loading = new Map<string, Promise<V | null>>();

  constructor(private readonly options: ReadThroughOptions<V>) {
    this.#entries = new LRUCache({ max: options.maxEntries });
  }

  /** What is in memory and counts; undefined where it has to be looked up. */
  known(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const nowMs = this.options.clock.now();
    const ageMs = nowMs - entry.loadedAtMs;
    const { maxAgeMs, standIn } = this.options;
    const isFresh = ageMs < maxAgeMs;
    if (standIn === undefined || !this.#mayStandIn(entry)) return isFresh ? entry.value : undefined;
    if (!isFresh && !entry.isUnreachable) return undefined;
    if (ageMs >= standIn.refreshAfterMs && nowMs - entry.triedAtMs >= RETRY_AFTER_MS) this.#refresh(key);
    return entry.value;
  }

  /** @throws what `load` throws; it is asked again the next time */
  get(key: string): Promise<V | null> {
    const known = this.known(key);
    if (known !== undefined) return Promise.resolve(known);
    const loading = this.#loading.get(key) ?? this.#load(key);
    const entry = this.#entries.peek(key);
    const { standIn } = this.options;
    if (entry === undefined || standIn === undefined || !this.#mayStandIn(entry)) return loading;
    return standingIn(loading, entry, standIn);
  }

  clear(): void {
    this.#entries.clear();
    this.#loading = new Map();
  }

  #mayStandIn({ value, loadedAtMs }: Entry<V>): boolean {
    const { standIn, clock } = this.options;
    return standIn !== undefined && clock.now() - loadedAtMs < standIn.maxAgeMs && standIn.mayStandIn(value);
  }

  #refresh(key: string): void {
    if (this.#loading.has(key)) return;
    this.#load(key).catch((error: unknown) => this.options.standIn?.onError(error));
  }

  #load(key: string): Promise<V | null> {
    const generation = this.#loading;
    const loadedAtMs = this.options.clock.now();
    const entry = this.#entries.peek(key);
    if (entry !== undefined) entry.triedAtMs = loadedAtMs;
    const loading = this.options
      .load(key, entry?.value)
      .then((value) => {
        if (generation !== this.#loading) return value;
        if (value === null) this.#entries.delete(key);
        else this.#entries.set(key, { value, loadedAtMs, triedAtMs: loadedAtMs, isUnreachable: false });
        return value;
      })
      .catch((error: unknown) => {
        if (entry !== undefined) entry.isUnreachable = true;
        throw error;
      })
      .finally(() => generation.delete(key));
    generation.set(key, loading);
    return loading;
  }
}

/** What the look-up finds, or what was known before where it fails or takes too long. */
function standingIn<V>(
  loading: Promise<V | null>,
  entry: Entry<V>,
  { patienceMs, onError }: StandIn<V>,
): Promise<V | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      entry.isUnreachable = true;
      resolve(entry.value);
    }, patienceMs);
    loading.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        onError(error);
        resolve(entry.value);
      },
    );
  });
}
