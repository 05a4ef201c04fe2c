import type { JsonValue } from '../../events/event.model.js';
import type { AnchorState } from '../../features/anchor-state.model.js';
import type { CompareOp } from '../../features/compare-value.model.js';
import type { FeatureValue } from '../../features/feature.model.js';
import type { Uuid } from '../../platform/ids.js';
import type { HeldConsent } from '../../profiles/consent.model.js';
import type { Prediction } from '../../scoring/prediction.model.js';
import type { EvalContext, ModelOutput } from '../../segments/eval-context.model.js';
import type { CompiledSegment } from '../../segments/compile-segment.js';
import { groupsOf } from '../../profiles/groups.model.js';
import type { ProfileSnapshot } from '../../segments/profile-snapshot.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';

/** A stored profile as a segment sees it at an instant that is not one of the pipeline's. */
export class SnapshotContext implements EvalContext {
  constructor(
    private readonly definitions: ApiDefinitions,
    private readonly snapshot: ProfileSnapshot,
    private readonly state: AnchorState,
    /** Those that the segments read, asked for beforehand. */
    private readonly predictions: ReadonlyMap<string, Prediction>,
    private readonly t: number,
  ) {}

  profileId(): Uuid {
    return this.snapshot.id;
  }

  feature(index: number, t: number): FeatureValue {
    return this.definitions.features.value(this.state, index, t);
  }

  flipAt(index: number, t: number, op: CompareOp, constant: number): number {
    return this.definitions.features.flipAt(this.state, index, t, op, constant);
  }

  lastTimes(index: number): readonly number[] {
    return this.definitions.features.lastTimes(this.state, index);
  }

  trait(name: string): JsonValue | undefined {
    return this.snapshot.traits.get(name)?.value;
  }

  groups(): JsonValue {
    return groupsOf(this.snapshot.traits) as unknown as JsonValue;
  }

  consent(trait: string): HeldConsent | undefined {
    return this.snapshot.traits.get(trait);
  }

  model(key: string): ModelOutput | undefined {
    return this.predictions.get(key);
  }

  /** Evaluated at the same instant, not looked up: the answer is of one moment as a whole. */
  membership(segmentKey: string): boolean {
    const segment = this.definitions.segments.byKey.get(segmentKey);
    return segment?.evaluate(this, this.t, this.memberSince(segment)) ?? false;
  }

  /** Since when it is in a segment, as of the snapshot, ms; null: it is not. */
  memberSince({ segmentId }: Pick<CompiledSegment, 'segmentId'>): number | null {
    return this.snapshot.memberships.find((membership) => membership.segmentId === segmentId)?.since ?? null;
  }
}
