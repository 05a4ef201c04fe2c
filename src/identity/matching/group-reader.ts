import type { Identifier } from '../../events/event.model.js';
import type { Uuid } from '../../platform/ids.js';
import type { Transaction } from '../../platform/postgres.js';
import type { IdentityLinkStore } from '../identity-link.store.js';
import { compareByPriority, isHeardOnce, type IdentityRules } from '../identity-rules.model.js';
import type { IdentityStore } from '../identity.store.js';
import { MAX_REPLAY_ROWS } from '../resolve-component.js';
import { MAX_SPLIT_ROWS, splitComponent } from '../split-component.js';

/** Who is one person by evidence and by what people decided, whatever models linked. */
export interface IdentityGroup {
  /** The identifier of highest priority, so that it hardly ever changes. */
  readonly id: Uuid;
  readonly identifiers: readonly Identifier[];
}

export interface IdentityGroups {
  readonly groups: readonly IdentityGroup[];
  /** All identifiers that were looked at, and those that are no more. */
  readonly identifierIds: readonly Uuid[];
  /** Components that have too much evidence to be resolved at once: nobody of them is in a group. */
  readonly contested: number;
}

export interface GroupReaderOptions {
  readonly store: Pick<IdentityStore, 'loadComponents' | 'loadEvidence'>;
  readonly links: Pick<IdentityLinkStore, 'around'>;
  readonly maxReplayRows?: number;
}

/** Works out groups of identifiers; a function of evidence, rules and what people decided. Keeps nothing. */
export class GroupReader {
  readonly #options: GroupReaderOptions;

  constructor(options: GroupReaderOptions) {
    this.#options = options;
  }

  /** All groups of the components that these identifiers are in. */
  async around(tx: Transaction, ids: readonly Uuid[], rules: IdentityRules): Promise<IdentityGroups> {
    const { store, links, maxReplayRows = MAX_REPLAY_ROWS } = this.#options;
    const components = await store.loadComponents(tx, ids);
    const limit = MAX_SPLIT_ROWS + 1;
    const evidence = await store.loadEvidence(tx, components, { rules, perDay: !isHeardOnce(rules), limit });
    const members = components.flatMap((component) => [...component.members.keys()]);
    const byHand = await links.around(tx, members, 'person');
    const groups: IdentityGroup[] = [];
    let contested = 0;
    for (const component of components) {
      const rows = evidence.get(component) ?? [];
      const known = { ...component, evidence: rows, links: byHand, rules, maxReplayRows };
      const parts = rows.length === limit ? null : splitComponent(known).parts;
      contested += parts === null ? 1 : parts.filter((part) => part.groups === null).length;
      for (const group of (parts ?? []).flatMap((part) => part.groups ?? [])) {
        const identifiers = group.flatMap((id) => component.members.get(id) ?? []);
        const [first] = identifiers.sort((a, b) => compareByPriority(rules, a, b));
        if (first !== undefined) groups.push({ id: first.id, identifiers });
      }
    }
    return { groups, identifierIds: [...new Set([...ids, ...members])], contested };
  }
}
