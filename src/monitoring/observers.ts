import type { LoggedEvent } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { Metrics } from '../platform/metrics.js';
import type { RepeatedLog } from '../platform/repeated-log.js';
import type { ScoringObserver } from '../scoring/scoring-observer.model.js';
import { observeScoring } from './observe-scoring.js';
import type { WorkerHealth } from './worker-health.js';

const MAX_CODES = 50;
const MAX_CHORES = 50;

/** What one committed batch did. */
interface BatchCounts {
  readonly events: number;
  readonly timers: number;
  readonly merges: number;
  readonly contested: number;
  readonly droppedTraits: number;
  readonly traitConflicts: readonly { readonly outcome: string }[];
  readonly changes: readonly { readonly kind: string; readonly cause: { readonly kind: string } }[];
}

export interface Observers extends Required<ScoringObserver> {
  failed(error: unknown): void;
  retrying(error: unknown, attempt: number): void;
  poisoned(event: Pick<LoggedEvent, 'pos' | 'sourceId'>, error: unknown): void;
  lagging(events: number): void;
  contested(components: number): void;
  itemsLagging(events: number, ageMs: number): void;
  itemsDamaged(items: number): void;
  rowsPassedOver(
    work: string,
    damaged: { readonly count: number; readonly first: { readonly pos: number } | null },
  ): void;
  choreFailed(chore: string, error: unknown, failures: number): void;
  choresFailing(chores: readonly string[]): void;
  erasuresFailing(count: { readonly failing: number; readonly givenUp: number }): void;
  committed(batch: BatchCounts): void;
}

/**
 * Turns what the write side reports into metrics, log lines and the health of the worker. None holds an identifier or a
 * payload. A broken definition fails with every batch, so lines are not repeated for each.
 */
export function createObservers(metrics: Metrics, log: RepeatedLog, health: WorkerHealth): Observers {
  const applied = metrics.counter('events_applied_total', 'Events fully applied.');
  const poisoned = metrics.counter('events_poisoned_total', 'Events that could not be applied, now dead letters.');
  const timers = metrics.counter('timers_fired_total', 'Timers fired.');
  const merges = metrics.counter('profile_merges_total', 'Profiles that became part of another.');
  const contested = metrics.counter('identity_contested_total', 'Events of components too large to replay in place.');
  const droppedTraits = metrics.counter('traits_dropped_total', 'Values of traits left out: their anchor has enough.');
  const conflicts = metrics.counter('trait_conflicts_total', 'Values of traits of another type than declared.', {
    outcome: ['kept', 'coerced', 'refused'],
  });
  const changes = metrics.counter('membership_changes_total', 'Membership changes emitted, by kind and cause.', {
    kind: ['enter', 'leave'],
    cause: 12,
  });
  const retries = metrics.counter('batch_retries_total', 'Batches tried again, by error code.', { code: MAX_CODES });
  const unpublished = metrics.counter('publications_failed_total', 'Writes to the online store that failed.');
  let lag = 0;
  let components = 0;
  metrics.gauge('identity_contested_components', 'Components too large to replay in place.', () => components);
  metrics.gauge('log_lag_events', 'Events accepted and not yet applied, as of the last batch.', () => lag);
  return {
    ...observeItems(metrics),
    ...observeChores(metrics, log),
    ...observeScoring(metrics, log),
    failed: (error) => {
      unpublished.add(1);
      log.warn(error, 'the online store could not be written; it is tried again');
    },
    retrying: (error, attempt) => {
      retries.add(1, error instanceof WeftError ? error.code : 'INTERNAL');
      health.failed(error);
      log.warn(error, 'a batch failed and is tried again', { attempt });
    },
    poisoned: (event, error) => {
      poisoned.add(1);
      log.error(error, 'an event could not be applied', { pos: event.pos, sourceId: event.sourceId });
    },
    lagging: (events) => {
      lag = events;
    },
    contested: (count) => {
      components = count;
    },
    committed: (batch) => {
      health.progressed();
      applied.add(batch.events);
      timers.add(batch.timers);
      merges.add(batch.merges);
      contested.add(batch.contested);
      droppedTraits.add(batch.droppedTraits);
      for (const { outcome } of batch.traitConflicts) conflicts.add(1, outcome);
      for (const change of batch.changes) changes.add(1, change.kind, change.cause.kind);
    },
  };
}

/** What is told of the fold of events into items. */
function observeItems(metrics: Metrics): Pick<Observers, 'itemsLagging' | 'itemsDamaged'> {
  const damagedItems = metrics.counter(
    'entity_fold_damaged_items_total',
    'States of items that could not be read, now folded anew from their events.',
  );
  let itemLag = { events: 0, ageMs: 0 };
  metrics.gauge(
    'entity_fold_lag_events',
    'Events applied and not yet folded into the items that they name, as of the last look.',
    () => itemLag.events,
  );
  metrics.gauge(
    'entity_fold_lag_seconds',
    'Age of the oldest event that is applied and not folded into items, as of the last look.',
    () => itemLag.ageMs / 1_000,
  );
  return {
    itemsLagging: (events, ageMs) => {
      itemLag = { events, ageMs };
    },
    itemsDamaged: (items) => {
      damagedItems.add(items);
    },
  };
}

/** What is told of work beside the batches. */
function observeChores(
  metrics: Metrics,
  log: RepeatedLog,
): Pick<Observers, 'choreFailed' | 'choresFailing' | 'erasuresFailing' | 'rowsPassedOver'> {
  const choreFailures = metrics.counter(
    'chore_failures_total',
    'Steps of work beside the batches that failed and are tried again later, by chore.',
    { chore: MAX_CHORES },
  );
  const passedOver = metrics.counter(
    'log_damaged_rows_total',
    'Rows of the log that could not be read and that work went on without, each time, by work.',
    { work: MAX_CHORES },
  );
  let erasures = { failing: 0, givenUp: 0 };
  metrics.gauge(
    'erasures_failing',
    'Erasures of which a step failed and which are tried again, as of the last look.',
    () => erasures.failing,
  );
  metrics.gauge(
    'erasures_given_up',
    'Erasures of which nothing is done before they are asked for again, as of the last look.',
    () => erasures.givenUp,
  );
  let failing: readonly string[] = [];
  metrics.gauges('chore_failing', 'Chores that failed the last time, 1 for each.', ['chore'], () =>
    failing.map((chore) => [[chore], 1] as const),
  );
  return {
    rowsPassedOver: (work, { count, first }) => {
      passedOver.add(count, work);
      const where = `position ${String(first?.pos ?? 0)}`;
      const error = new WeftError('INTERNAL', 'rows of the log are damaged', {
        where,
        hint: 'restore them from a backup',
      });
      log.warn(error, 'work went on without what cannot be read', { work, rows: count });
    },
    choreFailed: (chore, error, failures) => {
      choreFailures.add(1, chore);
      log.warn(error, 'work beside the batches failed and is tried again later', { chore, failures });
    },
    choresFailing: (chores) => {
      failing = chores;
    },
    erasuresFailing: (count) => {
      erasures = count;
    },
  };
}
