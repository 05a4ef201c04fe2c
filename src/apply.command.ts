import { Command } from 'commander';
import type { DefinitionApplier, DefinitionPlan } from './definition-applier.js';
import { readDefinitionFiles } from './definition-files.js';
import { EXIT_CODES, jsonText, runCommand, type CommandIo, type Confirm } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';

export interface ApplyCommandDeps extends CommandIo {
  /** Starts what applying needs, for as long as `use` runs. */
  withApplier<T>(use: (applier: Pick<DefinitionApplier, 'plan' | 'apply'>) => Promise<T>): Promise<T>;
  /** Null: there is nobody to ask. */
  readonly confirm: Confirm | null;
}

interface ApplyOptions {
  readonly dryRun?: true;
  readonly yes?: true;
  readonly prune?: true;
  readonly json?: true;
}

const HELP = `
A file defines features (views, services) or segments; of a folder, the YAML files in it that do either are taken.
Everything is checked before anything is written. What the files say already is left alone, so that applying twice
changes nothing. New features see all of history: it is folded in by the worker, meanwhile segments that read them wait.

Examples:
  weft apply features.yaml segments.yaml --dry-run
  weft apply definitions/ --prune --yes

Exit codes: 0 done or nothing to do, 1 failed or declined, 2 wrong use or definitions.`;

/** `weft apply <file or folder>...`. */
export function applyCommand(deps: ApplyCommandDeps): Command {
  return new Command('apply')
    .description('apply definitions of features and segments')
    .argument('<file or folder...>', 'YAML files, or folders that hold them')
    .option('--dry-run', 'show what would change and change nothing')
    .option('-y, --yes', 'do not ask')
    .option('--prune', 'also remove features and archive segments that the files leave out')
    .option('--json', 'the plan as JSON')
    .addHelpText('after', HELP)
    .action((paths: string[], options: ApplyOptions) => runCommand(deps, () => runApply(deps, paths, options)));
}

async function runApply(deps: ApplyCommandDeps, paths: readonly string[], options: ApplyOptions): Promise<number> {
  const { files, skipped } = await readDefinitionFiles(paths);
  if (skipped.length > 0) deps.stderr.write(`note: nothing is defined in ${skipped.join(', ')}\n`);
  return deps.withApplier(async (applier) => {
    const plan = await applier.plan(files, options.prune === true);
    const isDone = options.dryRun === true || plan.isEmpty;
    if (options.json !== true) deps.stdout.write(describePlan(plan));
    if (!isDone && options.yes !== true && !(await confirmed(deps))) {
      deps.stderr.write('Nothing was changed.\n');
      return EXIT_CODES.failed;
    }
    if (!isDone) await applier.apply(plan);
    if (options.json === true) deps.stdout.write(jsonText(toJson(plan, !isDone)));
    else if (!plan.isEmpty) deps.stdout.write(isDone ? 'Dry run: nothing was changed.\n' : 'Applied.\n');
    return EXIT_CODES.ok;
  });
}

async function confirmed({ confirm }: ApplyCommandDeps): Promise<boolean> {
  if (confirm !== null) return confirm('Apply?');
  throw new WeftError('BAD_REQUEST', 'there is nobody to ask whether to apply this', {
    where: '--yes',
    hint: 'pass --yes to apply without asking, or --dry-run to see the plan only',
  });
}

/** The plan as lines for people. */
export function describePlan({ features, segments, newStreams, isEmpty, defined }: DefinitionPlan): string {
  if (isEmpty) {
    const counts = [
      ...(defined.features === null
        ? []
        : [
            counted(
              defined.features.views.flatMap((v) => v.features),
              'feature',
            ),
          ]),
      ...(defined.segments === null ? [] : [counted(defined.segments, 'segment')]),
    ];
    return `Nothing to change: ${counts.join(' and ')} as defined already.\n`;
  }
  const lines = [
    ...(features === null ? [] : section('Features and services', features.added, features.changed, features.removed)),
    ...(segments === null ? [] : section('Segments', segments.added, segments.changed, segments.archived)),
    ...(segments === null || segments.activated.length === 0
      ? []
      : [`To be activated: ${segments.activated.join(', ')}.`]),
    ...(newStreams === 0 ? [] : [`History is to be folded into ${counted({ length: newStreams }, 'new stream')}.`]),
  ];
  return `${lines.join('\n')}\n`;
}

function section(
  title: string,
  added: readonly string[],
  changed: readonly string[],
  removed: readonly string[],
): string[] {
  if (added.length + changed.length + removed.length === 0) return [];
  return [
    `${title}: ${String(added.length)} to add, ${String(changed.length)} to change, ${String(removed.length)} to remove`,
    ...added.map((name) => `  + ${name}`),
    ...changed.map((name) => `  ~ ${name}`),
    ...removed.map((name) => `  - ${name}`),
  ];
}

function counted({ length }: { readonly length: number }, what: string): string {
  return `${String(length)} ${what}${length === 1 ? '' : 's'}`;
}

function toJson({ features, segments, newStreams }: DefinitionPlan, applied: boolean): unknown {
  const named = (plan: { added: readonly string[]; changed: readonly string[] } | null, removed: readonly string[]) =>
    plan === null ? null : { added: plan.added, changed: plan.changed, removed };
  return {
    applied,
    features: named(features, features?.removed ?? []),
    segments: segments === null ? null : { ...named(segments, segments.archived), activated: segments.activated },
    newStreams,
  };
}
