import type { LoadedDefinitions } from './definitions.js';
import type { GenericValueStore } from './identity/generic-value.store.js';
import type { IdentityRevision } from './identity/revised-identity.model.js';
import type { Pipeline } from './pipeline.js';
import type { Reanchoring } from './pipeline-work.js';
import type { Clock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import type { ErasureStore } from './privacy/erasure.store.js';
import { ReadTooEarly, type FoundAnchors, type ReadAnchors, type ReanchoringFinder } from './reanchoring-finder.js';

export interface MoveParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly finder: ReanchoringFinder;
  readonly generics: GenericValueStore;
  readonly pipeline: Pipeline;
  readonly erasures: Pick<ErasureStore, 'holdsAny'>;
}

interface MoveStep {
  readonly revisionId: Uuid;
  /** That went before this try; it does less after each. */
  readonly failures: number;
  readonly areRulesNew?: boolean;
  /** Values that are generic, or are so no more. */
  readonly ids: readonly Uuid[];
  /** Who is resolved anew with them. */
  readonly others?: readonly Uuid[];
}

/** Times that what a step moves is read at most, the last with nobody else at work. */
const MAX_READS = 4;

/** Somebody is being erased whose events might be moved. */
class Held extends Error {
  override readonly name = 'Held';
}

/**
 * One step: moves events that belong elsewhere by what the values are, and resolves whomever they name anew. Not while
 * somebody is being erased whose events these may be: moved to who is not that person, they would outlive the erasure.
 * @param note told whether that was all, in the transaction that does it
 * @returns false: it has to wait, and nothing was done
 */
export async function moveMisplaced(
  parts: MoveParts,
  definitions: LoadedDefinitions,
  step: MoveStep,
  note: (tx: Transaction, found: IdentityRevision, isLast: boolean) => Promise<void>,
): Promise<boolean> {
  const { db, erasures } = parts;
  const { ids } = step;
  // What is folded anew here has all events in all streams, and a backfill would add them again.
  if (!definitions.complete || (await erasures.holdsAny(db, ids))) return false;
  for (let attempt = 1; ; attempt++) {
    // Events that are taken back all the time would have it read for ever: then nobody else works meanwhile.
    const read = attempt < MAX_READS ? await parts.finder.read(db, definitions, ids, step.failures) : null;
    try {
      await moveRead(parts, definitions, { step, read }, note);
      return true;
    } catch (error) {
      if (error instanceof Held) return false;
      if (read === null || !(error instanceof ReadTooEarly)) throw error;
    }
  }
}

async function moveRead(
  parts: MoveParts,
  definitions: LoadedDefinitions,
  {
    step: { ids, others, failures, ...revision },
    read,
  }: { readonly step: MoveStep; readonly read: ReadAnchors | null },
  note: (tx: Transaction, found: IdentityRevision, isLast: boolean) => Promise<void>,
): Promise<void> {
  const { clock, erasures, finder, generics, pipeline } = parts;
  let isLast = false;
  let left: FoundAnchors['left'] = [];
  pipeline.forget();
  const reanchoring: Reanchoring = {
    ...revision,
    find: async (tx, { acceptedAt }) => {
      if (await erasures.holdsAny(tx, ids)) throw new Held();
      const found = await finder.find(tx, definitions, ids, { at: acceptedAt, others, read, failures });
      ({ isLast, left } = found);
      return found.reanchored;
    },
    note: async (tx, found) => {
      if (isLast) await generics.moved(tx, ids, clock.now());
      else if (left.length > 0) await generics.noteLate(tx, left);
      await note(tx, found, isLast);
    },
  };
  await pipeline.reanchor(definitions, reanchoring);
  pipeline.forget();
}
