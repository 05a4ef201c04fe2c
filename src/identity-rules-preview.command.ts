import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseDefinitionFiles, readDefinitionFiles } from './definition-files.js';
import { nameOf } from './identity-decisions.command.js';
import type { IdentityRulesPreviews } from './identity/identity-rules-preview.service.js';
import type { ParsedIdentityRules } from './identity/parse-identity-rules.js';
import type { IdentityRulesPreview, PreviewedMove } from './identity/rules-preview.model.js';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { warningText } from './platform/warning.js';
import { withComponentBar, type ProgressStream } from './reresolution-report.js';

export interface RulesPreviewCommandDeps extends CommandIo {
  readonly stderr: ProgressStream;
  readonly signal: AbortSignal;
  /** Starts what previewing needs, for as long as `use` runs. */
  withPreviews<T>(use: (previews: Pick<IdentityRulesPreviews, 'preview'>) => Promise<T>): Promise<T>;
}

interface PreviewOptions {
  readonly limit: number;
  readonly json?: true;
}

const DEFAULT_LIMIT = 10_000;
const MAX_LIMIT = 10_000_000;
/** Identifiers of a move that are told in a line. */
const SHOWN_IDENTIFIERS = 3;

const HELP = `
Works out what resolving those anew who are there would come to by the rules in the files: how many profiles would fall apart
and how many become one, and the largest of these; shows identifiers. Without files: by the rules in force, for everybody,
as weft identity reresolve does it. Nothing is changed. Rules that are applied hold for those who are there once an event
touches them, or all at once by weft apply --re-resolve.

Examples:
  weft identity rules preview identity.yaml
  weft identity rules preview definitions/ --limit 100000 --json
  weft identity rules preview

Exit codes: 0 done, 1 failed, 2 wrong use or rules, 130 interrupted.`;

/** `weft identity rules preview`. */
export function addRulesPreviewCommand(rules: Command, deps: RulesPreviewCommandDeps): void {
  rules
    .command('preview')
    .description('what other rules would make of those who are there')
    .argument('[file or folder...]', 'YAML files, or folders that hold them')
    .addOption(
      new Option('--limit <components>', 'work through at most so many groups of identifiers that are concerned')
        .argParser(parseLimit)
        .default(DEFAULT_LIMIT),
    )
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((paths: string[], options: PreviewOptions) =>
      runCommand(deps, () => preview(deps, paths, options), deps.signal),
    );
}

async function preview(
  deps: RulesPreviewCommandDeps,
  paths: readonly string[],
  { limit, json }: PreviewOptions,
): Promise<number> {
  const parsed = paths.length === 0 ? null : await rulesIn(paths);
  deps.stderr.write(warningText(parsed?.warnings ?? []));
  return deps.withPreviews(async (previews) => {
    const found = await withComponentBar(deps.stderr, (onProgress) =>
      previews.preview(parsed?.rules ?? null, {
        ...{ place: null, maxExamined: limit, signal: deps.signal },
        onProgress: ({ looked }, total) => {
          onProgress(looked, total);
        },
      }),
    );
    deps.stderr.write(warningText(found.warnings));
    deps.stdout.write(json === true ? jsonText(toJson(found)) : textOf(found, parsed !== null));
    return EXIT_CODES.ok;
  });
}

async function rulesIn(paths: readonly string[]): Promise<ParsedIdentityRules> {
  const { files } = await readDefinitionFiles(paths);
  const { identity } = parseDefinitionFiles(files, []);
  if (identity !== null) return identity;
  throw new WeftError('DEFINITION_INVALID', 'there are no rules of who is who', {
    where: paths.join(' '),
    hint: 'a file of them has identity at its top; weft identity rules show writes one',
  });
}

function textOf(found: IdentityRulesPreview, isOfRules: boolean): string {
  const { changes, causes, examined, looked, profiles, identifiers, evidenceRows, contested } = found;
  if (isOfRules && changes.length === 0) return 'Nothing differs from the rules in force.\n';
  const lines = changes.map((line) => `  ${line}`);
  if (isOfRules && causes.length === 0) {
    return [
      ...lines,
      'These hold for what is accepted from then on; nobody who is there is resolved otherwise.',
      '',
    ].join('\n');
  }
  const isComplete = found.place === null;
  return [
    ...lines,
    ...(isOfRules ? [`Those who are there are concerned by: ${causes.join(', ')}`] : []),
    `${isComplete ? '' : 'At least: '}${counted(examined, 'component')} of ${String(looked)} looked at: ` +
      `${counted(profiles, 'profile')}, ${counted(identifiers, 'identifier')}, ${counted(evidenceRows, 'row')} of evidence`,
    `${counted(found.profilesSplit, 'profile')} would fall apart, ${String(found.profilesMerged)} would become part of others, ` +
      `${String(found.profilesAdded)} would come about; ${counted(found.identifiersMoved, 'identifier')} would move`,
    ...(found.valuesUncounted === 0
      ? []
      : [
          `${counted(found.valuesUncounted, 'value')} would count for nobody; by ${counted(found.identifiersGone, 'identifier')} nobody would be known`,
        ]),
    ...(contested === 0
      ? []
      : [`${counted(contested, 'component')} with much evidence not worked out; they are resolved by the way`]),
    ...found.examples.map(exampleText),
    ...(isComplete ? [] : ['There is more: --limit says how many components are worked through.']),
    'Nothing was changed.',
    '',
  ].join('\n');
}

function exampleText({ kind, from, to, count, identifiers }: PreviewedMove): string {
  const told = identifiers.slice(0, SHOWN_IDENTIFIERS).map(nameOf);
  const more = count > told.length ? ` and ${String(count - told.length)} more` : '';
  return `  ${from} ${kind === 'merge' ? 'becomes part of' : 'loses to'} ${to ?? 'a new profile'}: ${told.join(', ')}${more}`;
}

function counted(n: number, what: string): string {
  return `${String(n)} ${what}${n === 1 ? '' : 's'}`;
}

/** By the names that the API has for them. */
function toJson({ place, examples, causes, looked, examined, ...found }: IdentityRulesPreview): object {
  const { changes, warnings, componentsTotal, ...numbers } = found;
  return {
    ...{ changes, concerns: causes, warnings },
    ...{ componentsTotal, componentsSeen: looked, componentsExamined: examined },
    ...numbers,
    examples: examples.map(({ identifiers, ...move }) => ({ ...move, identifiers: identifiers.map(nameOf) })),
    isComplete: place === null,
  };
}

function parseLimit(text: string): number {
  const limit = /^\d{1,8}$/.test(text) ? Number(text) : NaN;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`It is a whole number from 1 to ${String(MAX_LIMIT)}.`);
}
