import { Command } from 'commander';
import type { DefinitionApplier } from './definition-applier.js';
import { describePlan, planJson } from './describe-definition-plan.js';
import { readDefinitionFiles } from './definition-files.js';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import { EXIT_CODES, jsonText, runCommand, type CommandIo, type Confirm } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import { warningText } from './platform/warning.js';
import { reresolutionExit, reresolutionText, withComponentBar, type ProgressStream } from './reresolution-report.js';

type Applier = Pick<DefinitionApplier, 'plan' | 'apply' | 'reresolved'>;

export interface ApplyCommandDeps extends CommandIo {
  readonly stderr: ProgressStream;
  readonly signal: AbortSignal;
  /**
   * Starts what applying needs, for as long as `use` runs.
   * @param needsWorker whether something has to be done by a worker meanwhile
   */
  withApplier<T>(use: (applier: Applier) => Promise<T>, needsWorker: boolean): Promise<T>;
  /** Null: there is nobody to ask. */
  readonly confirm: Confirm | null;
}

interface ApplyOptions {
  readonly dryRun?: true;
  readonly yes?: true;
  readonly prune?: true;
  readonly force?: true;
  readonly reResolve?: true;
  readonly json?: true;
}

const HELP = `
A file defines features (views, services), segments, traits, purposes, rules of who is who (identity), or several of these; of a folder, the YAML files in it that do are taken.
Everything is checked before anything is written: errors stop it, names that nobody has sent so far are warned of. What the files say already is left alone, so that applying twice
changes nothing. Rules of who is who hold for what is accepted from then on, and for those who are there once an event touches them: weft identity rules preview says what they would make of them,
--re-resolve has it done at once. Interrupted, that goes on wherever a worker runs, and the same command waits for it again. New features see all of history: it is folded in by the worker, meanwhile segments that read them wait.

Examples:
  weft apply features.yaml segments.yaml --dry-run
  weft apply definitions/ --prune --yes
  weft apply features.yaml --force --dry-run
  weft apply orders.weft.mjs --dry-run
  weft apply identity.yaml --dry-run
  weft apply identity.yaml --re-resolve --yes

Exit codes: 0 done or nothing to do, 1 failed or declined, 2 wrong use or definitions, 130 interrupted.`;

/** `weft apply <file or folder>...`. */
export function applyCommand(deps: ApplyCommandDeps): Command {
  return new Command('apply')
    .description('apply definitions of features, segments, traits, purposes and rules of who is who')
    .argument('<file or folder...>', 'YAML files, or folders that hold them')
    .option('--dry-run', 'show what would change and change nothing')
    .option('-y, --yes', 'do not ask')
    .option('--prune', 'also remove features, traits and purposes, and archive segments, that the files leave out')
    .option('--force', 'also remove and retype features in use; segments and models that read them go out of service')
    .option('--re-resolve', 'also resolve those anew whom other rules of who is who concern, and wait for it')
    .option('--json', 'the plan as JSON')
    .addHelpText('after', HELP)
    .action((paths: string[], options: ApplyOptions) =>
      runCommand(deps, () => runApply(deps, paths, options), deps.signal),
    );
}

async function runApply(deps: ApplyCommandDeps, paths: readonly string[], options: ApplyOptions): Promise<number> {
  const { files, skipped } = await readDefinitionFiles(paths);
  if (skipped.length > 0) deps.stderr.write(`note: nothing is defined in ${skipped.join(', ')}\n`);
  const isReresolving = options.reResolve === true;
  const run = async (applier: Applier): Promise<number> => {
    const plan = await applier.plan(files, {
      ...{ prune: options.prune === true, force: options.force === true },
      isReresolving: options.reResolve === true,
    });
    if (isReresolving && plan.identity === null) throw noRules();
    const isDone = options.dryRun === true || plan.isEmpty;
    if (options.json !== true) {
      deps.stdout.write(describePlan(plan, isReresolving));
      deps.stderr.write(warningText(plan.warnings));
    }
    if (!isDone && options.yes !== true && !(await confirmed(deps))) {
      deps.stderr.write('Nothing was changed.\n');
      return EXIT_CODES.failed;
    }
    const revisionId = isDone ? null : await applier.apply(plan, isReresolving);
    if (options.json !== true && !plan.isEmpty) {
      deps.stdout.write(isDone ? 'Dry run: nothing was changed.\n' : 'Applied.\n');
    }
    const isWaiting = isReresolving && options.dryRun !== true;
    const revision = isWaiting ? await reresolved(deps, applier, revisionId) : null;
    if (options.json === true) deps.stdout.write(jsonText(planJson(plan, !isDone, revision)));
    else if (isWaiting) deps.stdout.write(revision === null ? NOBODY_ANEW : reresolutionText(revision));
    return revision === null ? EXIT_CODES.ok : reresolutionExit(deps, revision);
  };
  return deps.withApplier(run, isReresolving && options.dryRun !== true);
}

const NOBODY_ANEW =
  'Nobody is to be resolved anew. weft identity reresolve --since <version> does so for an older change of the rules.\n';

function reresolved(
  { stderr, signal }: ApplyCommandDeps,
  applier: Applier,
  id: Uuid | null,
): Promise<IdentityRevisionRecord | null> {
  return withComponentBar(stderr, (onProgress) =>
    applier.reresolved(
      id,
      ({ stepsDone, stepsTotal }) => {
        onProgress(stepsDone, stepsTotal);
      },
      signal,
    ),
  );
}

function noRules(): WeftError {
  return new WeftError('BAD_REQUEST', 'the files have no rules of who is who', {
    where: '--re-resolve',
    hint: 'weft identity reresolve resolves everybody anew by the rules in force',
  });
}

async function confirmed({ confirm }: ApplyCommandDeps): Promise<boolean> {
  if (confirm !== null) return confirm('Apply?');
  throw new WeftError('BAD_REQUEST', 'there is nobody to ask whether to apply this', {
    where: '--yes',
    hint: 'pass --yes to apply without asking, or --dry-run to see the plan only',
  });
}
