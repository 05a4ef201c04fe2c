import type { LoggedEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import type { ComponentCache } from './component-cache.js';
import type { ReadAhead } from './components-ahead.js';
import { ComponentReplay } from './component-replay.js';
import { linkComponent, replayOf } from './component.model.js';
import { evidenceOf, writtenKey } from './evidence.model.js';
import { findBeyondLimits } from './find-beyond-limits.js';
import type { IdentityLinkStore } from './identity-link.store.js';
import { LinkIndex } from './identity-links.model.js';
import { isHeardOnce, type IdentityRules } from './identity-rules.model.js';
import type { IdentityStore } from './identity.store.js';

interface LoaderParts {
  readonly store: IdentityStore;
  readonly links: IdentityLinkStore;
  /** What is read comes here. */
  readonly cache: ComponentCache;
  /** What was read of the batch before; null: nothing. */
  readonly ahead: ReadAhead | null;
  readonly rules: IdentityRules;
  /** Rows of evidence beyond which a component is contested. */
  readonly maxReplayRows: number;
}

/** Events of a batch, in order. */
interface LoadedFor {
  /** With the identifiers alone that count. */
  readonly events: readonly LoggedEvent[];
  /** The same with all that they have. */
  readonly logged: readonly LoggedEvent[];
  /** Whether there may be links by hand. */
  readonly hasLinks: boolean;
}

/** Reads what resolving a batch needs and the cache lacks, before its first event: some queries, however many events. */
export class IdentityBatchLoader {
  readonly #parts: LoaderParts;

  constructor(parts: LoaderParts) {
    this.#parts = parts;
  }

  /** @returns the links of everybody concerned; null: there may be none */
  async load(tx: Transaction, { events, logged, hasLinks }: LoadedFor): Promise<LinkIndex | null> {
    await this.#loadComponents(tx, events);
    const links = hasLinks ? await this.#loadLinks(tx, events) : null;
    await this.#loadEvidence(tx, events, logged, links);
    return links;
  }

  async #loadComponents(tx: Transaction, events: readonly LoggedEvent[]): Promise<void> {
    const { ahead, cache, store } = this.#parts;
    for (const component of ahead?.components ?? []) cache.add(component);
    const missing = new Set<Uuid>();
    for (const { identifiers } of events) {
      for (const { id } of identifiers) {
        const component = cache.of(id);
        if (component !== undefined) cache.pin(component);
        else if (ahead?.ids.has(id) !== true) missing.add(id);
      }
    }
    for (const component of await store.loadStandingComponents(tx, [...missing])) cache.add(component);
  }

  /** The links of everybody concerned, with the components that those of new identifiers lead to. */
  async #loadLinks(tx: Transaction, events: readonly LoggedEvent[]): Promise<LinkIndex> {
    const { links, store } = this.#parts;
    const index = new LinkIndex();
    let ids = this.#withUnknownLinks(events.flatMap(({ identifiers }) => identifiers.map(({ id }) => id)));
    while (ids.length > 0) {
      const found = await links.around(tx, ids);
      index.add(found);
      const looked = new Set(ids.flatMap((id) => this.#parts.cache.of(id) ?? []));
      for (const component of looked) {
        linkComponent(component, index.around(component.members.keys()));
        component.areLinksKnown = true;
      }
      const ends = found.mustLinks.flat();
      for (const component of ends.flatMap((id) => this.#parts.cache.of(id) ?? [])) this.#parts.cache.pin(component);
      const missing = ends.filter((id) => this.#parts.cache.of(id) === undefined);
      for (const component of await store.loadStandingComponents(tx, missing)) this.#parts.cache.add(component);
      ids = this.#withUnknownLinks(ends.filter((id) => this.#parts.cache.of(id) !== undefined));
    }
    return index;
  }

  /** Of these, the new identifiers, and all members of components whose links were not looked for. */
  #withUnknownLinks(ids: readonly Uuid[]): Uuid[] {
    const unknown = new Set<Uuid>();
    for (const id of ids) {
      const component = this.#parts.cache.of(id);
      if (component === undefined) unknown.add(id);
      else if (!component.areLinksKnown) for (const member of component.members.keys()) unknown.add(member);
    }
    return [...unknown];
  }

  async #loadEvidence(
    tx: Transaction,
    events: readonly LoggedEvent[],
    logged: readonly LoggedEvent[],
    links: LinkIndex | null,
  ): Promise<void> {
    const { store } = this.#parts;
    const rules = this.#parts.rules;
    const replayed = findBeyondLimits(events, (id) => this.#parts.cache.of(id), rules, links);
    const unread = replayed.filter((component) => !component.isContested && replayOf(component, rules) === null);
    const options = { rules, perDay: !isHeardOnce(rules), limit: this.#parts.maxReplayRows + 1 };
    for (const [component, rows] of await store.loadEvidence(tx, unread, options)) {
      component.replay = new ComponentReplay(rules, component.links);
      for (const row of rows) component.replay.add(row);
    }
    await this.#loadWritten(tx, logged);
  }

  /** What is known already of contested components' evidence, for those do not stay in memory. */
  async #loadWritten(tx: Transaction, events: readonly LoggedEvent[]): Promise<void> {
    if (!this.#parts.cache.hasContested) return;
    const said = events.filter(({ identifiers }) =>
      identifiers.some(({ id }) => this.#parts.cache.of(id)?.isContested),
    );
    for (const row of await this.#parts.store.loadWritten(
      tx,
      said.map((event) => evidenceOf(event, this.#parts.rules)),
    )) {
      this.#parts.cache.of(row.anchorId)?.written.set(writtenKey(row), row);
    }
  }
}
