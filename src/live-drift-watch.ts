import type { LoadedDefinitions } from './definitions.js';
import type { FeatureAlertObserver } from './statistics-watch.js';
import type { FeatureValue } from './features/feature.model.js';
import type { LiveSample, SampledProfile } from './live-sample.js';
import type { FeatureFinding } from './monitoring/feature-alert.model.js';
import { FeatureAlertStore } from './monitoring/feature-alert.store.js';
import { LEAST_SHIFT, LiveWindow } from './monitoring/live-window.js';
import type { Clock } from './platform/clock.js';
import { Periodic } from './platform/periodic.js';
import type { Queryable } from './platform/postgres.js';
import { unpackSnapshot } from './segments/profile-snapshot.model.js';

export interface LiveDriftOptions {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly sample: Pick<LiveSample, 'take'>;
  readonly definitions: () => Promise<LoadedDefinitions>;
  readonly observer: FeatureAlertObserver & LiveDriftObserver;
  /** It is tried again with the next look. */
  readonly onError: (error: unknown) => void;
}

export interface LiveDriftObserver {
  /** Values that were looked at, and batches of which nothing was kept because there was no room. */
  looked(values: number, missed: number): void;
}

const LOOK_EVERY_MS = 5_000;
/** Features that are looked at, at most, by name. */
export const MAX_LIVE_FEATURES = 200;
/** A change is over when there was no other one for so long. */
const OVER_AFTER_MS = 24 * 60 * 60_000;
const END_EVERY_MS = 60_000;

interface Watched {
  readonly name: string;
  readonly index: number;
}

/**
 * Follows values of features as live traffic changes them, and tells when they have become greater or less: ADWIN over the
 * profiles that batches have just written through, as far as {@link LiveSample} has some of them. Windows are of this
 * process and in its memory: a restart begins them anew, as does another version of the view. Alerts are in the database.
 */
export class LiveDriftWatch {
  readonly #options: LiveDriftOptions;
  readonly #looks: Periodic;
  /** By name of the feature. */
  #windows = new Map<string, LiveWindow>();
  /** What the windows belong to. */
  #features: LoadedDefinitions['features'] | null = null;
  #endedAt = -Infinity;
  #left = 0;

  constructor(options: LiveDriftOptions) {
    this.#options = options;
    this.#looks = new Periodic(() => this.#look(), LOOK_EVERY_MS, options.onError);
  }

  /** Features that ask to be followed and are beyond {@link MAX_LIVE_FEATURES}. */
  get left(): number {
    return this.#left;
  }

  start(): void {
    this.#looks.start();
  }

  stop(): Promise<void> {
    return this.#looks.stop();
  }

  /** One look. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  async #look(): Promise<void> {
    const { sample, observer } = this.#options;
    const { profiles, missed } = sample.take();
    const definitions = await this.#options.definitions();
    const watched = this.#watched(definitions);
    if (profiles.length > 0 && watched.length > 0) {
      const { findings, values } = this.#read(definitions, watched, profiles);
      observer.looked(values, missed);
      for (const finding of findings) await this.#tell(finding);
    }
    await this.#end(watched);
  }

  #watched(definitions: LoadedDefinitions): readonly Watched[] {
    const { views, features } = definitions;
    const asking = [...views.values()]
      .flatMap(({ expect = {} }) =>
        Object.entries(expect).flatMap(([name, of]) => (of.steady_live === true ? [name] : [])),
      )
      .sort();
    this.#left = Math.max(0, asking.length - MAX_LIVE_FEATURES);
    if (features !== this.#features) this.#windows = new Map();
    this.#features = features;
    return asking.slice(0, MAX_LIVE_FEATURES).flatMap((name) => {
      const index = features.indexOf(name);
      return index === undefined || !definitions.isReady(index) ? [] : [{ name, index }];
    });
  }

  #read(
    { features }: LoadedDefinitions,
    watched: readonly Watched[],
    profiles: readonly SampledProfile[],
  ): { readonly findings: readonly FeatureFinding[]; readonly values: number } {
    const states = profiles.flatMap(({ bytes, at }) => {
      const snapshot = unpackSnapshot(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      return 'alias' in snapshot
        ? []
        : [{ state: features.decode(snapshot.profile.state), t: Math.max(at, snapshot.profile.asOf + 1) }];
    });
    const at = profiles[0]?.at ?? 0;
    let values = 0;
    const findings = watched.flatMap(({ name, index }): FeatureFinding[] => {
      const numbers = states.flatMap(({ state, t }) => numberOf(features.value(state, index, t)) ?? []);
      values += numbers.length;
      let window = this.#windows.get(name);
      if (window === undefined) this.#windows.set(name, (window = new LiveWindow()));
      const shift = window.add(numbers, at);
      if (shift === null) return [];
      return [{ feature: name, kind: 'steady_live', value: shift.by, bound: LEAST_SHIFT, since: shift.since }];
    });
    return { findings, values };
  }

  async #tell(finding: FeatureFinding): Promise<void> {
    const { db, clock, observer } = this.#options;
    observer.violated(finding);
    if (await new FeatureAlertStore(db).open(finding, clock.now())) observer.began(finding);
  }

  async #end(watched: readonly Watched[]): Promise<void> {
    const { db, clock, observer } = this.#options;
    const now = clock.now();
    if (now - this.#endedAt < END_EVERY_MS) return;
    this.#endedAt = now;
    const names = watched.map(({ name }) => name);
    for (const { feature, kind } of await new FeatureAlertStore(db).closeLive(names, now - OVER_AFTER_MS, now)) {
      observer.ended(feature, kind);
    }
  }
}

/** Of lists and maps how many items they have; null: no number. */
function numberOf({ value }: FeatureValue): number | null {
  if (typeof value === 'number') return value;
  if (value === null || typeof value !== 'object') return null;
  return Array.isArray(value) ? value.length : Object.keys(value).length;
}
