import type { Command } from 'commander';
import type { CommandSessions } from './command-sessions.js';
import { createPromotionPreviews } from './create-promotion-previews.js';
import { terminalConfirm, type CommandIo } from './platform/command-line.js';
import { withComponentBar } from './reresolution-report.js';
import { modelCommand } from './scoring/model.command.js';
import { ModelReader } from './scoring/model.reader.js';

/** `weft model`. */
export function createModelCommand(
  io: CommandIo & { stderr: NodeJS.WriteStream },
  { idle, looking }: Pick<CommandSessions, 'idle' | 'looking'>,
  signal: AbortSignal,
): Command {
  return modelCommand({
    ...{ ...io, signal, confirm: terminalConfirm(process.stdin, process.stderr) },
    withModels: (use) => idle((app) => use({ reader: new ModelReader(app.db), service: app.models })),
    withPromotionPreviews: (use) =>
      looking(({ db, clock, models, scoring, engine }) =>
        use(createPromotionPreviews({ db, clock, models, observer: scoring, definitions: engine.definitions })),
      ),
    withProgress: (run) => withComponentBar(io.stderr, run),
  });
}
