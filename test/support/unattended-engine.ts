import { createEngine, type Engine, type EngineOptions } from '../../src/engine.js';
import type { EngineLimits } from '../../src/engine-limits.js';

/** What the processes that are killed differ in. */
export type UnattendedOptions = Pick<EngineOptions, 'db' | 'clock' | 'erasing'> & {
  readonly maxBatchEvents: number;
  readonly maxRetractionEvents?: number;
  /** Others than these. */
  readonly limits?: Partial<EngineLimits>;
  readonly retrying?: (error: unknown) => void;
};

const ignore = (): void => undefined;
const fail = (error: unknown): void => {
  throw error as Error;
};

/** An engine in a process of its own, which ends at the first failure; its online store, which it shares, keeps nothing. */
export function unattendedEngine({
  db,
  clock,
  erasing,
  maxBatchEvents,
  maxRetractionEvents,
  retrying = ignore,
  limits,
}: UnattendedOptions): Promise<Engine> {
  return createEngine({
    db,
    clock,
    ...(erasing === undefined ? {} : { erasing }),
    onlineStore: () => ({
      putMany: () => Promise.resolve(),
      getMany: (keys) => Promise.resolve(keys.map(() => null)),
      deleteMany: () => Promise.resolve(),
    }),
    onlineStoreIsShared: true,
    observers: {
      accepted: ignore,
      duplicates: ignore,
      refused: ignore,
      deadLettersLost: (_, __, error) => {
        fail(error);
      },
      failed: fail,
      retrying,
      poisoned: (_, error) => {
        fail(error);
      },
      lagging: ignore,
      contested: ignore,
      itemsLagging: ignore,
      itemsDamaged: ignore,
      rowsPassedOver: ignore,
      choreFailed: (_, error) => {
        fail(error);
      },
      choresFailing: ignore,
      erasuresFailing: ignore,
      onRun: ignore,
    },
    onCommitted: ignore,
    limits: { maxBatchEvents, ...(maxRetractionEvents === undefined ? {} : { maxRetractionEvents }), ...limits },
  });
}
