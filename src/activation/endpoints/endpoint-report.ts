import { formatInstant } from '../../platform/instant.js';
import { filterText } from '../change-filter.flags.js';
import { CHANGE_CURSOR } from '../change-cursor.model.js';
import type { AttemptOutcome } from './delivery-attempt.model.js';
import type { FailedDelivery } from './endpoint.model.js';
import type { ListedEndpoint } from './endpoint.service.js';

/* Endpoints for people who read them on the command line, and as JSON. */

function timeText(ms: number | null): string {
  return ms === null ? 'never' : `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function instantText(ms: number | null): string | null {
  return ms === null ? null : formatInstant(ms);
}

function stateOf({ pausedAt, pausedBecause, retryAt, error }: ListedEndpoint): string {
  if (pausedAt !== null) return pausedBecause === null ? 'paused' : `paused: ${pausedBecause}`;
  if (retryAt !== null) return `down (${error ?? 'no answer'}), tried again at ${timeText(retryAt)}`;
  return error === null ? 'sending' : `sending; a change failed: ${error}`;
}

export function endpointTable(endpoints: readonly ListedEndpoint[]): string[][] {
  const rows = endpoints.map((each) => [
    each.key,
    each.origin,
    stateOf(each),
    String(each.delivered),
    String(each.waiting),
    String(each.dead),
    String(each.behind),
  ]);
  return [['key', 'to', 'state', 'delivered', 'waiting', 'dead', 'behind'], ...rows];
}

export function endpointText(endpoint: ListedEndpoint): string {
  const { key, origin, filter, content, settings, delivered, deliveredAt, waiting, dead, behind } = endpoint;
  const { identifiers, traits, features, pii, template } = content;
  const names = [...identifiers, ...traits, ...features];
  const form = template === null ? 'standard' : typeof template === 'string' ? template : 'a template of its own';
  return [
    key,
    `  to         ${origin}`,
    `  state      ${stateOf(endpoint)}`,
    `  told       ${filterText(filter)}`,
    `  body       ${form}; ${names.length === 0 ? 'nothing of the person but the id' : names.join(', ')}${pii || names.length === 0 ? '' : ' (personal data masked)'}`,
    `  requests   ${String(settings.concurrency)} at once, ${String(settings.timeoutMs)} ms each, ${String(settings.maxAttempts)} attempts`,
    `  delivered  ${String(delivered)}, last ${timeText(deliveredAt)}`,
    `  to come    ${String(behind)} positions behind, ${String(waiting)} waiting, ${String(dead)} dead`,
    '',
  ].join('\n');
}

export function endpointJson(endpoint: ListedEndpoint): Record<string, unknown> {
  const { key, origin, filter, content, settings, pausedAt, pausedBecause, failures, retryAt, error } = endpoint;
  const { delivered, deliveredAt, createdAt, waiting, dead, behind, seq } = endpoint;
  return {
    ...{ key, origin, filter, content, settings },
    pausedAt: instantText(pausedAt),
    ...{ pausedBecause, failures },
    retryAt: instantText(retryAt),
    ...{ error, delivered },
    deliveredAt: instantText(deliveredAt),
    cursor: CHANGE_CURSOR.encode({ seq }),
    ...{ behind, waiting, dead },
    createdAt: instantText(createdAt),
  };
}

export function undeliveredTable(deliveries: readonly FailedDelivery[]): string[][] {
  const rows = deliveries.map(({ seq, profileId, status, attempts, nextAt, error }) => [
    CHANGE_CURSOR.encode({ seq }),
    profileId,
    status === 'dead' ? 'dead' : `again at ${timeText(nextAt)}`,
    String(attempts),
    error ?? 'waits behind another change of the profile',
  ]);
  return [['cursor', 'profile', 'state', 'attempts', 'last'], ...rows];
}

export function undeliveredJson({ seq, profileId, status, attempts, nextAt, error, failedAt }: FailedDelivery): object {
  return {
    cursor: CHANGE_CURSOR.encode({ seq }),
    ...{ profileId, status, attempts },
    nextAt: status === 'dead' ? null : formatInstant(nextAt),
    error,
    failedAt: instantText(failedAt),
  };
}

export function outcomeText(outcome: AttemptOutcome): string {
  return outcome.kind === 'delivered' ? 'The receiver took it.' : `The receiver did not take it: ${outcome.error}`;
}
