import type { SegmentRule } from './segment-rule.model.js';
import type { StoredSegment } from './segment.reader.js';
import { shadowIdOf, shadowKeyOf } from './shadow.model.js';

/** A version that decides who is in a segment, or in its shadow. */
export interface EvaluatedVersion {
  /** The segment's, or that of its shadow. */
  readonly key: string;
  readonly segmentId: number;
  readonly version: number;
  readonly rule: SegmentRule;
  /** Whether it was evaluated in the shadow until it was activated. */
  readonly adoptsShadow: boolean;
}

/** The live version of a segment and that in its shadow, as far as there are any. */
export function evaluatedVersions(segment: StoredSegment): EvaluatedVersion[] {
  const { id, key, activeRule, activeVersion, shadowRule, shadowVersion } = segment;
  const versions: EvaluatedVersion[] = [];
  if (activeRule !== null && activeVersion !== null) {
    const adoptsShadow = shadowVersion === activeVersion;
    versions.push({ key, segmentId: id, version: activeVersion, rule: activeRule, adoptsShadow });
  }
  if (isShadowed(segment) && shadowRule !== null && shadowVersion !== null) {
    const identity = { key: shadowKeyOf(key), segmentId: shadowIdOf(id), version: shadowVersion };
    versions.push({ ...identity, rule: shadowRule, adoptsShadow: false });
  }
  return versions;
}

/** Whether a version of it is evaluated in the shadow now. */
export function isShadowed({ shadowVersion, activeVersion }: StoredSegment): boolean {
  return shadowVersion !== null && shadowVersion !== activeVersion;
}
