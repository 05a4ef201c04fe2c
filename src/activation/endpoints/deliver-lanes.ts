import type { AttemptOutcome } from './delivery-attempt.model.js';

/** A change of one profile, to be sent behind those of the same profile that stand before it. */
export interface LaneItem {
  readonly seq: number;
}

/**
 * Sends lanes side by side, and within a lane one after the other; behind a failure nothing more of its lane is sent.
 * @param mayGoOn asked before each request; once it says no, nothing more is begun
 * @returns the outcomes by seq; what is not among them was not tried
 */
export async function deliverLanes<T extends LaneItem>(
  lanes: readonly (readonly T[])[],
  {
    concurrency,
    send,
    mayGoOn,
  }: {
    readonly concurrency: number;
    /** Never rejects but for a defect, which ends it all. */
    readonly send: (item: T) => Promise<AttemptOutcome>;
    readonly mayGoOn: () => boolean;
  },
): Promise<Map<number, AttemptOutcome>> {
  const outcomes = new Map<number, AttemptOutcome>();
  const waiting = lanes.values();
  let isBroken = false;
  const work = async (): Promise<void> => {
    // The iterator is shared: each lane is taken by one of the workers.
    for (const lane of waiting) {
      for (const item of lane) {
        if (isBroken || !mayGoOn()) return;
        const outcome = await send(item);
        outcomes.set(item.seq, outcome);
        if (outcome.kind !== 'delivered') break;
      }
    }
  };
  const guarded = async (): Promise<void> => {
    try {
      await work();
    } catch (error) {
      isBroken = true;
      throw error;
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: concurrency }, guarded));
  const failed = ended.find((each) => each.status === 'rejected');
  if (failed !== undefined) throw failed.reason as Error;
  return outcomes;
}
