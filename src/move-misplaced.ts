import type { LoadedDefinitions } from './definitions.js';
import type { GenericValueStore } from './identity/generic-value.store.js';
import type { IdentityRevision } from './identity/revised-identity.model.js';
import { nextPlace } from './next-place.js';
import type { Pipeline } from './pipeline.js';
import type { Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';
import type { FoundAnchors, ReanchoringFinder } from './reanchoring-finder.js';

type MoveParts = Parameters<typeof nextPlace>[0] & {
  readonly finder: ReanchoringFinder;
  readonly generics: GenericValueStore;
  readonly pipeline: Pipeline;
};

interface MoveStep {
  readonly revisionId: Uuid;
  readonly areRulesNew?: boolean;
  /** Values that are generic, or are so no more. */
  readonly ids: readonly Uuid[];
  /** Who is resolved anew with them. */
  readonly others?: readonly Uuid[];
}

/**
 * One step: moves events that belong elsewhere by what the values are, and resolves whomever they name anew.
 * @param note told whether that was all, in the transaction that does it
 */
export async function moveMisplaced(
  parts: MoveParts,
  definitions: LoadedDefinitions,
  { ids, others, ...revision }: MoveStep,
  note: (tx: Transaction, found: IdentityRevision, isLast: boolean) => Promise<void>,
): Promise<void> {
  const { finder, generics, pipeline } = parts;
  const place = await nextPlace(parts);
  let isLast = false;
  let left: FoundAnchors['left'] = [];
  pipeline.forget();
  await pipeline.reanchor(definitions, {
    ...place,
    ...revision,
    find: async (tx) => {
      const found = await finder.find(tx, definitions, ids, others);
      ({ isLast, left } = found);
      return found.reanchored;
    },
    note: async (tx, found) => {
      if (isLast) await generics.moved(tx, ids);
      else if (left.length > 0) await generics.noteLate(tx, left);
      await note(tx, found, isLast);
    },
  });
  pipeline.forget();
}
