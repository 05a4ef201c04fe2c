import type { LoadedDefinitions } from '../../src/definitions.js';
import type { AnchorState } from '../../src/features/anchor-state.model.js';
import type { FeatureValue } from '../../src/features/feature.model.js';
import type { Uuid } from '../../src/platform/ids.js';
import type { Queryable } from '../../src/platform/postgres.js';
import { decodeTraits } from '../../src/profiles/trait-codec.js';
import { mergeTraits } from '../../src/profiles/traits.model.js';
import type { Traits } from '../../src/profiles/trait.model.js';

/** All that the pipeline knows, without the ids that differ from run to run. */
export interface PipelineState {
  /** Each living profile as its identifiers, sorted. */
  readonly profiles: readonly string[];
  /** By profile. */
  readonly traits: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** By profile and name: values as of the instant asked for. */
  readonly features: Readonly<Record<string, Readonly<Record<string, Omit<FeatureValue, 'validUntil'>>>>>;
  /** By profile and segment. */
  readonly memberships: readonly string[];
  /** The same, with how each came about: `<profile> in <segment> since 170… version 1 by event 12`. */
  readonly entries: readonly string[];
  /** By profile and model: what the model says of the features as of the instant asked for. */
  readonly scores: Readonly<Record<string, unknown>>;
  /** Packed states by anchor, in hex, once pruned to the instant asked for. */
  readonly states: Readonly<Record<string, string>>;
}

interface IdentifierRow {
  id: Uuid;
  name: string;
  profile_id: Uuid;
  traits: Buffer | null;
  state: Buffer | null;
}

/** Reads the tables; `t` is the instant that features are read and states are pruned for. */
export async function readState(db: Queryable, definitions: LoadedDefinitions, t: number): Promise<PipelineState> {
  const rows = await db.query<IdentifierRow>(
    `SELECT i.id, i.ns || ':' || i.value AS name, i.profile_id, s.traits, s.state
     FROM identifiers i LEFT JOIN anchor_states s ON s.anchor_id = i.id ORDER BY i.ns COLLATE "C", i.value COLLATE "C"`,
  );
  const byProfile = new Map<Uuid, IdentifierRow[]>();
  for (const row of rows) byProfile.set(row.profile_id, [...(byProfile.get(row.profile_id) ?? []), row]);
  const nameOf = new Map([...byProfile].map(([id, own]) => [id, own.map((row) => row.name).join(' ')]));
  const { features } = definitions;
  const state: { -readonly [K in keyof PipelineState]: PipelineState[K] } = {
    profiles: [...nameOf.values()].sort(),
    traits: {},
    features: {},
    memberships: [],
    entries: [],
    scores: {},
    states: {},
  };
  const traits: Record<string, Record<string, unknown>> = {};
  const values: Record<string, PipelineState['features'][string]> = {};
  const merges = new Map<string, AnchorState>();
  const states: Record<string, string> = {};
  for (const [id, own] of byProfile) {
    const name = nameOf.get(id) ?? '';
    const anchors = own.filter((row) => row.state !== null);
    traits[name] = plainTraits(mergeTraits(anchors.map((row) => decodeTraits(row.traits ?? Buffer.alloc(0)))));
    const merged = features.merge(anchors.map((row) => features.decode(row.state ?? Buffer.alloc(0))));
    merges.set(name, merged);
    values[name] = Object.fromEntries(
      features.definitions.map((definition, i) => {
        const { status, value, eventTs, approximate } = features.value(merged, i, t);
        return [definition.name, { status, value, eventTs, approximate }];
      }),
    );
    for (const row of anchors) {
      const single = features.decode(row.state ?? Buffer.alloc(0));
      features.prune(single, t);
      states[row.name] = features.encode(single).toString('hex');
    }
  }
  const members = await db.query<{ profile_id: Uuid; key: string; entry: string }>(
    `SELECT m.profile_id, s.key,
            concat_ws(' ', 'since', m.since, 'version', m.version, 'by', m.cause->>'kind', m.cause->>'pos') AS entry
     FROM memberships m JOIN segments s ON s.id = m.segment_id`,
  );
  const named = members.map(({ profile_id: id, key, entry }) => ({
    membership: `${nameOf.get(id) ?? `gone ${id}`} in ${key}`,
    entry,
  }));
  return {
    ...state,
    traits,
    features: values,
    states,
    memberships: named.map(({ membership }) => membership).sort(),
    entries: named.map(({ membership, entry }) => `${membership} ${entry}`).sort(),
    scores: await scoresOf(definitions, merges, t),
  };
}

/** What is the same whatever became known when: memberships without how they came about. */
export function withoutEntries({ entries: _, ...state }: PipelineState): Omit<PipelineState, 'entries'> {
  return state;
}

/**
 * Lines of the feed, or entries, without positions of the log: sent again, an event that was logged takes one and leaves
 * it empty.
 */
export function withoutPositions(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/ (event|merge|unmerge) \d+$/, ' $1'));
}

async function scoresOf(
  definitions: LoadedDefinitions,
  merges: ReadonlyMap<string, AnchorState>,
  t: number,
): Promise<Record<string, unknown>> {
  const scores: Record<string, unknown> = {};
  for (const { key, featureIndexes } of definitions.models.values()) {
    const rows = [...merges.values()].map((merged) =>
      featureIndexes.map((index) => definitions.features.value(merged, index, t)),
    );
    const predictions = await definitions.score(
      key,
      rows,
      rows.map(() => t),
    );
    for (const [i, name] of [...merges.keys()].entries()) scores[`${name} by ${key}`] = predictions[i];
  }
  return scores;
}

function plainTraits(traits: Traits): Record<string, unknown> {
  return Object.fromEntries([...traits].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The feed in order; profiles by the identifier that founded them. What the clock did at one instant to several
 * profiles is in the order of their ids, which chance decides; here it is in the order of the lines.
 */
export async function readFeed(db: Queryable): Promise<string[]> {
  const rows = await db.query<{ seq: number; at: number; cause: string; line: string }>(
    `SELECT c.seq, c.at, c.cause->>'kind' AS cause, concat_ws(' ', i.ns || ':' || i.value, c.kind, s.key, 'at', c.at, c.cause->>'kind', c.cause->>'pos') AS line
     FROM changes c JOIN segments s ON s.id = c.segment_id
     JOIN profiles p ON p.id = c.profile_id JOIN identifiers i ON i.id = p.founding_id ORDER BY c.seq`,
  );
  const gap = rows.findIndex((row, i) => row.seq !== i + 1);
  if (gap !== -1) throw new Error(`the feed has a gap before ${String(rows[gap]?.seq)}`);
  const ordered: string[] = [];
  for (let i = 0; i < rows.length;) {
    const together = rows.slice(i).findIndex((row) => row.at !== rows[i]?.at || row.cause !== rows[i]?.cause);
    const byClock = rows[i]?.cause === 'timer' || rows[i]?.cause === 'edit';
    const count = !byClock ? 1 : together === -1 ? rows.length - i : together;
    const lines = rows.slice(i, i + count).map((row) => row.line);
    ordered.push(...lines.sort());
    i += count;
  }
  return ordered;
}

/** The same lines, profile by profile: what is fixed where profiles may overtake each other. */
export function byProfile(feed: readonly string[]): Record<string, string[]> {
  const lines: Record<string, string[]> = {};
  for (const line of feed) {
    const [who = '', ...rest] = line.split(' ');
    (lines[who] ??= []).push(rest.join(' '));
  }
  return lines;
}
