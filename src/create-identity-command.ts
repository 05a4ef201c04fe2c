import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { App } from './app.js';
import type { CommandSessions } from './command-sessions.js';
import { userName, sourceKeys } from './command-services.js';
import { createDecisionServices } from './decision-services.js';
import { readFilledColumns } from './filled-columns.js';
import { addDecisionCommands, type DecisionServices } from './identity-decisions.command.js';
import { addRulesPreviewCommand } from './identity-rules-preview.command.js';
import { addUpkeepCommands, type UpkeepCommandDeps } from './identity-upkeep.command.js';
import { addRulesCommand } from './identity/identity-rules.command.js';
import { IdentityRulesReader } from './identity/identity-rules.reader.js';
import { breathing } from './identity/linkage/command-files.js';
import { linkageCommand } from './identity/linkage/linkage.command.js';
import { LinkageModelReader } from './identity/matching/linkage-model.reader.js';
import { addModelsCommands } from './identity/matching/models.command.js';
import { addReviewCommands, type ReviewCommandServices } from './identity/matching/review.command.js';
import { ProfileLinker } from './profile-linker.js';
import type { CommandIo } from './platform/command-line.js';

/** How long a command waits for a worker. */
const REVIEW_WAIT_MS = 60_000;

/** What is decided about who is who, by people and by models. */
export function createIdentityCommand({
  io,
  sessions: { looking, working },
  signal,
}: {
  io: CommandIo & { stderr: NodeJS.WriteStream };
  sessions: CommandSessions;
  signal: AbortSignal;
}): Command {
  const servicesOf = (app: App): DecisionServices =>
    createDecisionServices({ ...app, sourceKeys: () => sourceKeys(app), actor: userName(), signal });
  const linker = ({ db, engine }: App): ProfileLinker =>
    new ProfileLinker({
      ...{ db, definitions: engine.definitions, ...engine.matching, actor: userName() },
      sleep: (ms) => sleep(ms, undefined, { signal }),
      breathe: breathing(signal),
    });
  const command = linkageCommand({
    ...io,
    signal,
    withPreview: (use) => looking((app) => use(linker(app))),
    withLinking: (use) => working((app) => use(linker(app))),
  });
  addModelsCommands(command, {
    ...io,
    withModels: (use) =>
      looking(({ db, engine: { definitions, matching } }) => {
        const { models, records } = matching;
        const filledColumns = (version: string) => readFilledColumns({ db, definitions, records }, version);
        return use({ models, reader: new LinkageModelReader(db), filledColumns });
      }),
    user: userName(),
  });
  const reviewing = ({ engine }: App): ReviewCommandServices => ({
    reviews: engine.matching.reviews,
    settled: async (id) => {
      const { status } = await engine.identity.revisions.settled(id, { timeoutMs: REVIEW_WAIT_MS, signal });
      return status === 'done';
    },
  });
  const deps: UpkeepCommandDeps = {
    ...io,
    signal,
    withReader: (use) => looking((app) => use(servicesOf(app))),
    withDecider: (use) => working((app) => use(servicesOf(app))),
  };
  addReviewCommands(command, {
    ...io,
    signal,
    withReviews: (use) => looking((app) => use(reviewing(app))),
    withReviewer: (use) => working((app) => use(reviewing(app))),
    user: userName(),
  });
  addDecisionCommands(command, deps);
  addUpkeepCommands(command, deps);
  const rules = addRulesCommand(command, {
    ...io,
    withRules: (use) => looking((app) => use(new IdentityRulesReader(app.db))),
  });
  addRulesPreviewCommand(rules, {
    ...io,
    signal,
    withPreviews: (use) => looking(({ engine }) => use(engine.identity.rulesPreviews)),
  });
  return command;
}
