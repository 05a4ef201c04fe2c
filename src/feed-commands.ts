import type { Command } from 'commander';
import { ChangeSubscriptionService } from './activation/change-subscription.service.js';
import { changeSubscriptionsCommand } from './activation/change-subscriptions.command.js';
import { endpointsCommand } from './activation/endpoints/endpoints.command.js';
import { webhooksCommand, type WebhooksCommandServices } from './sources/webhooks/webhooks.command.js';
import { webhooksFor } from './command-services.js';
import type { CommandSessions } from './command-sessions.js';
import { parseTimestamp } from './api/parse-timestamp.js';
import { systemClock } from './platform/clock.js';
import { terminalConfirm, type CommandIo } from './platform/command-line.js';

/** Whoever is told of changes, and whoever tells. */
export function feedCommands({
  io,
  sessions,
  signal,
}: {
  io: CommandIo;
  sessions: CommandSessions;
  signal: AbortSignal;
}): Command[] {
  const { looking } = sessions;
  return [
    endpointsCommand({ ...io, withEndpoints: (use) => looking((app) => use(app.endpoints.service)) }),
    changeSubscriptionsCommand({
      ...io,
      withSubscriptions: (use) => looking(({ db }) => use(new ChangeSubscriptionService({ db, clock: systemClock }))),
      confirm: terminalConfirm(process.stdin, process.stderr),
    }),
    webhooksCommand({ ...io, ...webhookSessions(sessions, signal), signal }),
  ];
}

function webhookSessions({ looking, idle, loading }: CommandSessions, signal: AbortSignal) {
  return {
    withWebhooks: <T>(use: (services: WebhooksCommandServices) => Promise<T>) =>
      looking((app) => use(webhooksFor(app, signal))),
    withNewDatabase: <T>(use: (services: WebhooksCommandServices) => Promise<T>) =>
      idle((app) => use(webhooksFor(app, signal))),
    withReplay: <T>(use: (services: WebhooksCommandServices) => Promise<T>) =>
      loading((app) => use(webhooksFor(app, signal))),
    stdin: process.stdin,
    clock: systemClock,
    parseTime: parseTimestamp,
  };
}
