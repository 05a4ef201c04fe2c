import type { Uuid } from '../../platform/ids.js';
import type { ChangeCause, ChangeKind, DecidingModel, SegmentChange } from '../../segments/segment.model.js';
import type { StoredSegment } from '../../segments/segment.reader.js';
import type { ChangeEvidenceType } from './change-evidence.types.js';
import { CHANGE_CURSOR } from './cursors.js';
import type { ProfileView } from './profile-view.js';
import type { Reads } from './reads.js';

/** A change of the feed, and what it is read with: a subscription outlives the request that began it. */
export class ChangeView {
  constructor(
    private readonly reads: Reads,
    private readonly change: SegmentChange,
    readonly segment: StoredSegment,
  ) {}

  /** Its position in the feed. */
  get seq(): number {
    return this.change.seq;
  }

  get cursor(): string {
    return CHANGE_CURSOR.encode({ seq: this.change.seq });
  }

  get kind(): ChangeKind {
    return this.change.kind;
  }

  get at(): number {
    return this.change.at;
  }

  get version(): number {
    return this.change.version;
  }

  get cause(): ChangeCause {
    return this.change.cause;
  }

  get models(): readonly DecidingModel[] {
    return this.change.models ?? [];
  }

  /** The events of changes that are asked about together are read together. */
  async evidence(): Promise<ChangeEvidenceType> {
    const { cause, at } = this.change;
    const dueAt = isOfTime(cause) ? at : null;
    const event = cause.pos === null ? null : await this.reads.causingEvent(cause.pos);
    if (event === null) return { event: null, dueAt };
    const source = this.reads.definitions.sourceKeys.get(event.sourceId) ?? '';
    return { event: { ...event, source }, dueAt };
  }

  get profileId(): Uuid {
    return this.change.profileId;
  }

  profile(): Promise<ProfileView | null> {
    return this.reads.profile(this.change.profileId);
  }
}

/** Consent that ends by time is told as consent. */
function isOfTime({ kind, pos }: ChangeCause): boolean {
  return kind === 'timer' || (kind === 'consent' && pos === null);
}
