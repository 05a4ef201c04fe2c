import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { BlockedTest } from './blocked-patterns.js';
import { componentsNaming, MAX_MENTIONS, type NamedValue } from './component-page.reader.js';
import { genericBoundOf } from './generic-value.model.js';
import { GenericValueReader } from './generic-value.reader.js';
import type { GenericValueStore } from './generic-value.store.js';
import type { IdentityRules } from './identity-rules.model.js';

/** Components that become one, and the values that make them so. */
export interface JoinedComponents {
  /** By rising id. */
  readonly ids: readonly Uuid[];
  readonly released: readonly Identifier[];
}

/** What other rules make of the values that are generic now. */
export interface PreviewedValues {
  /** Values that would be generic no more, as far as whom they join is worked out. */
  readonly released: ReadonlySet<Uuid>;
  /** Whom they were seen with, by component: others are of none. */
  readonly joined: ReadonlyMap<Uuid, JoinedComponents>;
  /** How many would be so because they are blocked. */
  readonly blocked: number;
  /** Whether there is more to be joined than is looked at. */
  readonly isCut: boolean;
}

const VALUES_PER_PAGE = 1_000;
/** Components that are worked out together, at most. */
const MAX_JOINED = 2_000;

/** Says which of the values that are generic would be so no more, and whom they would join. */
export async function previewValues(
  db: Queryable,
  generics: GenericValueStore,
  rules: IdentityRules,
  { isBlocked, areCounted }: { readonly isBlocked: BlockedTest; readonly areCounted: boolean },
): Promise<PreviewedValues> {
  const released: Identifier[] = [];
  let blocked = 0;
  const reader = new GenericValueReader(db);
  for (let after: Uuid | null = null, isLast = false; !isLast;) {
    const page = await reader.standing(after, VALUES_PER_PAGE);
    for (const { id, ns, value, isKept, ...standing } of page) {
      if (isBlocked(ns, value)) blocked++;
      else if (standing.isBlocked || areCounted) {
        const isShared = !isKept && (await generics.neighboursOf(db, id, rules)) > genericBoundOf(rules);
        if (!isShared) released.push({ id, ns, value });
      }
    }
    isLast = page.length < VALUES_PER_PAGE;
    after = page.at(-1)?.id ?? null;
  }
  const mentions = await componentsNaming(
    db,
    released.map(({ id }) => id),
    MAX_MENTIONS + 1,
  );
  const joined = joinedBy(released, mentions.slice(0, MAX_MENTIONS));
  const fitting = [...joined].filter(([, { ids }]) => ids.length <= MAX_JOINED);
  // The others stay as they are here: what is named by components that are not worked out is none of the rest.
  const workedOut = new Set(fitting.flatMap(([, group]) => group.released.map(({ id }) => id)));
  return {
    released: workedOut,
    joined: new Map(fitting),
    blocked,
    isCut: mentions.length > MAX_MENTIONS || fitting.length < joined.size,
  };
}

function joinedBy(values: readonly Identifier[], mentions: readonly NamedValue[]): Map<Uuid, JoinedComponents> {
  const groupOf = new Map<Uuid, { ids: Uuid[]; valueIds: Set<Uuid> }>();
  const byValue = new Map<Uuid, Uuid[]>();
  for (const { valueId, componentId } of mentions) {
    byValue.set(valueId, [...(byValue.get(valueId) ?? []), componentId]);
  }
  for (const [valueId, componentIds] of byValue) {
    const groups = new Set(componentIds.flatMap((id) => groupOf.get(id) ?? []));
    const known = [...groups].flatMap(({ ids }) => ids);
    const group = {
      ids: [...new Set([...known, ...componentIds])],
      valueIds: new Set([valueId, ...[...groups].flatMap(({ valueIds }) => [...valueIds])]),
    };
    for (const id of group.ids) groupOf.set(id, group);
  }
  const told = new Map<object, JoinedComponents>();
  return new Map(
    [...groupOf].map(([id, group]) => {
      const joined = told.get(group) ?? {
        ids: [...group.ids].sort(),
        released: values.filter((value) => group.valueIds.has(value.id)),
      };
      told.set(group, joined);
      return [id, joined];
    }),
  );
}
