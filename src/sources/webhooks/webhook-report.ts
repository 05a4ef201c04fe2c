import { textTable } from '../../platform/command-line.js';
import { formatInstant } from '../../platform/instant.js';
import { signatureOf } from './open-webhook.js';
import type { ReplayCounts, ReplayMode } from './replay-deliveries.js';
import { describeSigning } from './webhook-signature.js';
import type { Webhook } from './webhook.model.js';
import type { WebhookDetails } from './webhook.service.js';

export function pathOf(key: string): string {
  return `/v1/webhooks/${key}`;
}

export function detailsJson({ webhook, secrets, kept }: WebhookDetails): object {
  const { key, adapter, options, createdAt } = webhook;
  return {
    key,
    adapter,
    path: pathOf(key),
    options,
    signature: signatureOf(webhook),
    createdAt: formatInstant(createdAt),
    secrets: secrets.map(({ purpose, createdAt: since, expiresAt }) => ({
      purpose,
      createdAt: formatInstant(since),
      expiresAt: expiresAt === null ? null : formatInstant(expiresAt),
    })),
    kept: {
      ...kept,
      firstReceivedAt: kept.firstReceivedAt === null ? null : formatInstant(kept.firstReceivedAt),
      lastReceivedAt: kept.lastReceivedAt === null ? null : formatInstant(kept.lastReceivedAt),
    },
  };
}

export function detailsText({ webhook, secrets, kept }: WebhookDetails): string {
  const { key, adapter, options } = webhook;
  const events = `${String(kept.accepted)} events, ${String(kept.duplicates)} duplicates, ${String(kept.refused)} refused`;
  const rows = [
    ['key', key],
    ['adapter', adapter],
    ['path', pathOf(key)],
    ['messages', options.keepMessages ? 'kept for admins' : 'not kept'],
    ...signingRows(webhook),
    ...secrets.map(({ purpose, createdAt, expiresAt }) => [
      `secret (${purpose})`,
      `since ${formatInstant(createdAt)}${expiresAt === null ? '' : `, until ${formatInstant(expiresAt)}`}`,
    ]),
    ['deliveries', `${String(kept.deliveries)} kept, ${(kept.bytes / 1_048_576).toFixed(1)} MB`],
    ['of them', `${events}, ${String(kept.skipped)} left out`],
    ['last', kept.lastReceivedAt === null ? 'never' : formatInstant(kept.lastReceivedAt)],
  ];
  const { interrupted } = kept;
  return `${textTable(rows)}${interrupted === 0 ? '' : `${interruptedText(key, interrupted)}\n`}`;
}

function signingRows(webhook: Webhook): string[][] {
  const signature = signatureOf(webhook);
  if (signature === null) return [['signed', 'not at all; deliveries carry a write key of the source']];
  return describeSigning(signature).map((line, i) => [i === 0 ? 'signed' : '', line]);
}

export function replayText(key: string, counts: ReplayCounts, mode: ReplayMode): string {
  const { deliveries, accepted, duplicates, refused, skipped } = counts;
  const parts = [`${String(refused)} refused`, `${String(skipped)} left out`];
  const became =
    mode === 'check'
      ? `${String(deliveries)} deliveries make ${String(accepted)} events, ${parts.join(', ')}. Nothing was written.`
      : `${String(deliveries)} deliveries: ${String(accepted)} events added, ${String(duplicates)} were there already, ${parts.join(', ')}.`;
  return `${[became, ...remarksOn(key, counts)].join('\n')}\n`;
}

function remarksOn(key: string, { unopened, unmappable, unsettled, waiting }: ReplayCounts): string[] {
  return [
    ...(unopened === 0 ? [] : [`${String(unopened)} deliveries cannot be opened with this secret.`]),
    ...(unmappable === 0 ? [] : [`${String(unmappable)} deliveries could not be mapped, by a defect.`]),
    ...(waiting === 0 ? [] : [interruptedText(key, waiting)]),
    ...(unsettled === 0 ? [] : [unsettledText(unsettled)]),
  ];
}

function unsettledText(deliveries: number): string {
  const hold = deliveries === 1 ? 'delivery holds' : 'deliveries hold';
  return `${String(deliveries)} ${hold} events that were taken back and are refused now: mend the mapping first.`;
}

export function interruptedText(key: string, deliveries: number): string {
  const wait = deliveries === 1 ? 'delivery waits' : 'deliveries wait';
  return `interrupted: ${String(deliveries)} ${wait} to be replayed, run weft webhooks replay ${key} --since 1h`;
}
