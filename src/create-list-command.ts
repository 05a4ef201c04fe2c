import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { App } from './app.js';
import type { CommandSessions } from './command-sessions.js';
import { listCommand, type ListCommandServices } from './list.command.js';
import { systemClock } from './platform/clock.js';
import { terminalConfirm, type CommandIo } from './platform/command-line.js';
import { ListReader } from './profiles/list.reader.js';
import { ListService } from './profiles/list.service.js';

/** What people do with lists. */
export function createListCommand(
  io: CommandIo & { stderr: NodeJS.WriteStream },
  { looking, working }: Pick<CommandSessions, 'looking' | 'working'>,
  signal: AbortSignal,
): Command {
  return listCommand({
    ...{ ...io, signal, stdin: process.stdin, now: () => systemClock.now() },
    sleep: (ms) => sleep(ms, undefined, { signal }),
    confirm: terminalConfirm(process.stdin, process.stderr),
    withLists: (use) => looking((app) => use(servicesOf(app, signal))),
    withWorkingLists: (use) => working((app) => use(servicesOf(app, signal))),
  });
}

function servicesOf(app: App, signal: AbortSignal): ListCommandServices {
  return {
    lists: listsOf(app),
    reader: new ListReader(app.db),
    namespaces: new Set(app.engine.policy.rules.namespaces.keys()),
    applied: (onProgress) => app.applied(onProgress, signal),
  };
}

/** What changes lists on the command line. */
export function listsOf({ db, clock, engine, sources }: App): ListService {
  const uses: ConstructorParameters<typeof ListService>[0]['uses'] = (tx) => engine.services.segments.listUses(tx);
  return new ListService({ db, clock, accept: engine.accept, sources, uses });
}
