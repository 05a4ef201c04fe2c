import type { Command } from 'commander';

import type { App } from './app.js';
import { untilApplied, type CommandSessions } from './command-sessions.js';
import { runEnded } from './create-schedules.js';
import type { CommandIo } from './platform/command-line.js';
import {
  describeSchedule,
  scheduleCommand,
  toJson,
  type ScheduleCommandServices,
} from './schedules/schedule.command.js';
import type { NewSchedule } from './schedules/schedule.model.js';
import { ScheduleReader } from './schedules/schedule.reader.js';
import { addScheduleSegmentCommands } from './schedule-segments.command.js';
import { addScheduleLoadCommand } from './sources/schedule-load.command.js';

/** `weft schedule`, with what can be scheduled. */
export function createScheduleCommand({
  io,
  sessions: { idle, looking, working },
  signal,
}: {
  readonly io: CommandIo;
  readonly sessions: CommandSessions;
  readonly signal: AbortSignal;
}): Command {
  const command = scheduleCommand({
    ...io,
    signal,
    withSchedules: (use) => looking((app) => use(servicesOf(app))),
    withRunner: (use) =>
      working(async (app) => {
        try {
          return await untilApplied(app, signal, () => use(servicesOf(app)));
        } finally {
          if (app.isWorking) await app.schedules.runner.stop();
        }
      }),
  });
  const add = (schedule: NewSchedule): ReturnType<typeof added> => idle((app) => added(app, schedule));
  addScheduleLoadCommand(command, { ...io, add });
  return addScheduleSegmentCommands(command, { ...io, add });
}

async function added(app: App, schedule: NewSchedule): Promise<{ text: string; json: unknown }> {
  const made = await app.schedules.service.add(schedule);
  const services = servicesOf(app);
  return { text: describeSchedule(services, made), json: toJson(services, made) };
}

function servicesOf({ db, schedules, isWorking }: App): ScheduleCommandServices {
  return {
    schedules: schedules.service,
    reader: new ScheduleReader(db),
    ended: (run, signal) => runEnded(db, run, signal, isWorking ? schedules.runner : null),
  };
}
