import { InvalidArgumentError, Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { diffIdentityRules } from './diff-identity-rules.js';
import { identityRulesYaml } from './identity-rules-yaml.js';
import type { IdentityRulesReader, IdentityRulesVersion } from './identity-rules.reader.js';
import { IDENTITY_RULE_LIMITS } from './identity-rules.model.js';
import { storedRules } from './stored-identity-rules.js';

export interface RulesCommandDeps extends CommandIo {
  /** Starts what reading needs, for as long as `use` runs. */
  withRules<T>(use: (reader: Pick<IdentityRulesReader, 'current' | 'demanded' | 'versions'>) => Promise<T>): Promise<T>;
}

interface Options {
  readonly json?: true;
}

const MAX_VERSIONS = 1_000;

const HELP = `
The rules of who is who are set by a file with "identity" at its top, which weft apply takes. Each change of them is a
version; version 1 are the built-in ones. show writes them as such a file.

Examples:
  weft identity rules show > identity.yaml
  weft identity rules preview identity.yaml
  weft identity rules history
  weft identity rules diff 1
  weft identity rules diff 2 3 --json
  weft identity rules show --version 2 > identity.yaml && weft apply identity.yaml

Exit codes: 0 done, 1 failed (no such version), 2 wrong use.`;

/** `weft identity rules show|history|diff`; as given back, to be added to. */
export function addRulesCommand(identity: Command, deps: RulesCommandDeps): Command {
  const command = identity
    .command('rules')
    .description('the rules by which events say who is who')
    .addHelpText('after', HELP);
  command
    .command('show')
    .description('the rules in force, as a file to edit')
    .addOption(new Option('--version <n>', 'those of an older version').argParser(parseRulesVersion))
    .option('--json', 'as JSON')
    .action((options: Options & { readonly version?: number }) => runCommand(deps, () => show(deps, options)));
  command
    .command('history')
    .description('all versions, the newest first: who applied them, when, and what they changed')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => history(deps, options)));
  command
    .command('diff')
    .description('what one version changed of another; without a second one, what the newest changes of it')
    .argument('<from>', 'a version, as history shows it', parseRulesVersion)
    .argument('[to]', 'another one', parseRulesVersion)
    .option('--json', 'as JSON')
    .action((from: number, to: number | undefined, options: Options) =>
      runCommand(deps, () => diff(deps, from, to, options)),
    );
  return command;
}

async function show(
  deps: RulesCommandDeps,
  { version, json }: Options & { readonly version?: number },
): Promise<number> {
  return deps.withRules(async (reader) => {
    const found = version === undefined ? await reader.current() : await reader.demanded(version);
    if (json === true) deps.stdout.write(jsonText({ ...toJson(found), rules: storedRules(found.rules) }));
    else deps.stdout.write(`# ${titleOf(found)}\n${identityRulesYaml(found.rules)}`);
    return EXIT_CODES.ok;
  });
}

async function history(deps: RulesCommandDeps, { json }: Options): Promise<number> {
  return deps.withRules(async (reader) => {
    const found = await reader.versions(null, MAX_VERSIONS + 1);
    const told = found.slice(0, MAX_VERSIONS).map((each, i) => {
      const before = found[i + 1];
      return { each, changes: before === undefined ? [] : diffIdentityRules(before.rules, each.rules) };
    });
    if (json === true) {
      deps.stdout.write(jsonText(told.map(({ each, changes }) => ({ ...toJson(each), changes }))));
      return EXIT_CODES.ok;
    }
    const rows = told.map(({ each, changes }) => [
      String(each.rules.version),
      each.appliedAt === null ? 'built in' : new Date(each.appliedAt).toISOString(),
      each.appliedBy ?? '',
      changes.join('; '),
    ]);
    deps.stdout.write(textTable([['version', 'applied', 'by', 'changes'], ...rows]));
    if (found.length > MAX_VERSIONS) deps.stderr.write('There are older ones: see identityRulesVersions in GraphQL.\n');
    return EXIT_CODES.ok;
  });
}

async function diff(deps: RulesCommandDeps, from: number, to: number | undefined, { json }: Options): Promise<number> {
  return deps.withRules(async (reader) => {
    const before = await reader.demanded(from);
    const after = to === undefined ? await reader.current() : await reader.demanded(to);
    const changes = diffIdentityRules(before.rules, after.rules);
    if (json === true) deps.stdout.write(jsonText({ from: toJson(before), to: toJson(after), changes }));
    else deps.stdout.write(changes.length === 0 ? 'Nothing differs.\n' : changes.map((line) => `${line}\n`).join(''));
    return EXIT_CODES.ok;
  });
}

function titleOf({ rules, appliedAt, appliedBy }: IdentityRulesVersion): string {
  const { version } = rules;
  if (appliedAt === null) return `version ${String(version)}: built in`;
  return `version ${String(version)}, applied ${new Date(appliedAt).toISOString()} by ${appliedBy ?? ''}`;
}

function toJson({ rules, appliedAt, appliedBy }: IdentityRulesVersion): Record<string, unknown> {
  const at = appliedAt === null ? null : new Date(appliedAt).toISOString();
  return { version: rules.version, appliedAt: at, appliedBy };
}

export function parseRulesVersion(text: string): number {
  const version = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (version >= 1 && version <= IDENTITY_RULE_LIMITS.maxVersion) return version;
  throw new InvalidArgumentError('It is a number such as 2; weft identity rules history shows those that there are.');
}
