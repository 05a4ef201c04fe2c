import type { ConsentGate } from './consent-gate.js';
import type { EdgeClient, EdgeIdentifier } from './edge-client.js';
import { createProfileWatch, type ProfileWatch } from './profile-watch.js';
import { defaultProfile, type Profile, type ProfileDefault } from './profile.model.js';
import type { KeyValueStore } from './storage.js';
import type { Runtime } from './runtime.js';
import type { Visitor } from './visitor.js';

export interface ProfileOptions {
  /** Default: the visitor's anonymous id. */
  readonly identifier?: EdgeIdentifier;
  /** For the answer, with the network, ms. */
  readonly deadlineMs?: number;
  readonly default?: ProfileDefault;
}

/** What Weft says of the visitor in front of this browser. */
export interface VisitorProfile {
  readonly watch: ProfileWatch;
  readonly ask: (options?: ProfileOptions) => Promise<Profile>;
  /** Events were sent; answers shall count them from now on. */
  readonly sent: (token: string) => void;
  /** The visitor is somebody else, or wants to be nobody. */
  readonly forget: () => void;
}

export interface VisitorProfileOptions extends Runtime {
  /** Null: there is no key to ask with. */
  readonly ask: EdgeClient | null;
  readonly visitor: Visitor;
  readonly gate: ConsentGate;
  readonly store: KeyValueStore;
  readonly tokenKey: string;
  readonly initial: Profile | null;
  readonly default: ProfileDefault | undefined;
  readonly deadlineMs: number;
  readonly refreshMs: number;
  readonly isVisible: () => boolean;
}

/** A token for longer than this says nothing new: the events have been counted long ago. */
const TOKEN_LIFE_MS = 60_000;
/** For questions that nobody waits for. */
const WATCH_DEADLINE_MS = 2_500;

export function createVisitorProfile(options: VisitorProfileOptions): VisitorProfile {
  const { ask, visitor, gate, store, tokenKey, now } = options;
  let asking: Promise<Profile> | null = null;
  let askingAfter: string | undefined;
  /** How many questions about this visitor there were. */
  let asked = 0;

  /** Kept in the store, so that the next page and the other tabs count the events of this one. */
  const lastToken = (): string | undefined => {
    const [at = '', token] = store.get(tokenKey)?.split(' ') ?? [];
    return now() - Number(at) < TOKEN_LIFE_MS ? token : undefined;
  };
  const question = async (
    identifier: EdgeIdentifier,
    deadlineMs: number,
    cache?: RequestCache,
  ): Promise<Profile | null> => {
    if (ask === null || !gate.isOpen()) return null;
    const after = lastToken();
    const profile = await ask({ identifier, deadlineMs, after, cache });
    if (profile?.degraded === false && after === lastToken()) store.remove(tokenKey);
    return profile === null || isDefault(profile) ? null : profile;
  };

  const askOwn = async (deadlineMs: number, cache?: RequestCache): Promise<Profile> => {
    if (!gate.isOpen()) return watch.current();
    const value = visitor.anonymousId();
    const turn = ++asked;
    const answer = await question({ namespace: 'anonymous_id', value }, deadlineMs, cache);
    // Meanwhile the visitor may have become somebody else, or have withdrawn the consent.
    const isOurs = answer !== null && visitor.known() === value;
    // One that was overtaken may say what was before.
    if (isOurs && turn === asked) watch.adopt(answer);
    return isOurs && !answer.degraded ? answer : { ...watch.current(), degraded: true };
  };

  /** Who asks at the same time, after the same events, shares the answer. */
  const shared = (deadlineMs: number): Promise<Profile> => {
    const after = lastToken();
    if (asking !== null && askingAfter === after) return asking;
    const own = askOwn(deadlineMs).finally(() => {
      if (asking === own) asking = null;
    });
    askingAfter = after;
    return (asking = own);
  };

  const watch = createProfileWatch({
    ...options,
    initial: options.initial ?? defaultProfile(options.default),
    refresh: async () => !(await askOwn(WATCH_DEADLINE_MS, 'no-cache')).degraded,
  });

  return {
    watch,
    ask: async (of = {}) => {
      const deadlineMs = of.deadlineMs ?? options.deadlineMs;
      const answer = await (of.identifier === undefined ? shared(deadlineMs) : question(of.identifier, deadlineMs));
      return answer === null || isDefault(answer) ? defaultProfile(of.default ?? options.default) : answer;
    },
    sent: (token) => {
      // The answer may come after the visitor withdrew the consent, and then nothing may be kept.
      if (!gate.isOpen()) return;
      store.set(tokenKey, `${now()} ${token}`);
      watch.nudge();
    },
    forget: () => {
      visitor.forget();
      store.remove(tokenKey);
      watch.replace(defaultProfile(options.default));
    },
  };
}

function isDefault({ degraded, asOf }: Profile): boolean {
  return degraded && asOf === null;
}
