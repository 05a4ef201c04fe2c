import type { Profile } from './profile.model.js';
import type { Runtime } from './runtime.js';

/** What became different, and what holds now. */
export interface SegmentChange {
  readonly entered: readonly string[];
  readonly left: readonly string[];
  readonly segments: readonly string[];
  readonly profile: Profile;
}

export type SegmentListener = (change: SegmentChange) => void;

/** What is known of the visitor at present, and who wants to hear of changes. */
export interface ProfileWatch {
  readonly current: () => Profile;
  /** Takes an answer over, unless it is worse than what is known. */
  readonly adopt: (answer: Profile) => void;
  /** Forgets what was known. */
  readonly replace: (profile: Profile) => void;
  readonly subscribe: (listener: SegmentListener) => () => void;
  /** There is reason to believe that something changed. */
  readonly nudge: () => void;
}

export interface ProfileWatchOptions extends Pick<Runtime, 'later' | 'random'> {
  readonly initial: Profile;
  readonly refreshMs: number;
  readonly isVisible: () => boolean;
  /** Asks Weft and adopts the answer; says whether it was as fresh as it had to be. */
  readonly refresh: () => Promise<boolean>;
}

/** Between a nudge and the question, so that several are one. */
const NUDGE_MS = 50;
/** Until it is asked again where no answer came, or one without the visitor's last events; doubles up to the interval. */
const AGAIN_MS = 500;

/** Asks as long as somebody listens: at once where nothing is known, when nudged, and at an interval while visible. */
export function createProfileWatch(options: ProfileWatchOptions): ProfileWatch {
  const listeners = new Set<SegmentListener>();
  let current = options.initial;
  let callOff: (() => void) | null = null;
  let isAsking = false;
  /** What a question that is under way does not count. */
  let nudges = 0;
  let attempts = 0;

  const schedule = (delayMs: number): void => {
    callOff?.();
    callOff = listeners.size === 0 ? null : options.later(() => void ask(), delayMs);
  };
  const ask = async (): Promise<void> => {
    if (isAsking) return;
    isAsking = true;
    const seen = nudges;
    const isFresh = !options.isVisible() || (await options.refresh());
    isAsking = false;
    const usualMs = options.refreshMs * (0.9 + options.random() / 5);
    const againMs = isFresh ? usualMs : AGAIN_MS * 2 ** attempts;
    attempts = isFresh ? 0 : attempts + 1;
    schedule(nudges === seen ? Math.min(usualMs, againMs) : NUDGE_MS);
  };
  const replace = (profile: Profile): void => {
    const before = current.segments;
    current = profile;
    const entered = profile.segments.filter((segment) => !before.includes(segment));
    const left = before.filter((segment) => !profile.segments.includes(segment));
    if (entered.length + left.length === 0) return;
    for (const listener of [...listeners]) {
      // An error in a listener is the page's, and shows there; the others are told all the same.
      options.later(() => {
        if (listeners.has(listener)) listener({ entered, left, segments: profile.segments, profile });
      }, 0);
    }
  };

  return {
    current: () => current,
    adopt: (answer) => {
      if (!answer.degraded || current.degraded) replace(answer);
    },
    replace,
    subscribe: (listener) => {
      // Of its own, so that the same function may be given twice.
      const own: SegmentListener = (change) => listener(change);
      listeners.add(own);
      if (callOff === null && !isAsking) schedule(current.degraded ? 0 : options.refreshMs);
      return () => {
        listeners.delete(own);
        if (listeners.size === 0) schedule(0);
      };
    },
    nudge: () => {
      nudges += 1;
      attempts = 0;
      if (!isAsking) schedule(NUDGE_MS);
    },
  };
}
