import type { EventHistoryReader, HistoryOptions } from '../events/event-history.reader.js';
import { compareCanonical, type Identifier } from '../events/event.model.js';
import { int4Array, uuidArray } from '../platform/binary-arrays.js';
import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { assignmentsOf } from './assignment.store.js';
import { EvidenceTimeline } from './evidence-timeline.js';
import { evidenceKey, evidenceOf, type Evidence } from './evidence.model.js';
import { IdentityDecisionReader } from './identity-decision.reader.js';
import { linkEpochs, type DatedLink } from './link-epochs.js';
import { withinLimits, type IdentityRules } from './identity-rules.model.js';
import { MAX_REPLAY_ROWS } from './resolve-component.js';

/** Whom an identifier stands for. */
export interface Standing {
  /** Equal for equal people, as far as known; the profile's id where it is the profile of now. */
  readonly key: string;
  /** All identifiers of the person; the events that hang on one of them are theirs. */
  readonly identifierIds: readonly Uuid[];
}

export interface StandingAsk {
  readonly identifierId: Uuid;
  /** Only what was known by then counts, ms. */
  readonly knownAtMs: number;
}

export interface ProfileIdentifiers {
  readonly profileId: Uuid;
  readonly identifiers: readonly (readonly [id: Uuid, ns: string, value: string])[];
}

interface IdentityHistoryParts {
  readonly rules: IdentityRules;
  readonly events: EventHistoryReader;
  /** Rows of evidence beyond which a component is not replayed; as in the pipeline, or two answers would differ. */
  readonly maxReplayRows?: number;
}

/** A raw component as it is now, with those that must-links ever joined it to: all that was seen together, limits ignored. */
interface HistoryComponent {
  readonly members: Map<Uuid, Identifier>;
  /** Links by hand with an end in it, those of the past too. */
  links: readonly DatedLink[];
}

type GroupAt = (identifierId: Uuid, knownAtMs: number) => Promise<readonly Uuid[] | null>;

/** Reads who belongs together: now, or as it was known at an instant of the past. */
export class IdentityHistoryReader {
  readonly #rules: IdentityRules;
  readonly #events: EventHistoryReader;
  readonly #maxReplayRows: number;
  readonly #decisions = new IdentityDecisionReader();

  constructor({ rules, events, maxReplayRows = MAX_REPLAY_ROWS }: IdentityHistoryParts) {
    this.#rules = rules;
    this.#events = events;
    this.#maxReplayRows = maxReplayRows;
  }

  /** Whom the identifiers stand for now; those that were never seen are left out. */
  async now(db: Queryable, identifierIds: readonly Uuid[]): Promise<Map<Uuid, Standing>> {
    const asked = await this.profilesOf(db, identifierIds);
    const { rows } = await db.run<{ id: Uuid; profile_id: Uuid }>({
      name: 'identity-history-profiles',
      text: 'SELECT id, profile_id FROM identifiers WHERE profile_id = ANY ($1::uuid[]) ORDER BY id',
      values: [uuidArray([...new Set(asked.values())], (id) => id)],
    });
    const standings = new Map<Uuid, Standing & { readonly identifierIds: Uuid[] }>();
    for (const { id, profile_id: key } of rows) {
      const standing = standings.get(key);
      if (standing === undefined) standings.set(key, { key, identifierIds: [id] });
      else standing.identifierIds.push(id);
    }
    const found = new Map<Uuid, Standing>();
    for (const [id, profileId] of asked) {
      const standing = standings.get(profileId);
      if (standing !== undefined) found.set(id, standing);
    }
    return found;
  }

  /** Those who are people now, by the id of their profile, which is their key. @param after the last one of the page before */
  async peopleAfter(db: Queryable, after: Uuid | null, limit: number): Promise<Standing[]> {
    const { rows } = await db.run<{ profile_id: Uuid; ids: readonly Uuid[] }>({
      name: 'identity-history-people',
      text: `SELECT profile_id, array_agg(id ORDER BY id) AS ids FROM identifiers
             WHERE profile_id > $1 GROUP BY profile_id ORDER BY profile_id LIMIT $2`,
      values: [after ?? LEAST_ID, limit],
    });
    return rows.map(({ profile_id: key, ids }) => ({ key, identifierIds: ids }));
  }

  /** The same people with their identifiers as `[id, namespace, value]`. */
  async identifiersAfter(db: Queryable, after: Uuid | null, limit: number): Promise<ProfileIdentifiers[]> {
    const { rows } = await db.run<{ profile_id: Uuid; own: ProfileIdentifiers['identifiers'] }>({
      name: 'identity-history-identifiers-after',
      text: `SELECT profile_id, json_agg(json_build_array(id, ns, value) ORDER BY ns, value) AS own FROM identifiers
             WHERE profile_id > $1 GROUP BY profile_id ORDER BY profile_id LIMIT $2`,
      values: [after ?? LEAST_ID, limit],
    });
    return rows.map(({ profile_id: profileId, own }) => ({ profileId, identifiers: own }));
  }

  /** The profiles that the identifiers stand for now. */
  async profilesOf(db: Queryable, identifierIds: readonly Uuid[]): Promise<Map<Uuid, Uuid>> {
    const { rows } = await db.run<{ id: Uuid; profile_id: Uuid }>({
      name: 'identity-history-identifiers',
      text: 'SELECT id, profile_id FROM identifiers WHERE id = ANY ($1::uuid[])',
      values: [uuidArray([...new Set(identifierIds)], (id) => id)],
    });
    return new Map(rows.map((row) => [row.id, row.profile_id]));
  }

  /**
   * Whom each identifier stood for as far as was known at its instant, at the index it was asked at; null where it was
   * not known by then. A function of the log up to `log.toPos`, except for components of more than 10,000 rows of evidence:
   * those stand as the pipeline left them at the time.
   */
  async knownAt(
    tx: Transaction,
    asks: readonly StandingAsk[],
    log: Pick<HistoryOptions, 'toPos' | 'onDamaged'>,
  ): Promise<(Standing | null)[]> {
    if (asks.length === 0) return [];
    const ids = asks.map((ask) => ask.identifierId);
    const latestMs = asks.reduce((latest, ask) => Math.max(latest, ask.knownAtMs), -Infinity);
    const components = await this.#linkedComponents(tx, ids);
    const evidence = await this.#evidence(tx, components, latestMs);
    const componentOf = new Map<Uuid, HistoryComponent>();
    for (const component of components) for (const id of component.members.keys()) componentOf.set(id, component);
    const groupAts = new Map<HistoryComponent, GroupAt>();
    const answers: (Standing | null)[] = asks.map(() => null);
    const byTime = asks.map((ask, index) => ({ ...ask, index })).sort((a, b) => a.knownAtMs - b.knownAtMs);
    for (const { identifierId, knownAtMs, index } of byTime) {
      const component = componentOf.get(identifierId);
      if (component === undefined) continue;
      let groupAt = groupAts.get(component);
      if (groupAt === undefined) {
        groupAt = await this.#groups(tx, component, evidence.get(component) ?? null, latestMs, log);
        groupAts.set(component, groupAt);
      }
      const group = await groupAt(identifierId, knownAtMs);
      if (group !== null) answers[index] = { key: group.join(' '), identifierIds: group };
    }
    return answers;
  }

  /**
   * The groups of one component, to be asked for rising instants.
   * @param rows null: too many to be replayed
   */
  async #groups(
    tx: Transaction,
    component: HistoryComponent,
    rows: readonly Evidence[] | null,
    latestMs: number,
    log: Pick<HistoryOptions, 'toPos' | 'onDamaged'>,
  ): Promise<GroupAt> {
    if (rows === null) {
      return (id, knownAtMs) => this.#assignedGroup(tx, component, id, knownAtMs);
    }
    const counts = new Map<string, number>();
    const seen = new Map(rows.flatMap((row) => row.identifiers.map(({ id, ns }) => [id, ns] as const)));
    for (const ns of seen.values()) counts.set(ns, (counts.get(ns) ?? 0) + 1);
    // Within limits only who was seen together matters. Beyond them so does when, and a row of evidence may have got
    // its time from an event that came later.
    const hasCannotLinks = component.links.some(({ kind }) => kind === 'cannot');
    const exact = withinLimits(counts, this.#rules, hasCannotLinks)
      ? rows
      : await this.#newsOf(tx, component, latestMs, log);
    const timeline = new EvidenceTimeline(exact, this.#rules, linkEpochs(component.links));
    return (id, knownAtMs) => Promise.resolve(timeline.groupAt(id, knownAtMs));
  }

  /** Every event that was news when it was accepted, as evidence. */
  async #newsOf(
    tx: Transaction,
    component: HistoryComponent,
    latestMs: number,
    log: Pick<HistoryOptions, 'toPos' | 'onDamaged'>,
  ): Promise<Evidence[]> {
    const news: Evidence[] = [];
    const least = new Map<string, Evidence>();
    const group = { anchorIds: [...component.members.keys()], untilMs: latestMs };
    const options = { ...log, acceptedUntilMs: latestMs, order: 'accepted' } as const;
    for await (const page of this.#events.read(tx, [group], options)) {
      for (const { event } of page) {
        const evidence = evidenceOf(event, this.#rules);
        const key = evidenceKey(evidence);
        const standing = least.get(key);
        if (standing !== undefined && compareCanonical(standing.key, evidence.key) <= 0) continue;
        least.set(key, evidence);
        news.push(evidence);
      }
    }
    return news;
  }

  /** The components of these, as one where a link ever said that they are. */
  async #linkedComponents(db: Queryable, identifierIds: readonly Uuid[]): Promise<HistoryComponent[]> {
    const all = new Map<Uuid, HistoryComponent>();
    let ids = identifierIds;
    while (ids.length > 0) {
      const found = await this.#components(db, ids);
      for (const component of found) for (const id of component.members.keys()) all.set(id, component);
      const members = found.flatMap((component) => [...component.members.keys()]);
      const links = members.length === 0 ? [] : await this.#decisions.linksEverAround(db, members);
      for (const link of links) for (const id of [link.a, link.b]) addLink(all.get(id), link);
      ids = links.flatMap(({ kind, a, b }) => (kind === 'must' ? [a, b].filter((id) => !all.has(id)) : []));
      // Ends that nobody has seen have no component, and lead nowhere.
      ids = ids.length === 0 ? ids : await this.#known(db, ids);
    }
    for (const component of new Set(all.values())) {
      for (const { kind, a, b } of component.links) {
        const [x, y] = [all.get(a), all.get(b)];
        if (kind === 'must' && x !== undefined && y !== undefined && x !== y) joinInto(x, y, all);
      }
    }
    return [...new Set(all.values())];
  }

  async #known(db: Queryable, ids: readonly Uuid[]): Promise<Uuid[]> {
    return [...(await this.profilesOf(db, ids)).keys()];
  }

  async #components(db: Queryable, identifierIds: readonly Uuid[]): Promise<HistoryComponent[]> {
    const { rows } = await db.run<{ id: Uuid; ns: string; value: string; component_id: Uuid }>({
      name: 'identity-history-components',
      text: `SELECT i.id, i.ns, i.value, i.component_id
             FROM (SELECT DISTINCT component_id FROM identifiers WHERE id = ANY ($1::uuid[]) OFFSET 0) c
             JOIN identifiers i ON i.component_id = c.component_id`,
      values: [uuidArray([...new Set(identifierIds)], (id) => id)],
    });
    const components = new Map<Uuid, HistoryComponent>();
    for (const { id, ns, value, component_id: componentId } of rows) {
      const component = components.get(componentId) ?? { members: new Map<Uuid, Identifier>(), links: [] };
      components.set(componentId, component);
      component.members.set(id, { id, ns, value });
    }
    return [...components.values()];
  }

  /** What is stored of each component, known by then; components with more than may be replayed are left out. */
  async #evidence(
    db: Queryable,
    components: readonly HistoryComponent[],
    knownAtMs: number,
  ): Promise<Map<HistoryComponent, Evidence[]>> {
    const { rows: counts } = await db.run<{ place: number; n: number }>({
      name: 'identity-history-evidence-count',
      text: `SELECT m.place, sum(e.n)::int8 AS n FROM ${MEMBERS} CROSS JOIN LATERAL (
               SELECT count(*) AS n FROM evidence WHERE anchor_id = m.id AND known_at <= $3::int8
             ) e GROUP BY m.place`,
      values: memberArrays(components, knownAtMs),
    });
    const small = counts.filter(({ n }) => n <= this.#maxReplayRows).map(({ place }) => components[place]);
    const replayed = small.filter((component) => component !== undefined);
    const { rows } = await db.run<EvidenceRow>({
      name: 'identity-history-evidence',
      text: `SELECT m.place, e.* FROM ${MEMBERS} CROSS JOIN LATERAL (
               SELECT anchor_id, set_id, day, occurred_at, source_id, message_id, known_at, identifier_ids
               FROM evidence WHERE anchor_id = m.id AND known_at <= $3::int8 OFFSET 0
             ) e`,
      values: memberArrays(replayed, knownAtMs),
    });
    const evidence = new Map(replayed.map((component) => [component, [] as Evidence[]]));
    for (const row of rows) {
      const component = replayed[row.place];
      if (component !== undefined) evidence.get(component)?.push(toEvidence(row, component));
    }
    return evidence;
  }

  async #assignedGroup(
    db: Queryable,
    component: HistoryComponent,
    identifierId: Uuid,
    knownAtMs: number,
  ): Promise<readonly Uuid[] | null> {
    const { rows } = await db.run<{ identifier_id: Uuid; profile_id: Uuid }>({
      name: 'identity-history-assignments',
      text: `SELECT DISTINCT ON (identifier_id) identifier_id, profile_id FROM ${assignmentsOf('$1::uuid[]')}
             WHERE from_at <= $2::int8 ORDER BY identifier_id, from_pos DESC`,
      values: [uuidArray([...component.members.keys()], (id) => id), knownAtMs],
    });
    const profileId = rows.find((row) => row.identifier_id === identifierId)?.profile_id;
    if (profileId === undefined) return null;
    return rows.filter((row) => row.profile_id === profileId).map((row) => row.identifier_id);
  }
}

function addLink(component: HistoryComponent | undefined, link: DatedLink): void {
  if (component !== undefined && !component.links.includes(link)) component.links = [...component.links, link];
}

function joinInto(into: HistoryComponent, from: HistoryComponent, all: Map<Uuid, HistoryComponent>): void {
  for (const [id, identifier] of from.members) {
    into.members.set(id, identifier);
    all.set(id, into);
  }
  into.links = [...new Set([...into.links, ...from.links])];
}

interface EvidenceRow {
  readonly place: number;
  readonly anchor_id: Uuid;
  readonly set_id: Uuid;
  readonly day: number;
  readonly occurred_at: number;
  readonly source_id: number;
  readonly message_id: string;
  readonly known_at: number;
  readonly identifier_ids: readonly Uuid[];
}

/** Each member with the place of its component. */
const MEMBERS = 'unnest($1::int4[], $2::uuid[]) AS m (place, id)';

function memberArrays(components: readonly HistoryComponent[], knownAtMs: number): unknown[] {
  const members = components.flatMap(({ members }, place) => [...members.keys()].map((id) => ({ place, id })));
  return [int4Array(members, (m) => m.place), uuidArray(members, (m) => m.id), knownAtMs];
}

function toEvidence(row: EvidenceRow, { members }: HistoryComponent): Evidence {
  return {
    anchorId: row.anchor_id,
    setId: row.set_id,
    day: row.day,
    key: { occurredAt: row.occurred_at, sourceId: row.source_id, messageId: row.message_id },
    knownAt: row.known_at,
    identifiers: row.identifier_ids.map((id) => members.get(id)).filter((identifier) => identifier !== undefined),
  };
}
