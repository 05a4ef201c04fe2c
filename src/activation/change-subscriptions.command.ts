import { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import { CHANGE_CURSOR } from './change-cursor.model.js';
import { ALL_CHANGES } from './change-filter.model.js';
import { filterText, withFilterFlags, type ChangeFilterFlags } from './change-filter.flags.js';
import { CHANGE_SUBSCRIPTION_LIMITS, type ChangeLag, type ChangeSubscription } from './change-subscription.model.js';
import type { ChangeSubscriptionService } from './change-subscription.service.js';

export interface ChangeSubscriptionsCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withSubscriptions<T>(use: (subscriptions: ChangeSubscriptionService) => Promise<T>): Promise<T>;
  /** Asks a question on the terminal; null where nobody can be asked. */
  readonly confirm: ((question: string) => Promise<boolean>) | null;
}

interface Options {
  readonly json?: true;
}

const HELP = `
A subscription with a name keeps its place in the feed of changes on the server. A program reads on by segmentChanges with
"subscription", and says by acknowledgeChanges how far it is; what it has not said comes again.

Examples:
  weft subscriptions create crm_sync --segments cart_abandoned,champions --except-causes edit
  weft subscriptions filter crm_sync --segments champions
  weft subscriptions list
  weft subscriptions show crm_sync
  weft subscriptions acknowledge crm_sync --all
  weft subscriptions remove crm_sync

Exit codes: 0 done, 1 failed (no such subscription, a cursor of another installation), 2 wrong use, 130 interrupted.`;

/** `weft subscriptions list|show|create|filter|acknowledge|remove`. */
export function changeSubscriptionsCommand(deps: ChangeSubscriptionsCommandDeps): Command {
  const command = new Command('subscriptions')
    .description('readers of the feed of changes whose place is kept here')
    .addHelpText('after', HELP);
  command
    .command('list')
    .description('all of them, and what waits for each')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  onSubscription(command, 'show', 'one of them').action((key: string, options: Options) =>
    runCommand(deps, () => shown(deps, options, (subscriptions) => subscriptions.demand(key))),
  );
  withFilterFlags(onSubscription(command, 'create', 'make one'))
    .option('--from <cursor>', 'begin behind this change of the feed; default: now')
    .action((key: string, options: CreateOptions) => runCommand(deps, () => create(deps, key, options)));
  withFilterFlags(onSubscription(command, 'filter', 'give it another filter, at the place where it is')).action(
    (key: string, options: CreateOptions) => runCommand(deps, () => refilter(deps, key, options)),
  );
  onSubscription(command, 'acknowledge', 'say how far its reader is')
    .argument('[cursor]', 'all changes up to this one are dealt with')
    .option('--all', 'all changes that there are by now, as where a reader shall begin anew')
    .action((key: string, cursor: string | undefined, options: AcknowledgeOptions) =>
      runCommand(deps, () => acknowledge(deps, key, cursor, options)),
    );
  onSubscription(command, 'remove', 'remove one, with its place in the feed')
    .option('--yes', 'do not ask')
    .action((key: string, options: RemoveOptions) => runCommand(deps, () => remove(deps, key, options)));
  return command;
}

interface CreateOptions extends Options, ChangeFilterFlags {
  readonly from?: string;
}

interface AcknowledgeOptions extends Options {
  readonly all?: true;
}

interface RemoveOptions extends Options {
  readonly yes?: true;
}

function onSubscription(command: Command, name: string, description: string): Command {
  return command
    .command(name)
    .argument('<key>', name === 'create' ? 'what it is to be called' : 'key of the subscription')
    .description(description)
    .option('--json', 'as JSON');
}

async function list(deps: ChangeSubscriptionsCommandDeps, { json }: Options): Promise<number> {
  return deps.withSubscriptions(async (subscriptions) => {
    const all = await subscriptions.page(null, CHANGE_SUBSCRIPTION_LIMITS.maxSubscriptions);
    const lags = await Promise.all(all.map((each) => subscriptions.lag(each)));
    if (json === true) deps.stdout.write(jsonText(all.map((each, i) => toJson(each, lags[i] ?? null))));
    else if (all.length === 0) {
      deps.stdout.write('There are no subscriptions with a name yet; weft subscriptions create makes them.\n');
    } else {
      const rows = all.map((each, i) => [
        each.key,
        waitingText(lags[i] ?? null),
        timeText(each.acknowledgedAt),
        filterText(each.filter),
      ]);
      deps.stdout.write(textTable([['key', 'waiting', 'acknowledged', 'told'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

function filterOf({ segments, kind, causes, exceptCauses, purposes }: ChangeFilterFlags) {
  const { exceptCauses: noCauses, purposes: noPurposes } = ALL_CHANGES;
  return {
    ...{ segments: segments ?? null, profileId: null, kind: kind ?? null, causes: causes ?? null },
    ...{ exceptCauses: exceptCauses ?? noCauses, purposes: purposes ?? noPurposes },
  };
}

async function refilter(
  deps: ChangeSubscriptionsCommandDeps,
  key: string,
  { json, ...flags }: ChangeFilterFlags & Options,
): Promise<number> {
  const filter = filterOf(flags);
  return shown(deps, json === true ? { json } : {}, (subscriptions) => subscriptions.setFilter(key, filter));
}

async function create(
  deps: ChangeSubscriptionsCommandDeps,
  key: string,
  { from, json, ...flags }: CreateOptions,
): Promise<number> {
  const filter = filterOf(flags);
  const after = from === undefined ? null : CHANGE_CURSOR.decode(from, '--from').seq;
  return shown(deps, json === true ? { json } : {}, (subscriptions) => subscriptions.create(key, filter, after));
}

async function acknowledge(
  deps: ChangeSubscriptionsCommandDeps,
  key: string,
  cursor: string | undefined,
  { all, json }: AcknowledgeOptions,
): Promise<number> {
  if ((cursor === undefined) === (all === undefined)) {
    throw new WeftError('BAD_REQUEST', cursor === undefined ? 'how far is it?' : 'a cursor and --all are given', {
      where: 'cursor',
      hint: 'give the cursor of the last change that was dealt with, or --all',
    });
  }
  const seq = cursor === undefined ? null : CHANGE_CURSOR.decode(cursor, 'cursor').seq;
  return shown(deps, json === true ? { json } : {}, (subscriptions) =>
    seq === null ? subscriptions.acknowledgeAll(key) : subscriptions.acknowledge(key, seq),
  );
}

async function remove(deps: ChangeSubscriptionsCommandDeps, key: string, { yes }: RemoveOptions): Promise<number> {
  return deps.withSubscriptions(async (subscriptions) => {
    const found = await subscriptions.demand(key);
    if (yes !== true) {
      if (deps.confirm === null) {
        throw new WeftError('BAD_REQUEST', 'nobody can be asked', { where: key, hint: 'give --yes' });
      }
      const waiting = waitingText(await subscriptions.lag(found));
      if (!(await deps.confirm(`Remove ${key}, for which ${waiting} waiting, and its place in the feed?`))) {
        deps.stdout.write('Nothing was changed.\n');
        return EXIT_CODES.failed;
      }
    }
    await subscriptions.remove(key);
    deps.stdout.write(`Removed ${key}.\n`);
    return EXIT_CODES.ok;
  });
}

async function shown(
  deps: ChangeSubscriptionsCommandDeps,
  { json }: Options,
  made: (subscriptions: ChangeSubscriptionService) => Promise<ChangeSubscription>,
): Promise<number> {
  return deps.withSubscriptions(async (subscriptions) => {
    const subscription = await made(subscriptions);
    const lag = await subscriptions.lag(subscription);
    deps.stdout.write(json === true ? jsonText(toJson(subscription, lag)) : toText(subscription, lag));
    return EXIT_CODES.ok;
  });
}

function toText(subscription: ChangeSubscription, lag: ChangeLag | null): string {
  const { key, filter, seq, createdAt, acknowledgedAt } = subscription;
  const since = lag?.since ?? null;
  return [
    key,
    `  told          ${filterText(filter)}`,
    `  cursor        ${CHANGE_CURSOR.encode({ seq })}`,
    `  waiting       ${waitingText(lag)}${since === null ? '' : `, the first since ${timeText(since)}`}`,
    `  acknowledged  ${timeText(acknowledgedAt)}`,
    `  made          ${timeText(createdAt)}`,
    '',
  ].join('\n');
}

function toJson(subscription: ChangeSubscription, lag: ChangeLag | null): Record<string, unknown> {
  const { key, filter, seq, createdAt, acknowledgedAt } = subscription;
  return {
    ...{ key, filter, cursor: CHANGE_CURSOR.encode({ seq }), pending: lag?.pending ?? null },
    pendingSince: instantText(lag?.since ?? null),
    acknowledgedAt: instantText(acknowledgedAt),
    createdAt: instantText(createdAt),
  };
}

function waitingText(lag: ChangeLag | null): string {
  if (lag === null) return 'nothing is told: what it names is gone';
  const { maxCounted } = CHANGE_SUBSCRIPTION_LIMITS;
  return lag.pending >= maxCounted ? `${String(maxCounted)} or more` : String(lag.pending);
}

function timeText(ms: number | null): string {
  return ms === null ? 'never' : `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function instantText(ms: number | null): string | null {
  return ms === null ? null : formatInstant(ms);
}
