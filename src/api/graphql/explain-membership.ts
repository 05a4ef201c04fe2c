import type { AnchorState } from '../../features/anchor-state.model.js';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import { consentTrait, isAllowed, UNDECLARED } from '../../profiles/consent.model.js';
import type { RegisteredModel } from '../../scoring/model-manifest.model.js';
import type { FeatureRow, Prediction } from '../../scoring/prediction.model.js';
import { ablate, type ExplainedModel } from '../../segments/ablate-model.js';
import { versionFor, type AskedVersion } from '../../segments/asked-version.model.js';
import type { CompiledSegment } from '../../segments/compile-segment.js';
import { leafScope } from '../../segments/compile-leaf.js';
import { explainSegment, type ExplainedSegment } from '../../segments/explain-segment.js';
import { parseRule } from '../../segments/segment-rule.model.js';
import type { ProfileSnapshot } from '../../segments/profile-snapshot.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import { SnapshotContext } from './snapshot-context.js';

export interface MembershipExplanation extends ExplainedSegment {
  readonly key: string;
  /** The version that decides. */
  readonly version: number;
  /** ms */
  readonly asOf: number;
  /** Whether the pipeline has it in the segment. Another answer than now's waits for a timer, or for a model's next step. */
  readonly isLiveMember: boolean;
  /** Models that the segment asks itself. */
  readonly models: readonly ExplainedModel[];
}

interface ExplainAsk {
  readonly definitions: ApiDefinitions;
  readonly snapshot: ProfileSnapshot;
  readonly state: AnchorState;
  /** ms */
  readonly t: number;
  /** The versions that answer for somebody, with what they were trained on. */
  readonly models: () => Promise<readonly RegisteredModel[]>;
}

/**
 * Why a profile is, or is not, in a segment now; models are asked anew.
 * @throws WeftError NOT_FOUND, CONFLICT (not active), UNAVAILABLE (history is still folded in)
 */
export async function explainMembership(ask: ExplainAsk, key: string): Promise<MembershipExplanation> {
  const { definitions, snapshot, state, t } = ask;
  const stored = definitions.stored.get(key);
  const segment = definitions.segments.byKey.get(key);
  if (stored === undefined) {
    const hint = nameHint(key, definitions.stored.keys(), 'weft segment list shows those that there are');
    throw new WeftError('NOT_FOUND', `there is no segment ${key}`, { where: 'segment', hint });
  }
  if (segment === undefined || stored.activeRule === null) {
    throw new WeftError('CONFLICT', `segment ${key} is not active`, { where: 'segment', hint: 'activate it first' });
  }
  if (!definitions.segments.ordered.includes(segment)) {
    throw new WeftError('UNAVAILABLE', `history is still being folded into the features of ${key}`, {
      ...{ where: 'segment', hint: 'ask again later', retryAfterMs: 1_000 },
    });
  }
  const predictions = new Map<string, Prediction>();
  await Promise.all(
    [...modelsBehind(segment, definitions)].map(async (model) => {
      const [prediction] = (await scoreRows(ask, model, [rowOf(ask, model)])) ?? [];
      if (prediction != null) predictions.set(model, prediction);
    }),
  );
  const ctx = new SnapshotContext(definitions, snapshot, state, predictions, t);
  const { features, purposes } = definitions;
  const types = new Map(features.definitions.map(({ name, type }) => [name, type]));
  const rule = stored.activeRule;
  const since = ctx.memberSince(segment);
  const explained = explainSegment(
    { segment, rule, since, parsed: parseRule(rule, { features: types }) },
    {
      ...{ ctx, t },
      leaves: leafScope((name) => features.indexOf(name), purposes, missing),
      referenceHolds: (other) => holdsOf(definitions, ctx, other, t),
      funnelTimes: (index) => features.funnelTimes(state, index, t),
      traitTime: (name) => snapshot.traits.get(name)?.occurredAt ?? null,
    },
  );
  return {
    ...explained,
    ...{ key, version: segment.version, asOf: t, isLiveMember: since !== null },
    models: await explainModels(ask, segment.modelDeps),
  };
}

async function explainModels(ask: ExplainAsk, keys: readonly string[]): Promise<ExplainedModel[]> {
  if (keys.length === 0) return [];
  const { definitions } = ask;
  const registered = await ask.models();
  const explained = await Promise.all(
    keys.map(async (key) => {
      const model = versionOf(ask, key);
      if (model === undefined || !isAllowedModel(ask, key)) return null;
      const manifest = registered.find((each) => each.key === key && each.version === model.version)?.manifest;
      return ablate({
        ...{ key, version: model.version, row: rowOf(ask, key), trainingSet: manifest?.trainingSet },
        features: model.featureIndexes.flatMap((index) => definitions.features.definitions[index] ?? []),
        score: async (rows) => (await scoreRows(ask, key, rows)) ?? [],
      });
    }),
  );
  return explained.filter((each) => each !== null);
}

/** The version that answers for this profile. */
function versionOf({ definitions, snapshot }: ExplainAsk, key: string): AskedVersion | undefined {
  const model = definitions.models.get(key);
  return model === undefined ? undefined : versionFor(model, snapshot.id);
}

function rowOf(ask: ExplainAsk, model: string): FeatureRow {
  const { definitions, state, t } = ask;
  const indexes = versionOf(ask, model)?.featureIndexes ?? [];
  return indexes.map((index) => definitions.features.value(state, index, t));
}

/** Null: the model is not there, or the person does not allow it; of a row: it has no answer. */
async function scoreRows(
  ask: ExplainAsk,
  model: string,
  rows: readonly FeatureRow[],
): Promise<(Prediction | null)[] | null> {
  const version = versionOf(ask, model);
  if (version === undefined || !isAllowedModel(ask, model)) return null;
  return ask.definitions.score(
    version.scoredAs,
    rows,
    rows.map(() => ask.t),
  );
}

function isAllowedModel({ definitions, snapshot, t }: ExplainAsk, model: string): boolean {
  return (definitions.modelPurposes.get(model) ?? []).every((purpose) =>
    isAllowed(definitions.purposes.get(purpose) ?? UNDECLARED, snapshot.traits.get(consentTrait(purpose)), t),
  );
}

/** Also of segments that it refers to; these go round in no circle. */
function modelsBehind(segment: CompiledSegment, definitions: ApiDefinitions, into = new Set<string>()): Set<string> {
  for (const key of segment.modelDeps) into.add(key);
  for (const key of segment.segmentDeps) {
    const referred = definitions.segments.byKey.get(key);
    if (referred !== undefined) modelsBehind(referred, definitions, into);
  }
  return into;
}

/** Until when, ms, time alone does not change whether a profile is in a segment; references go round in no circle. */
function holdsOf(definitions: ApiDefinitions, ctx: SnapshotContext, key: string, t: number): number {
  const segment = definitions.segments.byKey.get(key);
  if (segment === undefined) return Infinity;
  const since = ctx.memberSince(segment);
  const isMember = segment.evaluate(ctx, t, since);
  const own = segment.nextFlip(ctx, t, isMember, since ?? t);
  return segment.segmentDeps.reduce((least, other) => Math.min(least, holdsOf(definitions, ctx, other, t)), own);
}

function missing(name: string): never {
  throw new Error(`the active segment reads the feature ${name}, which is not loaded`);
}
