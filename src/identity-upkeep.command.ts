import { Option, type Command } from 'commander';
import type { GenericValue } from './identity/generic-value.model.js';
import { identifierOf, nameOf, type DecisionCommandDeps } from './identity-decisions.command.js';
import { parseRulesVersion } from './identity/identity-rules.command.js';
import { EXIT_CODES, jsonText, runCommand, textTable } from './platform/command-line.js';
import { formatInstant } from './platform/instant.js';
import {
  reresolutionExit,
  reresolutionJson,
  reresolutionText,
  withComponentBar,
  type ProgressStream,
} from './reresolution-report.js';

export interface UpkeepCommandDeps extends Omit<DecisionCommandDeps, 'stderr'> {
  readonly stderr: ProgressStream;
}

interface ReresolveOptions {
  readonly reason: string;
  readonly json?: true;
}

interface Since {
  readonly since?: number;
}

/** `weft identity reresolve|generic`. */
export function addUpkeepCommands(command: Command, deps: UpkeepCommandDeps): void {
  command
    .command('reresolve')
    .description('resolve all identities anew, by the rules as they are')
    .option('--reason <text>', 'why, for whoever asks later', '')
    .addOption(
      new Option(
        '--since <version>',
        'only those whom the change from this version of the rules to that in force reaches',
      ).argParser(parseRulesVersion),
    )
    .option('--json', 'the result as JSON')
    .addHelpText(
      'after',
      `
weft identity rules preview says before what that would do. Workers do it between batches of events. Interrupted, the command stops watching: the work goes on wherever a worker runs.

Examples:
  weft identity reresolve --reason 'e-mail addresses may no longer merge'
  weft identity reresolve --since 3
  weft identity revisions

Exit codes: 0 done, 1 some components could not be resolved, 2 wrong use, 130 interrupted.`,
    )
    .action((options: ReresolveOptions & Since) => runCommand(deps, () => reresolve(deps, options), deps.signal));
  addGenericCommands(command, deps);
}

const MAX_LISTED = 500;

const GENERIC_HELP = `
A value that many accounts share, as the address of an office, is generic: it joins nobody. Weft finds such values by
themselves; keep says that one is none, clear takes that back. A value is written as namespace:value. Values that rules
block are listed, too, once those whom the rules concern were resolved anew: weft apply --re-resolve.

Examples:
  weft identity generic list
  weft identity generic keep email:family@example.com --reason 'a large family'
  weft identity generic clear email:family@example.com

Exit codes: 0 done, 1 failed (nothing to clear), 2 wrong use, 130 interrupted.`;

function addGenericCommands(command: Command, deps: UpkeepCommandDeps): void {
  const generic = command
    .command('generic')
    .description('values that count for nobody')
    .addHelpText('after', GENERIC_HELP);
  generic
    .command('list')
    .description('those that are generic, and those that are kept, the newest first; shows identifiers')
    .option('--json', 'as JSON')
    .action((options: { readonly json?: true }) => runCommand(deps, () => listGeneric(deps, options)));
  for (const [name, isKept, description] of [
    ['keep', true, 'say that a value is not generic, however many share it'],
    ['clear', false, 'take that back: the evidence decides'],
  ] as const) {
    generic
      .command(name)
      .description(description)
      .argument('<value>', 'as email:family@example.com')
      .option('--reason <text>', 'why, for whoever asks later', '')
      .option('--json', 'the result as JSON')
      .addHelpText('after', GENERIC_HELP)
      .action((value: string, options: ReresolveOptions) =>
        runCommand(deps, () => decideGeneric(deps, value, isKept, options), deps.signal),
      );
  }
}

async function listGeneric(deps: UpkeepCommandDeps, { json }: { readonly json?: true }): Promise<number> {
  return deps.withReader(async (services) => {
    const found = await services.genericValues(MAX_LISTED + 1);
    const told = found.slice(0, MAX_LISTED);
    if (json === true) deps.stdout.write(jsonText(told.map(({ id: _, ...value }) => value)));
    else if (told.length === 0) deps.stdout.write('There are none.\n');
    else {
      deps.stdout.write(
        textTable([
          ['value', 'counts', 'why', 'seen with', 'since', 'kept by', 'reason'],
          ...told.map((each) => [
            nameOf(each),
            each.isGeneric ? 'for nobody' : 'yes',
            whyOf(each),
            String(each.neighbours),
            formatInstant(each.changedAt),
            each.isKept ? (each.decidedBy ?? '') : '',
            each.reason,
          ]),
        ]),
      );
    }
    if (found.length > MAX_LISTED) deps.stderr.write('There are more: see identityGenericValues in GraphQL.\n');
    return EXIT_CODES.ok;
  });
}

function whyOf({ isGeneric, isBlocked, isKept }: GenericValue): string {
  if (isBlocked) return 'blocked';
  return isGeneric ? 'many people' : isKept ? 'kept' : '';
}

async function decideGeneric(
  deps: UpkeepCommandDeps,
  value: string,
  isKept: boolean,
  { reason, json }: ReresolveOptions,
): Promise<number> {
  const identifier = identifierOf(value);
  return deps.withDecider(async (services) => {
    const { id, status, result } = await services.decideGeneric(identifier, isKept, reason);
    if (json === true) deps.stdout.write(jsonText({ id, status, ...result }));
    else if (status === 'done') deps.stdout.write(`${String(result?.moved ?? 0)} identifiers moved.\n`);
    else deps.stdout.write(`Noted as ${id}; a worker will do it. weft identity revisions says how far it is.\n`);
    return EXIT_CODES.ok;
  });
}

async function reresolve(deps: UpkeepCommandDeps, options: ReresolveOptions & Since): Promise<number> {
  const { reason, since, json } = options;
  return deps.withDecider(async (services) => {
    const revision = await withComponentBar(deps.stderr, (onProgress) =>
      services.reresolve({ reason, since }, ({ stepsDone, stepsTotal }) => {
        onProgress(stepsDone, stepsTotal);
      }),
    );
    deps.stdout.write(json === true ? jsonText(reresolutionJson(revision)) : reresolutionText(revision));
    return reresolutionExit(deps, revision);
  });
}
