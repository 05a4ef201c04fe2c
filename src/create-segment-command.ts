import type { Command } from 'commander';
import { parseTimestamp } from './api/parse-timestamp.js';
import type { App } from './app.js';
import { membershipExplainer, userName } from './command-services.js';
import type { Session } from './command-sessions.js';
import { createSegmentPreviews } from './create-segment-previews.js';
import { systemClock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { CommandIo } from './platform/command-line.js';
import { addExplainCommand } from './segment-explain.command.js';
import { addPreviewCommand } from './segment-preview.command.js';
import { segmentServices } from './segments/segment-command-services.js';
import { segmentCommand } from './segments/segment.command.js';
import type { SegmentPreviews } from './segments/segment-preview.service.js';

/**
 * What people do with segments.
 * @param onShown told of everybody of whom something is shown
 */
export function createSegmentCommand(
  io: CommandIo & { stderr: NodeJS.WriteStream },
  looking: Session,
  signal: AbortSignal,
  onShown: (profileId: Uuid) => void,
): Command {
  const command = segmentCommand({
    ...io,
    withSegments: (use) => looking((app) => use(segmentServices(app.db, app.engine.services.segments))),
    ...{ user: userName(), clock: systemClock },
  });
  addPreviewCommand(command, {
    ...{ ...io, signal, parseTime: parseTimestamp },
    withPreviews: (use) => looking((app) => use(segmentPreviews(app))),
  });
  addExplainCommand(command, {
    ...io,
    withExplainer: (use) => looking((app) => use(membershipExplainer(app, onShown))),
  });
  return command;
}

function segmentPreviews({ db, clock, engine }: App): SegmentPreviews {
  const { sealer, definitions, services } = engine;
  return createSegmentPreviews({ db, clock, sealer, definitions, segments: services.segments });
}
