import { explainMembership, type MembershipExplanation } from './api/graphql/explain-membership.js';
import type { LoadedDefinitions } from './definitions.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import type { ErasureTarget } from './privacy/erasure.service.js';
import { ModelReader } from './scoring/model.reader.js';
import type { ProfileSnapshot } from './segments/profile-snapshot.model.js';

export interface SegmentExplainerParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: { current(): Promise<LoadedDefinitions> };
  readonly snapshots: { byIds(ids: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]> };
  /** @throws WeftError NOT_FOUND */
  readonly profileOf: (target: ErasureTarget) => Promise<Uuid>;
  /** Told of everybody of whom something is shown. */
  readonly onShown: (profileId: Uuid) => void;
}

/** Says why somebody is in a segment, for those at the command line, who see all. */
export class MembershipExplainer {
  constructor(private readonly parts: SegmentExplainerParts) {}

  /** @throws WeftError as {@link explainMembership}, and NOT_FOUND where nobody is known by the identifier */
  async explain(whom: ErasureTarget, key: string): Promise<MembershipExplanation> {
    const { db, clock, snapshots, profileOf, onShown } = this.parts;
    const [snapshot] = await snapshots.byIds([await profileOf(whom)]);
    if (snapshot === undefined || snapshot === null) {
      throw new WeftError('NOT_FOUND', 'there is no such profile', { where: '--identifier' });
    }
    onShown(snapshot.id);
    const definitions = await this.parts.definitions.current();
    const state = definitions.features.decode(snapshot.state);
    const t = Math.max(clock.now(), snapshot.asOf + 1);
    const models = () => new ModelReader(db).answering();
    return explainMembership({ definitions, snapshot, state, t, models }, key);
  }
}
