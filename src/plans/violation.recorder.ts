import type { IncomingItem, SettledAccept } from '../events/accept.model.js';
import type { PlanViolation } from '../events/plan-violation.model.js';
import type { Clock } from '../platform/clock.js';
import { DeltaWriter } from '../platform/delta-writer.js';
import { hourOf } from '../sources/source-activity.model.js';
import { ruleName } from './tracking-plan.model.js';
import { MAX_VIOLATION_SAMPLES, type ViolationDelta } from './violation.model.js';
import type { ViolationStore } from './violation.store.js';

export interface ViolationRecorderOptions {
  readonly store: Pick<ViolationStore, 'add'>;
  readonly clock: Clock;
  /** Time between two writes, ms. Default 5 s. */
  readonly flushMs?: number;
  /** The counts are kept and written with the next ones. */
  readonly onError: (error: unknown) => void;
  /** Told of each violation. */
  readonly onViolation: (sourceKey: string, rule: string) => void;
}

/** Groups that may wait to be written; further violations are counted by source, hour and rule. */
const MAX_WAITING = 5_000;
/** Of one statement. */
const MAX_DELTAS = 1_000;
const MAX_TEXT_LENGTH = 300;

type Waiting = { -readonly [K in keyof ViolationDelta]: ViolationDelta[K] } & { samples: string[] };

/**
 * Counts violations in memory and adds them to the stored counts every few seconds, as the activity of sources is
 * counted. Events that had been accepted before are not counted again.
 */
export class ViolationRecorder {
  readonly #options: ViolationRecorderOptions;
  readonly writes: DeltaWriter<ViolationDelta>;
  #waiting = new Map<string, Waiting>();

  constructor(options: ViolationRecorderOptions) {
    this.#options = options;
    this.writes = new DeltaWriter<ViolationDelta>({
      take: () => {
        const deltas = [...this.#waiting.values()];
        this.#waiting = new Map();
        return deltas;
      },
      putBack: (delta) => {
        this.#add(delta);
      },
      write: (deltas) => options.store.add(deltas),
      maxDeltas: MAX_DELTAS,
      flushMs: options.flushMs,
      onError: options.onError,
    });
  }

  /** As part of an `AcceptObserver`. */
  readonly settled = ({ source, items, results }: SettledAccept): void => {
    for (let i = 0; i < results.length; i++) {
      const result = results[i];
      const item = items[i];
      if (result?.violations === undefined || result.status === 'duplicate' || item === undefined) continue;
      const hour = hourOf(this.#options.clock.now());
      for (const violation of result.violations) {
        this.#options.onViolation(source.key, violation.rule);
        this.#add({ sourceId: source.id, hour, ...groupOf(item, violation) });
      }
    }
  };

  #add(delta: ViolationDelta): void {
    const { sourceId, hour, event, rule, path, count, samples } = delta;
    const key = [sourceId, hour, event, rule, path].join('\0');
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      waiting.count += count;
      waiting.samples = [...waiting.samples, ...samples].slice(0, MAX_VIOLATION_SAMPLES);
    } else if (this.#waiting.size < MAX_WAITING || event === '') {
      this.#waiting.set(key, { ...delta, samples: [...samples] });
    } else {
      this.#add({ ...delta, event: '', path: '', samples: [] });
    }
  }
}

function groupOf(item: IncomingItem, { rule, path }: PlanViolation) {
  if ('refusal' in item) return { event: '', rule, path: '', count: 1, samples: [] };
  const { type, name, messageId } = item;
  return {
    event: storable(ruleName({ type, name: type === 'track' ? (name ?? '') : null })),
    rule,
    path: storable(path),
    count: 1,
    samples: typeof messageId === 'string' && messageId !== '' ? [storable(messageId)] : [],
  };
}

function storable(text: string): string {
  return text.slice(0, MAX_TEXT_LENGTH).replaceAll(/[\0\p{Surrogate}]/gu, '\ufffd');
}
