import type { Clock } from '../platform/clock.js';
import { nameHint, nearestName } from '../platform/near-names.js';
import type { Queryable } from '../platform/postgres.js';
import { ReadThroughCache } from '../platform/read-through-cache.js';

/** Identifiers that are looked at; there may be namespaces beyond. */
const MAX_IDENTIFIERS = 1_000_000;
const MAX_NAMESPACES = 1_000;
/** How long a look holds: nobody makes the database go through all identifiers more often. */
const MAX_AGE_MS = 30_000;
/** How long nothing is looked at once there were too many identifiers for a look to tell anything. */
const BLIND_MS = 6 * 60 * 60_000;
const ALL = 'all';

interface SeenNamespaces {
  readonly names: ReadonlySet<string>;
  /** False: there may be others. */
  readonly isComplete: boolean;
}

export interface NamespaceReaderOptions {
  readonly db: Queryable;
  readonly clock: Clock;
  /** Those that are known before an event carries them; any other well formed one may be sent, too. */
  readonly declared: () => Iterable<string>;
}

/** Tells a mistyped namespace from one in which somebody is not known. */
export class NamespaceReader {
  readonly #declared: () => Iterable<string>;
  readonly #seen: ReadThroughCache<SeenNamespaces>;
  readonly #clock: Clock;
  #blindUntil = Number.NEGATIVE_INFINITY;

  constructor({ db, clock, declared }: NamespaceReaderOptions) {
    this.#clock = clock;
    this.#declared = declared;
    this.#seen = new ReadThroughCache({ maxAgeMs: MAX_AGE_MS, maxEntries: 1, clock, load: () => seenNamespaces(db) });
  }

  /** What to write in place of what has not the form of a namespace. */
  formHint(namespace: string): string {
    return nameHint(
      namespace,
      this.#declared(),
      'namespaces are lower-case words such as email, user_id, anonymous_id',
    );
  }

  /**
   * What to write in place of a namespace that is mistyped: neither declared nor carried by any identifier, as of at most
   * half a minute ago, and like one that is. Else null: whatever is well formed may be sent, and perhaps has not been yet.
   * Among a million identifiers or more it does not look.
   */
  async nearest(namespace: string): Promise<string | null> {
    const declared = new Set(this.#declared());
    if (declared.has(namespace) || this.#clock.now() < this.#blindUntil) return null;
    const seen = await this.#seen.get(ALL);
    if (seen?.isComplete === false) this.#blindUntil = this.#clock.now() + BLIND_MS;
    if (seen?.isComplete !== true || seen.names.has(namespace)) return null;
    return nearestName(namespace, [...declared, ...seen.names]) ?? null;
  }
}

async function seenNamespaces(db: Queryable): Promise<SeenNamespaces> {
  const rows = await db.query<{ ns: string; count: number }>(
    `SELECT ns, count(*)::int4 AS count FROM (SELECT ns FROM identifiers LIMIT $1::int4) s GROUP BY ns LIMIT $2::int4`,
    [MAX_IDENTIFIERS, MAX_NAMESPACES],
  );
  const identifiers = rows.reduce((sum, { count }) => sum + count, 0);
  return {
    names: new Set(rows.map(({ ns }) => ns)),
    isComplete: identifiers < MAX_IDENTIFIERS && rows.length < MAX_NAMESPACES,
  };
}
