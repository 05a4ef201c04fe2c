import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { ComponentReplay } from './component-replay.js';
import { MAX_LANE_ROWS, type ContestedComponent, type EvidencePlace } from './contested-component.model.js';
import type { ContestedComponentStore } from './contested-component.store.js';
import { compareEvidence, evidenceKey, type Evidence } from './evidence.model.js';
import type { IdentityLinkStore } from './identity-link.store.js';
import { NO_LINKS, unionOfLinks, type IdentityLinks } from './identity-links.model.js';
import { isHeardOnce, type IdentityRules } from './identity-rules.model.js';

/*
 * The resolution of one contested component, a bit at a time, so that events are applied in between:
 *
 *   members ──▶ links ──▶ evidence ──▶ replay in canonical order ──▶ groups that are not profiles yet
 *
 * Invariants
 * 1. What is read is no snapshot. Whoever brings something new meanwhile counts up the component's `news`, so that it is
 *    resolved again; what came before the look at `news` is in it. So once nothing new comes, the groups are those of a
 *    replay of all evidence, in whatever order it came.
 * 2. Memory is bounded by `maxRows` rows, each set counted once, and by as many members.
 * 3. A piece of work is bounded: pages of the database, and rows of the replay, whose cost does not grow with the
 *    component.
 */

interface ContestedResolutionParts {
  readonly contested: ContestedComponentStore;
  readonly links: IdentityLinkStore;
  readonly rules: IdentityRules;
  readonly maxRows?: number;
  /** Of each piece of work. */
  readonly sliceRows?: number;
}

export type ResolutionPhase = 'reading' | 'placing' | 'beyond';

const SLICE_ROWS = 2_000;
const MAX_ANCHORS_PER_PAGE = 1_000;
/** Identifiers that change their profile in one transaction, but for a group that has more. */
const MAX_PLACED = 500;

export class ContestedResolution {
  readonly component: ContestedComponent;
  readonly rules: IdentityRules;
  readonly #parts: ContestedResolutionParts;
  readonly #sliceRows: number;
  readonly #members = new Map<Uuid, Identifier>();
  #ids: Uuid[] | null = null;
  #linkedUpTo = 0;
  #links: IdentityLinks = NO_LINKS;
  #readUpTo = 0;
  #place: EvidencePlace | null = null;
  #isRead = false;
  readonly #rows = new Map<string, Evidence>();
  #ordered: Evidence[] | null = null;
  #replayedUpTo = 0;
  #replay: ComponentReplay | null = null;
  #changed: Uuid[][] | null = null;
  #placedUpTo = 0;
  #groups = 0;

  constructor(component: ContestedComponent, parts: ContestedResolutionParts) {
    this.component = component;
    this.rules = parts.rules;
    this.#parts = parts;
    this.#sliceRows = parts.sliceRows ?? SLICE_ROWS;
  }

  /** `beyond`: there is more evidence than is resolved at all. */
  get phase(): ResolutionPhase {
    const { maxRows = MAX_LANE_ROWS } = this.#parts;
    if (this.#rows.size > maxRows || this.#members.size > maxRows) return 'beyond';
    return this.#changed === null ? 'reading' : 'placing';
  }

  /** Rows that a replay needs, and groups that it gave. */
  get size(): { readonly evidenceRows: number; readonly groups: number } {
    return { evidenceRows: this.#replay?.rows ?? this.#rows.size, groups: this.#groups };
  }

  /** One piece of work, while it is reading. */
  async advance(db: Queryable): Promise<void> {
    if (this.#ids === null) await this.#readMembers(db);
    else if (this.#linkedUpTo < this.#ids.length) await this.#readLinks(db, this.#ids);
    else if (!this.#isRead) await this.#readEvidence(db, this.#ids);
    else if (this.#ordered === null) this.#ordered = [...this.#rows.values()].sort(compareEvidence);
    else if (this.#replayedUpTo < this.#ordered.length) this.#replaySome(this.#ordered);
    else await this.#compare(db);
  }

  /** The groups to be placed next; none: all are. */
  next(): readonly (readonly Uuid[])[] {
    const groups: Uuid[][] = [];
    let size = 0;
    for (const group of this.#changed?.slice(this.#placedUpTo) ?? []) {
      if (groups.length > 0 && size + group.length > MAX_PLACED) break;
      groups.push(group);
      size += group.length;
    }
    return groups;
  }

  placed(groups: number): void {
    this.#placedUpTo += groups;
  }

  async #readMembers(db: Queryable): Promise<void> {
    const { contested } = this.#parts;
    const limit = 5 * this.#sliceRows;
    const after = [...this.#members.keys()].at(-1) ?? null;
    const page = await contested.members(db, this.component.id, after, limit);
    for (const member of page) this.#members.set(member.id, member);
    if (page.length < limit) this.#ids = [...this.#members.keys()];
  }

  async #readLinks(db: Queryable, ids: readonly Uuid[]): Promise<void> {
    const page = ids.slice(this.#linkedUpTo, this.#linkedUpTo + 5 * this.#sliceRows);
    this.#links = unionOfLinks(this.#links, await this.#parts.links.around(db, page));
    this.#linkedUpTo += page.length;
  }

  async #readEvidence(db: Queryable, ids: readonly Uuid[]): Promise<void> {
    const anchors = ids.slice(this.#readUpTo, this.#readUpTo + MAX_ANCHORS_PER_PAGE);
    const { rows, next } = await this.#parts.contested.evidence(db, anchors, this.#place, this.#sliceRows);
    const heardOnce = isHeardOnce(this.rules);
    for (const { identifierIds, ...row } of rows) {
      const counted = identifierIds.filter((id) => id === row.anchorId || this.rules.generics?.ids.has(id) !== true);
      const all = this.rules.generics?.ids.has(row.anchorId) === true ? [row.anchorId] : counted;
      const identifiers = all.flatMap((id) => this.#members.get(id) ?? []);
      // One of them came since: so there is news.
      if (identifiers.length < all.length) continue;
      const heard = heardOnce ? row.setId : evidenceKey(row);
      const known = this.#rows.get(heard);
      if (known === undefined || compareEvidence(row, known) < 0) this.#rows.set(heard, { ...row, identifiers });
    }
    this.#readUpTo += next === null ? anchors.length : anchors.indexOf(next.anchorId);
    this.#place = next?.place ?? null;
    this.#isRead = this.#readUpTo >= ids.length;
  }

  #replaySome(ordered: readonly Evidence[]): void {
    const replay = (this.#replay ??= this.#newReplay(ordered));
    for (const row of ordered.slice(this.#replayedUpTo, this.#replayedUpTo + this.#sliceRows)) replay.add(row);
    replay.advance();
    this.#replayedUpTo += this.#sliceRows;
  }

  #newReplay(ordered: readonly Evidence[]): ComponentReplay {
    const replay = new ComponentReplay(this.rules, this.#links);
    for (const row of ordered) replay.foresee(row);
    return replay;
  }

  /** Which groups are not what a profile is. */
  async #compare(db: Queryable): Promise<void> {
    const standing = await this.#parts.contested.standing(db, this.component.id);
    const sizes = new Map<Uuid, number>();
    for (const profileId of standing.values()) sizes.set(profileId, (sizes.get(profileId) ?? 0) + 1);
    const seen = new Set<Uuid>();
    this.#changed = [];
    for (const id of this.#members.keys()) {
      if (seen.has(id)) continue;
      const group = this.#replay?.groupOf(id) ?? [id];
      for (const each of group) seen.add(each);
      this.#groups++;
      const profileId = standing.get(id);
      const isProfile =
        profileId !== undefined &&
        sizes.get(profileId) === group.length &&
        group.every((each) => standing.get(each) === profileId);
      if (!isProfile) this.#changed.push(group.sort());
    }
  }
}
