import { isDeepStrictEqual } from 'node:util';
import type { FeatureUse } from '../features/definition-plan.model.js';
import type { FeatureDefinition, FeatureType } from '../features/feature.model.js';
import { WeftError } from '../platform/errors.js';
import type { Queryable } from '../platform/postgres.js';
import type { Warning } from '../platform/warning.js';
import { ruleFingerprint, sameRuleWarning } from './guard-segments.js';
import { unknownPurpose } from '../profiles/purpose.model.js';
import { demandUnsealed } from './demand-unsealed.js';
import type { ParsedSegment } from './parse-segment.js';
import type { SegmentDefinition } from './parse-segments.js';
import { questionRule, type KnownToSegments } from './question-segment.js';
import { orderSegments } from './segment-graph.js';
import { isSameRule, parseRule } from './segment-rule.model.js';
import type { SegmentSchema } from './segment-schema.model.js';
import { MAX_SEGMENTS, SegmentReader, type StoredSegment } from './segment.reader.js';
import { tooManySegments, type SegmentService } from './segment.service.js';

/** What applying would do; keys of segments. */
export interface SegmentPlan {
  readonly added: readonly string[];
  /** Name, description, tags, edge mark or rule differ. */
  readonly changed: readonly string[];
  /** Begin to decide membership, or do so by a new condition. */
  readonly activated: readonly string[];
  /** Their members leave: inactive in the files, or not in them where pruning. */
  readonly archived: readonly string[];
  /** Features that active segments define in place, once this is applied. */
  readonly inlineFeatures: readonly FeatureDefinition[];
  /** What active segments read of features: now, and once this is applied. */
  readonly usesBefore: readonly FeatureUse[];
  readonly usesAfter: readonly FeatureUse[];
  /** Keys of the models that active segments will ask. */
  readonly modelsAfter: ReadonlySet<string>;
  /** Names in the given definitions that nothing has sent so far. */
  readonly warnings: readonly Warning[];
  /** What to do, in an order in which each step is valid. */
  readonly steps: readonly SegmentStep[];
}

type SegmentStep =
  | { readonly kind: 'upsert' | 'activate'; readonly definition: SegmentDefinition }
  | { readonly kind: 'archive'; readonly key: string };

/** What expressions may refer to, as it will be when segments are applied. */
export interface SegmentSurroundings extends Pick<SegmentSchema, 'models' | 'waitingModels' | 'requestModels'> {
  readonly features: ReadonlyMap<string, FeatureType>;
  /** Features that are there now; some of them may go. */
  readonly standingFeatures: ReadonlyMap<string, FeatureType>;
  readonly purposes: ReadonlySet<string>;
  readonly lists: ReadonlySet<string>;
  readonly sealedTraits: ReadonlySet<string>;
  readonly known: KnownToSegments;
  /** Also archives the segments that are not in the files. */
  readonly prune: boolean;
}

interface Checked {
  readonly key: string;
  readonly requires: Pick<ParsedSegment['requires'], 'segments' | 'features' | 'inlineFeatures' | 'models'>;
  /** Null: stands, and is not in the files. */
  readonly definition: SegmentDefinition | null;
  readonly warnings: readonly Warning[];
}

/** Applies files of segments: checks all of them together, then takes one after the other, each whole. */
export class SegmentFileService {
  readonly #db: Queryable;
  readonly #segments: Pick<SegmentService, 'upsert' | 'activate' | 'archive'>;

  constructor(db: Queryable, segments: Pick<SegmentService, 'upsert' | 'activate' | 'archive'>) {
    this.#db = db;
    this.#segments = segments;
  }

  /**
   * @throws WeftError EXPRESSION_INVALID naming the segment, for an expression or a reference that is not valid;
   * DEFINITION_INVALID for more segments than there may be
   */
  async plan(definitions: readonly SegmentDefinition[], surroundings: SegmentSurroundings): Promise<SegmentPlan> {
    const stored = await this.#stored(definitions);
    const checked = check(definitions, stored, surroundings);
    const order = orderSegments(checked.map(({ key, requires }) => ({ key, segmentDeps: requires.segments })));
    const byKey = new Map(checked.map((segment) => [segment.key, segment]));
    const ordered = order.map((key) => byKey.get(key)).filter((segment) => segment !== undefined);
    const changes = ordered.map(({ definition }) => definition).filter((definition) => definition !== null);
    const differs = changes.filter((definition) => !isSame(definition, stored.get(definition.key)));
    const activated = changes.filter((definition) => isActivated(definition, stored.get(definition.key)));
    const active = ordered.filter(({ key, definition }) =>
      definition === null ? stored.get(key)?.stage === 'active' : definition.active,
    );
    checkReferences(active);
    checkCount(definitions, stored);
    const standing = parseActive(stored, surroundings);
    const archived = archivedKeys(definitions, stored, standing, surroundings.prune);
    return {
      added: differs.map(({ key }) => key).filter((key) => !stored.has(key)),
      changed: differs.map(({ key }) => key).filter((key) => stored.has(key)),
      activated: activated.map(({ key }) => key),
      archived,
      inlineFeatures: active.flatMap(({ requires }) => requires.inlineFeatures),
      usesBefore: usesOf([...standing].map(([key, { requires }]) => ({ key, requires }))),
      usesAfter: usesOf(active),
      modelsAfter: new Set(active.flatMap(({ requires }) => requires.models)),
      warnings: [...checked.flatMap(({ warnings }) => warnings), ...alikeWarnings(active, stored)],
      steps: [
        ...changes.flatMap((definition): SegmentStep[] => [
          ...(differs.includes(definition) ? [{ kind: 'upsert' as const, definition }] : []),
          ...(activated.includes(definition) ? [{ kind: 'activate' as const, definition }] : []),
        ]),
        ...archived.map((key): SegmentStep => ({ kind: 'archive', key })),
      ],
    };
  }

  /** What stands, and what was archived and would be written anew; by key. */
  async #stored(definitions: readonly SegmentDefinition[]): Promise<Map<string, StoredSegment>> {
    const reader = new SegmentReader(this.#db);
    const named = await reader.byKeys(definitions.map(({ key }) => key));
    return new Map([...named, ...(await reader.standing())].map((segment) => [segment.key, segment]));
  }

  /**
   * What is done when a step fails stays done; planning again goes on from there.
   * @param by who applies it, for people
   */
  async apply(plan: SegmentPlan, by: string): Promise<void> {
    for (const step of plan.steps) {
      if (step.kind === 'archive') await this.#segments.archive(step.key);
      else if (step.kind === 'activate') await this.#segments.activate(step.definition.key);
      else await this.#segments.upsert(step.definition, by);
    }
  }
}

/** Parses all that will stand, each against all the others. */
function check(
  definitions: readonly SegmentDefinition[],
  stored: ReadonlyMap<string, StoredSegment>,
  { features, standingFeatures, purposes, lists, sealedTraits, known, prune, ...models }: SegmentSurroundings,
): Checked[] {
  const given = new Set(definitions.map((definition) => definition.key));
  const others = prune ? [] : [...stored.values()].filter(({ key, stage }) => !given.has(key) && stage !== 'archived');
  const segments = new Set([...given, ...others.map((segment) => segment.key)]);
  return [
    ...definitions.map((definition): Checked => {
      const { key } = definition;
      const others = new Set(segments);
      others.delete(key);
      const schema: SegmentSchema = {
        features,
        segments: others,
        ...models,
        purposes,
        lists,
      };
      const parsed = named(key, () => parseRule(definition, schema));
      named(key, () => demandPurposes(definition.purposes, purposes));
      named(key, () => demandUnsealed(parsed.requires, sealedTraits));
      const warnings = questionRule(definition, schema, known).map((warning) => ({
        ...warning,
        where: warning.where === '' ? `segment ${key}` : `segment ${key}, ${warning.where}`,
      }));
      return { key, definition, requires: parsed.requires, warnings };
    }),
    ...others.map(({ key, activeRule }): Checked => {
      if (activeRule === null) return { key, definition: null, requires: NOTHING, warnings: [] };
      // It was valid when it was activated; whether its features may go is decided where features are applied.
      const schema = { features: standingFeatures };
      const { requires } = named(key, () => parseRule(activeRule, schema));
      named(key, () => demandPurposes([...requires.purposes, ...activeRule.purposes], purposes));
      return { key, definition: null, requires, warnings: [] };
    }),
  ];
}

/** Of what is in the files and active: each that says what another active segment says, once for two of them. */
function alikeWarnings(active: readonly Checked[], stored: ReadonlyMap<string, StoredSegment>): Warning[] {
  const sayers = new Map<string, string>();
  const warnings: Warning[] = [];
  for (const { key, definition } of [...active].sort(
    (a, b) => Number(a.definition !== null) - Number(b.definition !== null),
  )) {
    const rule = definition ?? stored.get(key)?.activeRule ?? null;
    if (rule === null) continue;
    const print = ruleFingerprint(rule);
    const other = sayers.get(print);
    if (other === undefined) sayers.set(print, key);
    else if (definition !== null) warnings.push({ ...sameRuleWarning(other), where: `segment ${key}` });
  }
  return warnings;
}

/** @throws WeftError DEFINITION_INVALID */
function demandPurposes(needed: readonly string[], known: ReadonlySet<string>): void {
  const unknown = unknownPurpose(needed, known);
  if (unknown !== null) throw new WeftError('DEFINITION_INVALID', unknown.message, { hint: unknown.hint });
}

/** A draft that stands is checked when somebody activates it, and must not keep others from being applied. */
const NOTHING: Checked['requires'] = { segments: [], features: [], inlineFeatures: [], models: [] };

/** Says which segment an error is about. */
function named<T>(key: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    const { code, message, where, hint } = error;
    throw new WeftError(code, `segment ${key}: ${message}`, {
      where: where === undefined ? key : `${key}, ${where} of its expression`,
      ...(hint === undefined ? undefined : { hint }),
      cause: error,
    });
  }
}

function isSame(given: SegmentDefinition, standing: StoredSegment | undefined): boolean {
  if (standing === undefined) return false;
  const { name, description, tags, edge } = given;
  return (
    isSameRule(given, standing) &&
    isDeepStrictEqual(
      [name, description, tags, edge],
      [standing.name, standing.description, standing.tags, standing.edge],
    )
  );
}

function isActivated(given: SegmentDefinition, standing: StoredSegment | undefined): boolean {
  if (!given.active) return false;
  return standing?.stage !== 'active' || standing.activeRule === null || !isSameRule(standing.activeRule, given);
}

function checkReferences(active: readonly Checked[]): void {
  const keys = new Set(active.map((segment) => segment.key));
  for (const { key, requires } of active) {
    const missing = requires.segments.find((dependency) => !keys.has(dependency));
    if (missing === undefined) continue;
    throw new WeftError('EXPRESSION_INVALID', `segment ${key} refers to ${missing}, which would not be active`, {
      where: key,
      hint: `set ${missing} to active: true, or take the reference out`,
    });
  }
}

/** What is archived goes last, so that all of the others stand beside it for a moment. */
function checkCount(definitions: readonly SegmentDefinition[], stored: ReadonlyMap<string, StoredSegment>): void {
  const standing = [...stored.values()].filter(({ stage }) => stage !== 'archived').length;
  const joining = definitions.filter(({ key, active }) => {
    const stage = stored.get(key)?.stage;
    return stage === undefined || (stage === 'archived' && active);
  });
  if (joining.length > 0 && standing + joining.length > MAX_SEGMENTS) throw tooManySegments(standing + joining.length);
}

/** The segments that decide membership now, by key. */
function parseActive(
  stored: ReadonlyMap<string, StoredSegment>,
  { standingFeatures }: SegmentSurroundings,
): Map<string, ParsedSegment> {
  return new Map(
    [...stored.values()].flatMap(({ key, activeRule }) => {
      if (activeRule === null) return [];
      return [[key, named(key, () => parseRule(activeRule, { features: standingFeatures }))] as const];
    }),
  );
}

function usesOf(segments: readonly Pick<Checked, 'key' | 'requires'>[]): FeatureUse[] {
  return segments.flatMap(({ key, requires }) =>
    requires.features.map((feature) => ({ kind: 'segment' as const, key, feature })),
  );
}

/** Whoever refers to another comes before it, because a segment stays while an active one refers to it. */
function archivedKeys(
  definitions: readonly SegmentDefinition[],
  stored: ReadonlyMap<string, StoredSegment>,
  standing: ReadonlyMap<string, ParsedSegment>,
  prune: boolean,
): string[] {
  const given = new Map(definitions.map((definition) => [definition.key, definition]));
  const archived = [...stored.values()].filter(({ key, stage }) => {
    const definition = given.get(key);
    return definition === undefined ? prune && stage !== 'archived' : !definition.active && stage === 'active';
  });
  const keys = new Set(archived.map((segment) => segment.key));
  const nodes = archived.map(({ key }) => {
    const deps = standing.get(key)?.requires.segments ?? [];
    return { key, segmentDeps: deps.filter((dependency) => keys.has(dependency)) };
  });
  return orderSegments(nodes).reverse();
}
