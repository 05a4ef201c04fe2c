import type { Command } from 'commander';
import { parseTimestamp } from './api/parse-timestamp.js';
import type { App } from './app.js';
import { membershipExplainer, userName } from './command-services.js';
import type { CommandSessions } from './command-sessions.js';
import { listsOf } from './create-list-command.js';
import { jobEnded } from './create-background-jobs.js';
import { parseDefinitionFiles, readDefinitionFiles } from './definition-files.js';
import { exportPeople } from './create-people-exports.js';
import { createSegmentDiscovery } from './create-segment-discovery.js';
import { createSegmentPreviews } from './create-segment-previews.js';
import { ExportProgress } from './features/export-progress.js';
import { systemClock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { CommandIo } from './platform/command-line.js';
import { addExplainCommand } from './segment-explain.command.js';
import { addSegmentExport } from './segment-export.command.js';
import { snapshotSegment } from './segment-snapshot.js';
import { addSnapshotCommand } from './segment-snapshot.command.js';
import { BackgroundJobReader } from './schedules/background-job.reader.js';
import { addJobCommands, type SegmentJobTools } from './segment-job.command.js';
import { addPreviewCommand, type PreviewTools } from './segment-preview.command.js';
import { PREVIEW_ONCE_JOB, SNAPSHOT_ONCE_JOB } from './segments/segment-jobs.model.js';
import { createMergeProposals } from './create-merge-proposals.js';
import { addDiscoverCommand } from './segments/segment-discover.command.js';
import { addProposalsCommand } from './segments/segment-proposals.command.js';
import { addOverlapsCommand } from './segments/segment-overlaps.command.js';
import { addRecomputeCommands } from './segments/segment-recompute.command.js';
import { segmentServices } from './segments/segment-command-services.js';
import { segmentCommand } from './segments/segment.command.js';

/**
 * What people do with segments.
 * @param onShown told of everybody of whom something is shown
 */
export function createSegmentCommand(
  io: CommandIo & { stderr: NodeJS.WriteStream },
  { looking, working }: Pick<CommandSessions, 'looking' | 'working'>,
  signal: AbortSignal,
  onShown: (profileId: Uuid) => void,
): Command {
  const command = segmentCommand({
    ...io,
    withSegments: (use) => looking((app) => use(segmentServices(app.db, app.engine.services.segments, guardsOf(app)))),
    ...{ user: userName(), clock: systemClock },
  });
  addPreviewCommand(command, {
    ...{ ...io, signal, parseTime: parseTimestamp },
    withPreviews: (use) => looking((app) => use(previewTools(app))),
  });
  addSnapshotCommand(command, {
    ...{ ...io, signal, parseTime: parseTimestamp },
    start: (ask) => looking((app) => app.jobs.service.request(SNAPSHOT_ONCE_JOB, { ...ask }, userName())),
    snapshot: (ask, onProgress) =>
      working(async (app) => {
        const parts = { db: app.db, now: () => app.clock.now(), lists: listsOf(app), signal, onProgress };
        const taken = await snapshotSegment(parts, ask);
        await app.applied(undefined, signal);
        return taken;
      }),
  });
  addJobCommands(command, {
    ...{ ...io, signal },
    withJobs: (use) => looking((app) => use(jobTools(app, signal))),
    withWorker: (use) =>
      working(async (app) => {
        try {
          return await use(jobTools(app, signal));
        } finally {
          if (app.isWorking) await app.jobs.runner.stop();
        }
      }),
  });
  addSegmentExport(command, {
    ...{ ...io, signal },
    exportPeople: (request) =>
      looking(({ db, clock, engine }) =>
        exportPeople({ db, clock, definitions: engine.definitions, sealer: engine.sealer }, request),
      ),
    view: (total) => new ExportProgress({ clock: systemClock, stderr: io.stderr }, total, 'profiles'),
  });
  addDiscoverCommand(command, {
    ...{ ...io, user: userName() },
    withDiscovery: (use) => looking((app) => use(createSegmentDiscovery(app.db, app.engine.services.segments))),
  });
  addProposalsCommand(command, {
    ...io,
    withProposals: (use) =>
      looking((app) => use(createMergeProposals({ ...app, minSegmentSize: app.config.minSegmentSize }))),
  });
  addOverlapsCommand(command, {
    ...{ ...io, clock: systemClock },
    withDatabase: (use) => looking((app) => use(app.db)),
  });
  addRecomputeCommands(command, {
    ...{ ...io, signal },
    withWork: (use) => looking((app) => use(app.engine.segmentWork)),
    withWorker: (use) => working((app) => use(app.engine.segmentWork)),
  });
  addExplainCommand(command, {
    ...io,
    withExplainer: (use) => looking((app) => use(membershipExplainer(app, onShown))),
  });
  return command;
}

function guardsOf({ clock, config: { minSegmentSize } }: App) {
  return { clock, minSegmentSize };
}

function previewTools({ db, clock, engine, jobs, config: { minSegmentSize } }: App): PreviewTools {
  const { sealer, definitions, services } = engine;
  const { segments } = services;
  return {
    previews: createSegmentPreviews({ db, clock, sealer, definitions, segments, minSegmentSize }),
    start: (ask) => jobs.service.request(PREVIEW_ONCE_JOB, { ...ask }, userName()),
    segmentsIn: async (file) => {
      const { views } = await definitions.current();
      const features = [...views.values()].flatMap((view) => view.features.map(({ name }) => name));
      const { files } = await readDefinitionFiles([file]);
      return parseDefinitionFiles(files, features).segments ?? [];
    },
  };
}

function jobTools({ db, clock, jobs, isWorking }: App, signal: AbortSignal): SegmentJobTools {
  const { service } = jobs;
  return {
    describe: (job) => service.describe(job),
    latest: (limit) => new BackgroundJobReader(db).jobs(null, limit, clock.now()),
    demand: (id) => service.demand(id),
    cancel: (id) => service.cancel(id),
    ended: (job, onProgress) => jobEnded(jobs, job, { isWorking, signal, onProgress }),
  };
}
