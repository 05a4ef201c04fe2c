import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Database, Queryable, Transaction } from '../platform/postgres.js';
import type { IdentityLink } from './identity-decision.model.js';
import type { IdentityDecisionReader, StandingIdentifier } from './identity-decision.reader.js';
import { setIdOf } from './evidence.model.js';
import { caresForSharing, maxIdentifiersOf, ruleOf, type IdentityRules } from './identity-rules.model.js';
import { MAX_REPLAY_ROWS } from './resolve-component.js';
import { SharedIdentifiers } from './shared-identifiers.js';
import { shortestChain } from './shortest-chain.js';

/** The set of identifiers that an event came with. */
export interface ExplainedEvidence {
  readonly sourceId: number;
  readonly messageId: string;
  /** ms */
  readonly occurredAt: number;
  readonly identifiers: readonly Identifier[];
}

/** One step of a chain: by evidence, or by a link that somebody made. */
export interface ExplainedStep {
  readonly from: Identifier;
  readonly to: Identifier;
  readonly evidence: ExplainedEvidence | null;
  readonly link: IdentityLink | null;
  /** False: its two ends stand for different profiles all the same. */
  readonly joins: boolean;
}

export const OBSTACLES = [
  'not_seen',
  'not_connected',
  'cannot_link',
  'limit',
  'too_many_identifiers',
  'shared',
  'may_not_merge',
  'contested',
] as const;

/** Why two identifiers do not stand for one profile. */
export interface Obstacle {
  readonly kind: (typeof OBSTACLES)[number];
  /** Of `limit`, `may_not_merge` and `shared`. */
  readonly namespace: string | null;
  /** Of `limit`: how many distinct values one profile may hold, and how many the two hold together. */
  readonly limit: number | null;
  readonly count: number | null;
  /** Of `limit`: the sliding window in which it holds, ms; null: ever. */
  readonly windowMs: number | null;
  /** Of `cannot_link`. */
  readonly link: IdentityLink | null;
}

export interface Explanation {
  /** Whether the two stand for one profile. */
  readonly isOne: boolean;
  /** Empty where nothing connects them. */
  readonly steps: readonly ExplainedStep[];
  /** Empty where they are one. */
  readonly obstacles: readonly Obstacle[];
  /** False: there is more evidence than was looked at, so a shorter chain may exist, or one where none is told. */
  readonly isComplete: boolean;
}

/** Rows of evidence of one component that are looked at. */
const MAX_ROWS = 20_000;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Links by hand that are named as obstacles. */
const MAX_NAMED_LINKS = 10;

interface EvidenceRow {
  readonly source_id: number;
  readonly message_id: string;
  readonly occurred_at: number;
  readonly identifier_ids: readonly Uuid[];
}

interface Parts {
  readonly db: Database;
  readonly decisions: IdentityDecisionReader;
  readonly rules: () => IdentityRules;
}

/** Tells why two identifiers stand for one profile, or why not. */
export class IdentityExplanationReader {
  constructor(private readonly parts: Parts) {}

  /**
   * All of one snapshot.
   * @param from ids of the forms that the one may be known by
   * @param to those of the other
   */
  explain(from: readonly Uuid[], to: readonly Uuid[]): Promise<Explanation> {
    return this.parts.db.transaction((tx) => this.#explain(tx, from, to), {
      isolation: 'REPEATABLE READ',
      readOnly: true,
    });
  }

  async #explain(tx: Transaction, from: readonly Uuid[], to: readonly Uuid[]): Promise<Explanation> {
    const { decisions } = this.parts;
    const seen = new Map((await decisions.identifiers(tx, [...from, ...to])).map((each) => [each.id, each]));
    const [a, b] = [from, to].map((ids) => ids.map((id) => seen.get(id)).find((each) => each !== undefined));
    if (a === undefined || b === undefined) return apart([obstacle('not_seen')], true);
    const isOne = a.profileId === b.profileId;
    const { members, evidence, isComplete } = await this.#around(tx, [a.id, b.id]);
    const links = await decisions.linksAround(tx, [...members.keys()]);
    const standsWith = (id: Uuid): boolean => !isOne || members.get(id)?.profileId === a.profileId;
    const ties = [
      ...links.filter(({ kind }) => kind === 'must').map((link) => ({ ids: [link.a.id, link.b.id], link, row: null })),
      ...evidence.map((row) => ({ ids: row.identifier_ids, link: null, row })),
    ].flatMap((tie) => {
      const ids = tie.ids.filter((id) => members.has(id) && standsWith(id));
      return ids.length < 2 ? [] : [{ ...tie, ids }];
    });
    const memberOf = (id: Uuid): StandingIdentifier => {
      const member = members.get(id);
      if (member === undefined) throw new Error('evidence names an identifier outside its component');
      return member;
    };
    const steps = (shortestChain(a.id, b.id, ties) ?? []).map((step): ExplainedStep => ({
      from: memberOf(step.from),
      to: memberOf(step.to),
      evidence: step.tie.row === null ? null : explainedEvidence(step.tie.row, members),
      link: step.tie.link,
      joins: memberOf(step.from).profileId === memberOf(step.to).profileId,
    }));
    if (isOne) return { isOne, steps, obstacles: [], isComplete };
    const obstacles = this.#obstacles(a, b, members, links, steps.length > 0);
    obstacles.push(...this.#sharedOn(steps, evidence, members, links));
    if (evidence.length > MAX_REPLAY_ROWS) obstacles.push(obstacle('contested'));
    return { isOne, steps, obstacles, isComplete };
  }

  #obstacles(
    a: StandingIdentifier,
    b: StandingIdentifier,
    members: ReadonlyMap<Uuid, StandingIdentifier>,
    links: readonly IdentityLink[],
    areConnected: boolean,
  ): Obstacle[] {
    const rules = this.parts.rules();
    const sideOf = (id: Uuid): Uuid | undefined => members.get(id)?.profileId;
    const barring = links.filter(({ kind, a: x, b: y }) => {
      const sides = [sideOf(x.id), sideOf(y.id)];
      return kind === 'cannot' && sides.includes(a.profileId) && sides.includes(b.profileId);
    });
    const obstacles = barring.slice(0, MAX_NAMED_LINKS).map((link): Obstacle => ({ ...obstacle('cannot_link'), link }));
    const counts = new Map<string, [ofA: number, ofB: number]>();
    for (const { ns, profileId } of members.values()) {
      const count = counts.get(ns) ?? [0, 0];
      if (profileId === a.profileId) count[0]++;
      else if (profileId === b.profileId) count[1]++;
      counts.set(ns, count);
    }
    for (const [namespace, [ofA, ofB]] of counts) {
      const rule = ruleOf(rules, namespace);
      if (rule === undefined || ofA === 0 || ofB === 0) continue;
      if (ofA + ofB > rule.limit) {
        const { limit, windowMs } = rule;
        obstacles.push({ ...obstacle('limit'), namespace, limit, windowMs, count: ofA + ofB });
      }
      if (!rule.mayMerge) obstacles.push({ ...obstacle('may_not_merge'), namespace });
    }
    const identifiers = [...counts.values()].reduce((sum, [ofA, ofB]) => sum + ofA + ofB, 0);
    const limit = maxIdentifiersOf(rules);
    if (identifiers > limit) obstacles.push({ ...obstacle('too_many_identifiers'), limit, count: identifiers });
    return areConnected ? obstacles : [obstacle('not_connected'), ...obstacles];
  }

  /** Identifiers of the chain that several people share, so that it does not hold there. */
  #sharedOn(
    steps: readonly ExplainedStep[],
    evidence: readonly EvidenceRow[],
    members: ReadonlyMap<Uuid, StandingIdentifier>,
    links: readonly IdentityLink[],
  ): Obstacle[] {
    const rules = this.parts.rules();
    if (!caresForSharing(rules)) return [];
    const mustLinks = links.filter(({ kind }) => kind === 'must').map(({ a, b }): [Uuid, Uuid] => [a.id, b.id]);
    const shared = new SharedIdentifiers(rules, mustLinks);
    for (const row of evidence) {
      const identifiers = row.identifier_ids.flatMap((id) => members.get(id) ?? []);
      const day = Math.floor(row.occurred_at / DAY_MS);
      const key = { occurredAt: row.occurred_at, sourceId: row.source_id, messageId: row.message_id };
      shared.hear({ key, day, setId: setIdOf(identifiers), identifiers });
    }
    const named = steps.flatMap(({ from, to, evidence: row }) =>
      row === null ? [] : [from, to].filter(({ id }) => !shared.mayJoin(id, row.identifiers)),
    );
    return [...new Set(named.map(({ ns }) => ns))].map((namespace) => ({ ...obstacle('shared'), namespace }));
  }

  /** The members of the components of these, and their evidence in canonical order. */
  async #around(tx: Queryable, ids: readonly Uuid[]) {
    const identifiers = await tx.query<StandingIdentifier>(
      `SELECT i.id, i.ns, i.value, i.profile_id AS "profileId"
       FROM (SELECT DISTINCT component_id FROM identifiers WHERE id = ANY ($1::uuid[]) OFFSET 0) c
       JOIN identifiers i ON i.component_id = c.component_id`,
      [ids],
    );
    const members = new Map(identifiers.map((identifier) => [identifier.id, identifier]));
    const rows = await tx.query<EvidenceRow>(
      `SELECT source_id, message_id, occurred_at, identifier_ids FROM (
         SELECT e.* FROM unnest($1::uuid[]) AS m (id) JOIN evidence e ON e.anchor_id = m.id LIMIT $2
       ) e ORDER BY occurred_at, source_id, message_id COLLATE "C"`,
      [[...members.keys()], MAX_ROWS + 1],
    );
    return { members, evidence: rows.slice(0, MAX_ROWS), isComplete: rows.length <= MAX_ROWS };
  }
}

function explainedEvidence(row: EvidenceRow, members: ReadonlyMap<Uuid, Identifier>): ExplainedEvidence {
  return {
    sourceId: row.source_id,
    messageId: row.message_id,
    occurredAt: row.occurred_at,
    identifiers: row.identifier_ids.flatMap((id) => members.get(id) ?? []),
  };
}

function obstacle(kind: Obstacle['kind']): Obstacle {
  return { kind, namespace: null, limit: null, count: null, windowMs: null, link: null };
}

function apart(obstacles: readonly Obstacle[], isComplete: boolean): Explanation {
  return { isOne: false, steps: [], obstacles, isComplete };
}
