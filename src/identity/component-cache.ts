import type { Uuid } from '../platform/ids.js';
import { addMember, sizeOf, trimWritten, type Component, type KnownIdentifier } from './component.model.js';

/**
 * Components in memory, found by any of their identifiers. Those of the batch in hand are pinned: they stay however
 * small the cache is. What a component takes is counted anew after each batch, with all of its evidence.
 */
export class ComponentCache {
  readonly #byIdentifier = new Map<Uuid, Component>();
  /** Those that may be evicted, with what each takes: what was used last comes last. */
  readonly #sizes = new Map<Component, number>();
  #size = 0;
  readonly #pinned = new Set<Component>();
  /** Of the batch in hand, by id: of these only the members that it names are here. */
  readonly #contested = new Map<Uuid, Component>();

  /** @param maxSize in identifiers and rows of evidence */
  constructor(private readonly maxSize: number) {}

  /** Identifiers and rows of evidence that are not pinned. */
  get size(): number {
    return this.#size;
  }

  /** Whether the batch in hand names members of contested components. */
  get hasContested(): boolean {
    return this.#contested.size > 0;
  }

  of(identifierId: Uuid): Component | undefined {
    return this.#byIdentifier.get(identifierId);
  }

  pin(component: Component): void {
    this.#pinned.add(component);
  }

  /** A component that was not here before, or more members of a contested one; pinned. */
  add(component: Component): void {
    const standing = this.#contested.get(component.id);
    if (standing !== undefined) {
      for (const member of component.members.values()) addMember(standing, member);
      for (const id of component.members.keys()) this.#byIdentifier.set(id, standing);
      return;
    }
    if (component.isContested) this.#contested.set(component.id, component);
    this.#pinned.add(component);
    for (const id of component.members.keys()) this.#byIdentifier.set(id, component);
  }

  addMember(component: Component, identifier: KnownIdentifier): void {
    this.#byIdentifier.set(identifier.id, component);
  }

  /** After `into` absorbed `from`. */
  joined(into: Component, from: Component): void {
    for (const id of from.members.keys()) this.#byIdentifier.set(id, into);
    this.#drop(from);
    this.#pinned.delete(from);
    this.#contested.delete(from.id);
    if (into.isContested) this.#contested.set(into.id, into);
  }

  /** After the commit: what was pinned may be evicted again, and what is contested goes. */
  release(): void {
    for (const component of this.#pinned) {
      trimWritten(component);
      this.#drop(component);
      const size = sizeOf(component);
      if (component.isContested || size > this.maxSize) {
        this.#unindex(component);
        continue;
      }
      this.#sizes.set(component, size);
      this.#size += size;
    }
    this.#pinned.clear();
    this.#contested.clear();
    for (const component of this.#sizes.keys()) {
      if (this.#size <= this.maxSize) return;
      this.#drop(component);
      this.#unindex(component);
    }
  }

  forget(): void {
    this.#sizes.clear();
    this.#size = 0;
    this.#byIdentifier.clear();
    this.#pinned.clear();
    this.#contested.clear();
  }

  /** From what may be evicted. */
  #drop(component: Component): void {
    const size = this.#sizes.get(component);
    if (size === undefined) return;
    this.#sizes.delete(component);
    this.#size -= size;
  }

  #unindex(component: Component): void {
    for (const id of component.members.keys()) {
      if (this.#byIdentifier.get(id) === component) this.#byIdentifier.delete(id);
    }
  }
}
