/**
 * Whether the visitor agreed. Unless it is `granted`, nothing is stored in the browser and nothing is sent: while
 * `pending`, calls are held in memory (the latest 100); `denied` drops them and removes what was stored.
 */
export type Consent = 'pending' | 'granted' | 'denied';

const MAX_HELD_CALLS = 100;

export interface ConsentGate {
  readonly consent: () => Consent;
  readonly isOpen: () => boolean;
  /** Does it now, later or never. */
  readonly whenGranted: (task: () => void) => void;
  readonly set: (next: Consent) => void;
}

export function createConsentGate(initial: Consent): ConsentGate {
  let consent = initial;
  let held: (() => void)[] = [];
  return {
    consent: () => consent,
    isOpen: () => consent === 'granted',
    whenGranted: (task) => {
      if (consent === 'granted') task();
      else if (consent === 'pending') held = [...held, task].slice(-MAX_HELD_CALLS);
    },
    set: (next) => {
      const tasks = next === 'granted' ? held : [];
      consent = next;
      if (next !== 'pending') held = [];
      for (const task of tasks) task();
    },
  };
}
