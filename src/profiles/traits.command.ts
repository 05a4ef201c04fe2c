import { Command, InvalidArgumentError, Option } from 'commander';
import { Document } from 'yaml';
import type { EventSampleReader } from '../events/event-sample.reader.js';
import type { SeenNameReader } from '../events/seen-name.reader.js';
import type { Clock } from '../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo, type Confirm } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import type { SearchFieldReader } from './search-field.reader.js';
import { isPersonal, isSealed, isSearchable, ruleOf, type TraitDefinition } from './trait-definition.model.js';
import type { TraitConflictCounts, TraitDefinitionReader } from './trait-definition.reader.js';
import type { TraitDefinitionService } from './trait-definition.service.js';
import type { SeenNames } from '../events/seen-names.model.js';
import { warningText } from '../platform/warning.js';
import { looksPersonal, undeclaredPersonal, undeclaredPersonalText } from './personal-name.model.js';
import { TraitInference, type InferredTrait } from './trait-inference.js';
import { PRECEDENCES, SURVIVORSHIPS, type Precedence, type Survivorship, type TraitRule } from './trait-rule.model.js';
import { CONFLICT_POLICIES, TRAIT_TYPES, type ConflictPolicy, type TraitType } from './trait-type.model.js';

export interface TraitsCommandServices {
  readonly reader: Pick<TraitDefinitionReader, 'all' | 'conflicts' | 'changes' | 'deletions'>;
  readonly search: Pick<SearchFieldReader, 'standing' | 'builds'>;
  readonly service: Pick<TraitDefinitionService, 'setRule' | 'deleteEverywhere'>;
  readonly samples: Pick<EventSampleReader, 'parts'>;
  readonly seen: Pick<SeenNameReader, 'all'>;
  /** Keys of all sources, by id. */
  readonly sourceKeys: () => Promise<ReadonlyMap<number, string>>;
}

export interface TraitsCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withTraits<T>(use: (services: TraitsCommandServices) => Promise<T>): Promise<T>;
  readonly clock: Clock;
  /** Null: there is nobody to ask. */
  readonly confirm: Confirm | null;
}

interface Options {
  readonly json?: true;
}

interface RuleOptions {
  readonly type?: TraitType | 'any';
  readonly onConflict?: ConflictPolicy;
  readonly survivorship?: Survivorship;
  readonly sources?: readonly string[];
  readonly precedence?: Precedence;
  readonly pii?: 'yes' | 'no';
  readonly searchable?: 'yes' | 'no';
  readonly sealed?: 'yes' | 'no';
}

const DAY_MS = 86_400_000;
const TRAIT_FIELD = 'traits.';
/** Events looked at, and positions of the log for each source. */
const MAX_EVENTS = 20_000;
const MAX_POSITIONS = 200_000;
const MAX_CHANGES = 20;

const HELP = `
Traits need no definition. One says which of several values is shown, of what type they are, whether profiles can be found by
it and whether pages may see it; files for weft apply say the same. A change takes effect on what was sent before: profiles are folded anew by the worker.

Examples:
  weft traits list
  weft traits infer > traits.yaml
  weft traits set age --type number --on-conflict coerce
  weft traits set phone --survivorship source_priority --sources crm,shop
  weft traits set birthday --pii yes
  weft traits set country --searchable yes
  weft traits set passport --sealed yes
  weft traits delete shoe_size --yes
  weft traits changes

Exit codes: 0 done or nothing to do, 1 failed or declined, 2 wrong use.`;

/** `weft traits list|infer|set|delete|changes`. */
export function traitsCommand(deps: TraitsCommandDeps): Command {
  const command = new Command('traits')
    .description('what is known of traits, and how their values are taken in')
    .addHelpText('after', HELP);
  command
    .command('list')
    .description('the traits that are defined, and values of another type than theirs')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  command
    .command('infer')
    .description('draft definitions of what was sent, as a file for weft apply')
    .option('--source <key>', 'of this source only')
    .addOption(new Option('--days <n>', 'sent in that many days').argParser(parseDays).default(30))
    .option('--json', 'the counts as JSON')
    .action((options: Options & { readonly source?: string; readonly days: number }) =>
      runCommand(deps, () => infer(deps, options)),
    );
  command
    .command('set <name>')
    .description('change how the values of a trait are taken in; what is left out stays')
    .addOption(new Option('--type <type>', 'of its values').choices([...TRAIT_TYPES, 'any']))
    .addOption(new Option('--on-conflict <policy>', 'what becomes of other values').choices(CONFLICT_POLICIES))
    .addOption(new Option('--survivorship <rule>', 'which value is shown').choices(SURVIVORSHIPS))
    .addOption(new Option('--sources <keys>', 'for source_priority: as crm,shop').argParser(parseSources))
    .addOption(new Option('--precedence <what>', 'what goes before the rule').choices(PRECEDENCES))
    .addOption(
      new Option('--pii <answer>', 'whether it is personal data, masked without the scope pii').choices(['yes', 'no']),
    )
    .addOption(new Option('--searchable <yes|no>', 'whether profiles can be found by it').choices(['yes', 'no']))
    .addOption(new Option('--sealed <yes|no>', 'whether its values are stored sealed only').choices(['yes', 'no']))
    .action((name: string, options: RuleOptions) => runCommand(deps, () => set(deps, name, options)));
  command
    .command('delete <name>')
    .description('delete the trait of every profile; values that are sent later stand')
    .option('-y, --yes', 'do not ask')
    .action((name: string, options: { readonly yes?: true }) => runCommand(deps, () => remove(deps, name, options)));
  command
    .command('changes')
    .description('the newest changes of rules and deletions, and whether they are carried out')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => changes(deps, options)));
  return command;
}

function parseDays(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= 3_650) return days;
  throw new InvalidArgumentError('Give a number of days, 1 to 3650.');
}

function parseSources(text: string): string[] {
  return text.split(',').map((key) => key.trim());
}

async function list(deps: TraitsCommandDeps, options: Options): Promise<number> {
  return deps.withTraits(async ({ reader, search, seen }) => {
    const [traits, conflicts, deletions] = [await reader.all(), await reader.conflicts(), await reader.deletions()];
    const [standing, builds] = [await search.standing(), await search.builds(MAX_CHANGES)];
    const total = Math.max(0, ...builds.map(({ profilesTotal }) => profilesTotal));
    const done = Math.min(...builds.filter(({ finishedAt }) => finishedAt === null).map((build) => build.profilesDone));
    const searchableOf = (trait: TraitDefinition): string => {
      if (!isSearchable(trait) && !isSealed(trait)) return '';
      if (isSealed(trait) && standing.get(trait.name)?.isReady === true) return 'eq';
      return standing.get(trait.name)?.isReady === true ? 'yes' : `${String(done)} of ${String(total)} profiles`;
    };
    if (options.json === true) {
      const items = traits.map((trait) => ({
        ...trait,
        searchable: isSearchable(trait),
        sealed: isSealed(trait),
        pii: isPersonal(trait),
        isIndexed: standing.get(trait.name)?.isReady ?? false,
        rule: ruleOf(trait),
        conflicts: conflicts.get(trait.name) ?? null,
        deletedAt: deletions.get(trait.name) ?? null,
      }));
      deps.stdout.write(jsonText(items));
    } else if (traits.length === 0) {
      deps.stdout.write('No trait is defined; weft traits infer drafts definitions of what was sent.\n');
    } else {
      const rows = traits.map((trait) => rowOf(trait, searchableOf(trait), conflicts.get(trait.name)));
      const head = [
        'name',
        'type',
        'on conflict',
        'survivorship',
        'searchable',
        'edge',
        'pii',
        'sealed',
        'other types',
      ];
      deps.stdout.write(textTable([head, ...rows]));
    }
    warnOfPersonal(deps, traits, await seen.all());
    return EXIT_CODES.ok;
  });
}

/** Of traits that were sent, or are defined, and look personal. */
function warnOfPersonal(deps: CommandIo, traits: readonly TraitDefinition[], { events }: SeenNames): void {
  const fields = [...events.values()].flatMap((each) => [...each]);
  const sent = fields.flatMap((field) => (field.startsWith(TRAIT_FIELD) ? [field.slice(TRAIT_FIELD.length)] : []));
  const names = undeclaredPersonal([...sent, ...traits.map(({ name }) => name)], traits);
  if (names.length > 0) deps.stderr.write(warningText([{ ...undeclaredPersonalText(names), where: '' }]));
}

function rowOf(trait: TraitDefinition, searchable: string, conflicts: TraitConflictCounts | undefined): string[] {
  const { type, onConflict, survivorship, sourcePriority } = ruleOf(trait);
  const priority = survivorship === 'source_priority' ? ` ${sourcePriority.join(',')}` : '';
  const counts =
    conflicts === undefined
      ? ''
      : `${String(conflicts.kept)} kept, ${String(conflicts.coerced)} coerced, ${String(conflicts.refused)} refused`;
  return [
    trait.name,
    type ?? 'any',
    type === null ? '' : onConflict,
    `${survivorship}${priority}`,
    searchable,
    trait.edge ? 'yes' : '',
    isPersonal(trait) ? 'yes' : '',
    isSealed(trait) ? 'yes' : '',
    counts,
  ];
}

async function infer(
  deps: TraitsCommandDeps,
  options: Options & { readonly source?: string; readonly days: number },
): Promise<number> {
  return deps.withTraits(async ({ samples, sourceKeys }) => {
    const sources = [...(await sourceKeys())].filter(
      ([, key]) => options.source === undefined || key === options.source,
    );
    if (sources.length === 0 && options.source !== undefined) {
      throw new WeftError('NOT_FOUND', `there is no source ${options.source}`, {
        where: '--source',
        hint: 'weft sources list shows those there are',
      });
    }
    const inference = new TraitInference();
    const sinceMs = deps.clock.now() - options.days * DAY_MS;
    const maxEvents = Math.ceil(MAX_EVENTS / Math.max(1, sources.length));
    let events = 0;
    for (const [sourceId] of sources) {
      for await (const part of samples.parts({ sourceId, sinceMs, maxEvents, maxPositions: MAX_POSITIONS })) {
        events += part.events.length;
        for (const event of part.events) if (event.type !== 'group') inference.add(event.traits);
      }
    }
    const traits = inference.traits();
    if (options.json === true) deps.stdout.write(jsonText({ events, others: inference.others, traits }));
    else deps.stdout.write(draftOf(traits, events));
    return EXIT_CODES.ok;
  });
}

/** The traits of which nearly all values have one type, as a file; the others as remarks. */
function draftOf(traits: readonly InferredTrait[], events: number): string {
  const typed = traits.filter(({ type }) => type !== null);
  const document = new Document({
    traits: typed.map(({ name, type }) => ({ name, type, ...(looksPersonal(name) ? { pii: true } : {}) })),
  });
  document.commentBefore = ` Drafted of ${String(events)} events. Read it, and make it say what you mean.`;
  const others = traits.filter(({ type }) => type === null);
  const remarks = others.map(
    ({ name, counts }) => ` ${JSON.stringify(name)} has values of several types: ${countsOf(counts)}`,
  );
  if (remarks.length > 0) document.comment = remarks.join('\n');
  return document.toString({ lineWidth: 0 });
}

function countsOf(counts: InferredTrait['counts']): string {
  const parts = Object.entries(counts).map(([type, count]) => `${String(count)} ${type}`);
  return parts.length === 0 ? 'only null' : parts.join(', ');
}

async function set(deps: TraitsCommandDeps, name: string, options: RuleOptions): Promise<number> {
  const { type, onConflict, survivorship, sources, precedence, pii, searchable, sealed } = options;
  if ((survivorship === 'source_priority') !== (sources !== undefined)) {
    throw new WeftError('BAD_REQUEST', '--sources goes with --survivorship source_priority', {
      where: '--sources',
      hint: 'give both, or neither',
    });
  }
  return deps.withTraits(async ({ service }) => {
    const change = (rule: TraitRule): TraitRule => ({
      ...rule,
      ...(type === undefined ? {} : { type: type === 'any' ? null : type }),
      ...(onConflict === undefined ? {} : { onConflict }),
      ...(survivorship === undefined ? {} : { survivorship, sourcePriority: sources ?? [] }),
      ...(precedence === undefined ? {} : { precedence }),
    });
    const { added, changed } = await service.setRule(name, change, {
      ...(pii === undefined ? {} : { pii: pii === 'yes' }),
      ...(searchable === undefined ? {} : { searchable: searchable === 'yes' }),
      ...(sealed === undefined ? {} : { sealed: sealed === 'yes' }),
    });
    deps.stdout.write(added.length + changed.length === 0 ? 'Nothing to change.\n' : 'Changed.\n');
    return EXIT_CODES.ok;
  });
}

async function remove(deps: TraitsCommandDeps, name: string, options: { readonly yes?: true }): Promise<number> {
  if (options.yes !== true) {
    if (deps.confirm === null) {
      throw new WeftError('BAD_REQUEST', 'there is nobody to ask whether to delete this', {
        where: '--yes',
        hint: 'pass --yes to delete without asking',
      });
    }
    if (!(await deps.confirm(`Delete the trait ${name} of every profile? This cannot be undone.`))) {
      deps.stderr.write('Nothing was changed.\n');
      return EXIT_CODES.failed;
    }
  }
  return deps.withTraits(async ({ service }) => {
    await service.deleteEverywhere(name);
    deps.stdout.write('It is being deleted; weft traits changes tells when it is done.\n');
    return EXIT_CODES.ok;
  });
}

async function changes(deps: TraitsCommandDeps, options: Options): Promise<number> {
  return deps.withTraits(async ({ reader }) => {
    const found = await reader.changes(MAX_CHANGES);
    if (options.json === true) {
      deps.stdout.write(
        jsonText(
          found.map(({ createdAt, finishedAt, ...change }) => ({
            ...change,
            createdAt: formatInstant(createdAt),
            finishedAt: finishedAt === null ? null : formatInstant(finishedAt),
          })),
        ),
      );
    } else if (found.length === 0) deps.stdout.write('No rule of a trait has ever changed.\n');
    else {
      const rows = found.map(({ version, names, createdAt, finishedAt, anchors }) => [
        String(version),
        formatInstant(createdAt),
        finishedAt === null ? 'running' : formatInstant(finishedAt),
        String(anchors),
        names === null ? 'all anchors' : names.join(', '),
      ]);
      deps.stdout.write(textTable([['version', 'made', 'done', 'anchors changed', 'traits'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}
