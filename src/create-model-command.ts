import type { Command } from 'commander';
import type { CommandSessions } from './command-sessions.js';
import { createPromotionPreviews } from './create-promotion-previews.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { terminalConfirm, type CommandIo } from './platform/command-line.js';
import { addModelDriftCommand, noSuchModel, type ModelDriftServices } from './monitoring/model-drift.command.js';
import { withComponentBar } from './reresolution-report.js';
import { modelCommand } from './scoring/model.command.js';
import { ModelReader } from './scoring/model.reader.js';
import { ScoreHourReader } from './scoring/score-hour.reader.js';

/** `weft model`. */
export function createModelCommand(
  io: CommandIo & { stderr: NodeJS.WriteStream },
  { idle, looking }: Pick<CommandSessions, 'idle' | 'looking'>,
  signal: AbortSignal,
): Command {
  const command = modelCommand({
    ...{ ...io, signal, confirm: terminalConfirm(process.stdin, process.stderr) },
    withModels: (use) => idle((app) => use({ reader: new ModelReader(app.db), service: app.models })),
    withPromotionPreviews: (use) =>
      looking(({ db, clock, models, scoring, engine }) =>
        use(createPromotionPreviews({ db, clock, models, observer: scoring, definitions: engine.definitions })),
      ),
    withProgress: (run) => withComponentBar(io.stderr, run),
  });
  return addModelDriftCommand(command, {
    ...io,
    withModelDrift: (use) => looking(({ db, clock }) => use(modelDrift(db, clock))),
  });
}

export function modelDrift(db: Database, clock: Clock): ModelDriftServices {
  return {
    versions: (key, sinceMs) => new ScoreHourReader(db).versions(key, sinceMs),
    active: async (key) => {
      const reader = new ModelReader(db);
      if ((await reader.versionsOf(key)).length === 0) throw noSuchModel(key);
      return (await reader.active()).find((model) => model.key === key)?.version ?? null;
    },
    nowMs: () => clock.now(),
  };
}
