import { Command } from 'commander';
import type { DefinitionApplier, DefinitionPlan } from './definition-applier.js';
import { readDefinitionFiles } from './definition-files.js';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import type { IdentityRulesChange } from './identity/identity-rules.service.js';
import { EXIT_CODES, jsonText, runCommand, type CommandIo, type Confirm } from './platform/command-line.js';
import { changedFieldsText, type DefinitionChange } from './platform/changed-fields.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import { warningText } from './platform/warning.js';
import {
  reresolutionExit,
  reresolutionJson,
  reresolutionText,
  withComponentBar,
  type ProgressStream,
} from './reresolution-report.js';

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
    const plan = await applier.plan(files, options.prune === true);
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
    if (options.json === true) deps.stdout.write(jsonText(toJson(plan, !isDone, revision)));
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

/** The plan as lines for people. */
export function describePlan(plan: DefinitionPlan, isReresolving = false): string {
  const { features, segments, traits, purposes, identity, newStreams, isEmpty, defined } = plan;
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
      ...(defined.traits === null ? [] : [counted(defined.traits, 'trait')]),
      ...(defined.identity === null ? [] : ['rules of who is who']),
      ...(defined.purposes === null ? [] : [counted(defined.purposes, 'purpose')]),
    ];
    return `Nothing to change: ${listed(counts)} as defined already.\n`;
  }
  const { unchangedFeatures, unchangedSegments, unchangedTraits, unchangedPurposes } = unchangedOf(plan);
  const lines = [
    ...(purposes === null
      ? []
      : section('Purposes', purposes.added, changesText(purposes.changes), purposes.removed, unchangedPurposes)),
    ...(features === null
      ? []
      : section('Features and services', features.added, features.changed, features.removed, unchangedFeatures)),
    ...(segments === null
      ? []
      : section('Segments', segments.added, segments.changed, segments.archived, unchangedSegments)),
    ...(traits === null
      ? []
      : section('Traits', traits.added, changesText(traits.changes), traits.removed, unchangedTraits)),
    ...(identity === null ? [] : identityLines(identity, isReresolving)),
    ...(segments === null || segments.activated.length === 0
      ? []
      : [`To be activated: ${segments.activated.join(', ')}.`]),
    ...(segments === null || segments.archived.length === 0
      ? []
      : [`To be archived, so that their members leave: ${segments.archived.join(', ')}.`]),
    ...(newStreams === 0 ? [] : [`History is to be folded into ${counted({ length: newStreams }, 'new stream')}.`]),
  ];
  return `${lines.join('\n')}\n`;
}

function changesText(changes: readonly DefinitionChange[]): string[] {
  return changes.map(({ name, fields }) => `${name}: ${changedFieldsText(fields)}`);
}

/** @param changed names, with what differs where that is known */
function section(
  title: string,
  added: readonly string[],
  changed: readonly string[],
  removed: readonly string[],
  unchanged: readonly string[],
): string[] {
  const counts = [
    `${String(added.length)} to create`,
    `${String(changed.length)} to change`,
    `${String(unchanged.length)} unchanged`,
    `${String(removed.length)} to remove`,
  ];
  return [
    `${title}: ${counts.join(', ')}`,
    ...added.map((name) => `  + ${name}`),
    ...changed.map((name) => `  ~ ${name}`),
    ...removed.map((name) => `  - ${name}`),
  ];
}

function identityLines({ changes, causes, current }: IdentityRulesChange, isReresolving: boolean): string[] {
  const { version } = current.rules;
  if (changes.length === 0) return [`Rules of who is who: unchanged (version ${String(version)})`];
  return [
    `Rules of who is who: version ${String(version)} to ${String(version + 1)}, for what is accepted from then on`,
    ...changes.map((line) => `  ${line}`),
    ...(causes.length === 0
      ? ['  These concern nobody who is there.']
      : [
          `  Those who are there are concerned by: ${causes.join(', ')}.`,
          isReresolving
            ? '  They are resolved anew once the rules are applied.'
            : '  weft identity rules preview says what that would come to; --re-resolve resolves them anew.',
        ]),
  ];
}

/** What the files define as it stands. */
function unchangedOf({ features, segments, traits, purposes, defined }: DefinitionPlan): {
  readonly unchangedFeatures: readonly string[];
  readonly unchangedSegments: readonly string[];
  readonly unchangedTraits: readonly string[];
  readonly unchangedPurposes: readonly string[];
} {
  const given = [
    ...(defined.features?.views.flatMap((view) => view.features) ?? []),
    ...(defined.features?.services ?? []),
  ];
  const touchedFeatures = new Set([...(features?.added ?? []), ...(features?.changed ?? [])]);
  const { added = [], changed = [], activated = [], archived = [] } = segments ?? {};
  const touchedSegments = new Set([...added, ...changed, ...activated, ...archived]);
  const touchedTraits = new Set([...(traits?.added ?? []), ...(traits?.changed ?? [])]);
  const touchedPurposes = new Set([...(purposes?.added ?? []), ...(purposes?.changed ?? [])]);
  return {
    unchangedPurposes: (defined.purposes ?? []).map(({ key }) => key).filter((key) => !touchedPurposes.has(key)),
    unchangedTraits: (defined.traits ?? []).map(({ name }) => name).filter((name) => !touchedTraits.has(name)),
    unchangedFeatures: given.map(({ name }) => name).filter((name) => !touchedFeatures.has(name)),
    unchangedSegments: (defined.segments ?? []).map(({ key }) => key).filter((key) => !touchedSegments.has(key)),
  };
}

function listed(items: readonly string[]): string {
  return items.length < 3 ? items.join(' and ') : `${items.slice(0, -1).join(', ')} and ${items.at(-1) ?? ''}`;
}

function counted({ length }: { readonly length: number }, what: string): string {
  return `${String(length)} ${what}${length === 1 ? '' : 's'}`;
}

function toJson(plan: DefinitionPlan, applied: boolean, revision: IdentityRevisionRecord | null): unknown {
  const { features, segments, traits, purposes, identity, newStreams, warnings } = plan;
  const { unchangedFeatures, unchangedSegments, unchangedTraits, unchangedPurposes } = unchangedOf(plan);
  return {
    applied,
    features:
      features === null
        ? null
        : {
            added: features.added,
            changed: features.changed,
            removed: features.removed,
            unchanged: unchangedFeatures,
          },
    segments:
      segments === null
        ? null
        : {
            added: segments.added,
            changed: segments.changed,
            removed: segments.archived,
            unchanged: unchangedSegments,
            activated: segments.activated,
          },
    traits: traits === null ? null : { ...traits, unchanged: unchangedTraits },
    identity:
      identity === null
        ? null
        : {
            version: identity.current.rules.version,
            changes: identity.changes,
            concerns: identity.causes,
            reresolution: revision === null ? null : reresolutionJson(revision),
          },
    purposes: purposes === null ? null : { ...purposes, unchanged: unchangedPurposes },
    newStreams,
    warnings,
  };
}
