import DataLoader from 'dataloader';
import { CausingEventReader, type CausingEvent } from '../../events/causing-event.reader.js';
import type { RawIdentifier } from '../../events/event.model.js';
import { knownIds } from '../../identity/identifier-forms.model.js';
import { WeftError } from '../../platform/errors.js';
import { isKey } from '../../platform/key.js';
import { StatisticsReader, type Statistics } from '../../monitoring/statistics.reader.js';
import { isUuid, type Uuid } from '../../platform/ids.js';
import { TraitDefinitionReader, type TraitConflictCounts } from '../../profiles/trait-definition.reader.js';
import type { ProfileSnapshot } from '../../segments/profile-snapshot.model.js';
import { SegmentReader, type StoredSegment } from '../../segments/segment.reader.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import type { ApiServices } from '../api-services.js';
import { DefinitionsIndex } from './definitions-index.js';
import { ProfileView } from './profile-view.js';
import type { ReadScope } from './read-scope.js';
import { SnapshotBatcher } from './snapshot-batcher.js';

/** Lists that cost a statement each, as timelines do, in one request. */
const MAX_SINGLE_READS = 20;
const MAX_FEATURE_VALUES = 25_000;

/** Everything that one request reads: one instant, one version of the definitions, each profile once. */
export class Reads implements ReadScope {
  readonly index: DefinitionsIndex;
  readonly #snapshots: SnapshotBatcher;
  readonly #profiles = new Map<Uuid, Promise<ProfileView | null>>();
  #sizes: DataLoader<number, number> | null = null;
  #otherSegments: DataLoader<string, StoredSegment | null> | null = null;
  #causingEvents: DataLoader<number, CausingEvent | null> | null = null;
  #statistics: Promise<Statistics> | null = null;
  #traitConflicts: Promise<ReadonlyMap<string, TraitConflictCounts>> | null = null;
  #singleReads = 0;
  readonly #asked = new Set<string>();
  #featureValues = 0;

  constructor(
    readonly services: ApiServices,
    readonly definitions: ApiDefinitions,
    readonly isSwept: boolean,
    readonly nowMs: number,
    /** Told of each profile that is found, once. */
    private readonly onProfile: (id: Uuid) => void,
  ) {
    this.index = DefinitionsIndex.of(definitions);
    this.#snapshots = SnapshotBatcher.of(services.snapshots);
  }

  /** The profile that this id stands for; null if there is none. */
  async profile(id: string): Promise<ProfileView | null> {
    return isUuid(id) ? this.#profile(id.toLowerCase()) : null;
  }

  /**
   * The profile of an identifier, normalised as those of events are, else as they were by former rules; null if it is not
   * known.
   * @throws WeftError BAD_REQUEST for a namespace that cannot be
   */
  async profileOf(raw: RawIdentifier): Promise<ProfileView | null> {
    for (const identifierId of knownIds(this.services.policy, raw)) {
      const id = await this.#snapshots.idOf(identifierId, this);
      if (id !== null) return this.#profile(id);
    }
    if (this.services.policy.resolve([raw]).dropped[0]?.reason === 'unknown_namespace') {
      throw new WeftError('BAD_REQUEST', 'there is no such namespace', {
        where: 'identifier.namespace',
        hint: this.services.namespaces.formHint(raw.ns),
      });
    }
    return null;
  }

  /** Archived segments, and those made a moment ago elsewhere, are looked up. */
  segment(key: string): StoredSegment | Promise<StoredSegment> {
    return this.definitions.stored.get(key) ?? this.#otherSegment(key);
  }

  async #otherSegment(key: string): Promise<StoredSegment> {
    this.#otherSegments ??= new DataLoader(async (keys) => {
      const found = await new SegmentReader(this.services.db).byKeys(keys);
      return keys.map((each) => found.find((segment) => segment.key === each) ?? null);
    });
    const segment = isKey(key) ? await this.#otherSegments.load(key) : null;
    if (segment !== null) return segment;
    throw this.index.unknownSegment(key);
  }

  async segmentSize(segmentId: number): Promise<number> {
    this.#sizes ??= new DataLoader(async (ids) => {
      const sizes = await new SegmentReader(this.services.db).sizes(ids);
      return ids.map((id) => sizes.get(id) ?? 0);
    });
    return this.#sizes.load(segmentId);
  }

  /** The event at a position of the log; null where it is not there any more, or cannot be read. */
  causingEvent(pos: number): Promise<CausingEvent | null> {
    this.#causingEvents ??= new DataLoader(async (positions) => {
      const found = await new CausingEventReader(this.services.db, this.services.sealer).at(positions);
      return positions.map((each) => found.get(each) ?? null);
    });
    return this.#causingEvents.load(pos);
  }

  /** Counted once a request, however often it is asked for: it reads whole tables. */
  statistics(): Promise<Statistics> {
    return (this.#statistics ??= new StatisticsReader(this.services.db).read());
  }

  /** By trait, read once a request. */
  traitConflicts(): Promise<ReadonlyMap<string, TraitConflictCounts>> {
    return (this.#traitConflicts ??= new TraitDefinitionReader(this.services.db).conflicts());
  }

  /** Once a request, so that all of an answer is of one state. */
  #profile(id: Uuid): Promise<ProfileView | null> {
    let view = this.#profiles.get(id);
    if (view === undefined) {
      view = this.#snapshots.byId(id, this).then((found) => (found === null ? null : this.#shown(found)));
      this.#profiles.set(id, view);
    }
    return view;
  }

  #shown(found: ProfileSnapshot): ProfileView {
    this.onProfile(found.id);
    return new ProfileView(this, found);
  }

  countSingleRead(what: string): void {
    if (++this.#singleReads <= MAX_SINGLE_READS) return;
    throw new WeftError('BAD_REQUEST', `more than ${String(MAX_SINGLE_READS)} lists are read one by one`, {
      where: what,
      hint: 'ask for fewer items, or in several requests',
    });
  }

  /** For what takes seconds. */
  countOnce(what: string): void {
    if (!this.#asked.has(what)) {
      this.#asked.add(what);
      return;
    }
    throw new WeftError('BAD_REQUEST', `${what} is asked for more than once`, {
      where: what,
      hint: 'ask in several requests, one after the other',
    });
  }

  countFeatureValues(count: number): void {
    this.#featureValues += count;
    if (this.#featureValues <= MAX_FEATURE_VALUES) return;
    throw new WeftError('BAD_REQUEST', `more than ${String(MAX_FEATURE_VALUES)} feature values`, {
      where: 'features',
      hint: 'name the features that you need, or ask for fewer profiles',
    });
  }
}
