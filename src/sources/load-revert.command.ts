import type { Command } from 'commander';
import type { RetractionExtent } from '../events/retraction.model.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo, type Confirm } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { isUuid } from '../platform/ids.js';
import { formatInstant } from '../platform/instant.js';
import { grouped } from './load-progress.js';
import type { LoadReverter } from './load.model.js';
import { MAX_LOAD_PAGE, type LoadReader, type LoadSummary } from './load.reader.js';

export interface RevertCommandDeps extends CommandIo {
  /** For commands that only look. */
  withLoads<T>(use: (loads: LoadReader) => Promise<T>): Promise<T>;
  /** Starts what a revert needs, a worker included unless another process has one, for as long as `use` runs. */
  withReverter<T>(
    use: (services: { readonly loads: LoadReader; readonly reverter: LoadReverter }) => Promise<T>,
  ): Promise<T>;
  /** Null where nobody can be asked. */
  readonly confirm: Confirm | null;
  readonly signal: AbortSignal;
}

interface RevertCommandOptions {
  readonly dryRun?: true;
  readonly yes?: true;
  readonly json?: true;
}

const PROGRESS_STEPS = 20;

const REVERT_HELP = `
Takes everything back that the load brought in: its events, and what came of them. Profiles, traits and features become
what they would be had it never been; memberships follow, and the feed tells of them with the cause REVERT. Nothing else
is touched, and events keep coming in meanwhile. A revert that was stopped goes on by itself wherever a worker runs, and
asking again waits for it. One that failed again and again is shown so by list; asked again, it goes on. Afterwards the file can be loaded again.

Examples:
  weft load revert 018c…-… --dry-run
  weft load revert 018c…-… --yes

Exit codes: 0 done, 1 failed (no such load) or not confirmed, 2 wrong use, 130 interrupted.`;

/**
 * `weft load list|revert`. Options that `load` has too are read by it, wherever they stand: so the actions look at both.
 */
export function addRevertCommands(command: Command, deps: RevertCommandDeps): void {
  command
    .command('list')
    .description('files that were loaded, the newest first')
    .option('--json', 'as JSON')
    .action((_own: object, self: Command) => runCommand(deps, () => list(deps, self.optsWithGlobals())));
  command
    .command('revert')
    .description('take back everything that a load brought in')
    .argument('<load id>', 'its id, as list shows it')
    .option('--dry-run', 'only say what would be taken back')
    .option('--yes', 'do not ask')
    .option('--json', 'the result as JSON')
    .addHelpText('after', REVERT_HELP)
    .action((id: string, _own: object, self: Command) =>
      runCommand(deps, () => revert(deps, id, self.optsWithGlobals()), deps.signal),
    );
}

async function list(deps: RevertCommandDeps, { json }: { readonly json?: true }): Promise<number> {
  return deps.withLoads(async (loads) => {
    const found = await loads.page(null, MAX_LOAD_PAGE);
    if (json === true) {
      const times = (load: LoadSummary) => ({
        startedAt: formatInstant(load.startedAt),
        finishedAt: load.finishedAt === null ? null : formatInstant(load.finishedAt),
      });
      deps.stdout.write(jsonText(found.map((load) => ({ ...load, ...times(load) }))));
    } else if (found.length === 0) {
      deps.stdout.write('Nothing was loaded yet.\n');
    } else {
      const rows = found.map((load) => [
        load.id,
        formatInstant(load.startedAt),
        load.source,
        load.fileName,
        stateOf(load),
        ...[load.rows, load.accepted, load.duplicates, load.refused].map(grouped),
      ]);
      const header = ['id', 'began', 'source', 'file', 'state', 'rows', 'accepted', 'duplicates', 'refused'];
      deps.stdout.write(textTable([header, ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

async function revert(deps: RevertCommandDeps, id: string, options: RevertCommandOptions): Promise<number> {
  if (options.dryRun === true) {
    return deps.withReverter(async ({ loads, reverter }) => {
      const load = await found(loads, id);
      const extent = await reverter.extentOfLoad(load.id);
      deps.stdout.write(
        options.json === true ? jsonText({ load: load.id, ...extent }) : `${describe(load, extent)}.\n`,
      );
      return EXIT_CODES.ok;
    });
  }
  return deps.withReverter(async ({ loads, reverter }) => {
    const load = await found(loads, id);
    if (load.status !== 'reverting' && load.status !== 'reverted' && options.yes !== true) {
      if (!(await confirmRevert(deps, load, await reverter.extentOfLoad(load.id)))) {
        deps.stderr.write('Nothing was changed.\n');
        return EXIT_CODES.failed;
      }
    }
    const wasReverted = load.status === 'reverted';
    const { id: retractionId } = await reverter.takeBackLoad(load.id);
    const done = await reverter.done(retractionId, { signal: deps.signal, onProgress: progressTo(deps.stderr) });
    deps.stdout.write(
      options.json === true
        ? jsonText({
            load: load.id,
            removed: done.removed,
            profiles: done.profiles,
            records: done.removedRecords,
            wasReverted,
          })
        : `${wasReverted ? 'Nothing to do: it was reverted already, and' : 'Reverted:'} ${extentText({ events: done.removed, profiles: done.profiles, records: done.removedRecords })} ${wasReverted ? 'were' : 'are'} taken back.\n`,
    );
    return EXIT_CODES.ok;
  });
}

/** @throws WeftError BAD_REQUEST where nobody can be asked */
export async function confirmRevert(
  { confirm }: Pick<RevertCommandDeps, 'confirm'>,
  load: RevertedLoad,
  extent: RetractionExtent,
): Promise<boolean> {
  if (confirm !== null) return confirm(`${describe(load, extent)}. Revert it?`);
  throw new WeftError('BAD_REQUEST', 'a revert has to be confirmed', { where: load.id, hint: 'give --yes' });
}

/** A line each time another twentieth is done. */
export function progressTo(stream: CommandIo['stderr']): (removed: number, events: number) => void {
  let told = 0;
  return (removed, events) => {
    const step = events === 0 ? 0 : Math.floor((removed / events) * PROGRESS_STEPS);
    if (step <= told) return;
    told = step;
    stream.write(`reverting: ${grouped(removed)} of ${grouped(events)} events\n`);
  };
}

async function found(loads: LoadReader, id: string): Promise<LoadSummary> {
  const load = isUuid(id) ? await loads.find(id) : null;
  if (load !== null) return load;
  throw new WeftError('NOT_FOUND', 'there is no such load', { where: id, hint: 'weft load list shows them' });
}

type RevertedLoad = Pick<LoadSummary, 'id' | 'fileName' | 'source' | 'startedAt'>;

function describe({ fileName, source, startedAt }: RevertedLoad, extent: RetractionExtent): string {
  return `${fileName}, loaded into ${source} from ${formatInstant(startedAt)} on: ${extentText(extent)}`;
}

/** A load is of people or of an entity; one that brought in nothing is told of as the former. */
function extentText({ events, profiles, records }: RetractionExtent): string {
  const ofPeople = `${grouped(events)} events of ${grouped(profiles)} profiles`;
  if (records === 0) return ofPeople;
  const ofEntity = `${grouped(records)} records`;
  return events === 0 ? ofEntity : `${ofPeople} and ${ofEntity}`;
}

function stateOf({ status, eventsRemoved, eventsToRemove, revertFailure }: LoadSummary): string {
  if (revertFailure !== null) return `revert failed (${revertFailure})`;
  return status === 'reverting'
    ? `reverting (${grouped(eventsRemoved ?? 0)} of ${grouped(eventsToRemove ?? 0)})`
    : status;
}
