import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ProfileFilterInput, ProfileOrderInput } from './api/graphql/profile-search.types.js';
import type { JsonValue } from './events/event.model.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { parseTarget } from './privacy/erase.command.js';
import type { FoundPerson, PeopleFinder, ShownPerson } from './people-finder.js';

export interface FindProfilesDeps extends CommandIo {
  withPeople<T>(use: (people: PeopleFinder) => Promise<T>): Promise<T>;
  /** ms; NaN for what is no time. */
  readonly parseTime: (text: string) => number;
}

interface Parsing extends Pick<FindProfilesDeps, 'parseTime'> {
  readonly people: Pick<PeopleFinder, 'filterOfJson'>;
}

interface FindOptions {
  readonly trait?: readonly string[];
  readonly feature?: readonly string[];
  readonly identifier?: readonly string[];
  readonly segment?: readonly string[];
  readonly notSegment?: readonly string[];
  readonly createdFrom?: string;
  readonly createdTo?: string;
  readonly updatedFrom?: string;
  readonly updatedTo?: string;
  readonly filter?: object;
  readonly order: ProfileOrderInput;
  readonly desc?: true;
  readonly limit: number;
  readonly show?: readonly string[];
  readonly count?: true;
  readonly json?: true;
}

const MAX_LIMIT = 500;
const SHOWN_ENTRIES = 10;
/** Beyond that a cell of a table is cut. */
const MAX_CELL = 40;

const FIND_HELP = `
All conditions have to be true. Traits have to be declared searchable: weft traits set <name> --searchable yes. So do
features, where they are defined: searchable: true. weft profiles index shows what is.
A value that is a number, true or false counts as that; put it into quotes to mean a text: --trait 'zip="04109"'.

  --trait country=de         is de, in any case        --trait 'age>=18'      also > < <=
  --trait name^=ann          begins with ann           --trait 'tags~=golf'   is a list that has golf
  --trait country=de,at      is one of these           --trait email          has a value
  --feature 'views_1h>=3'    likewise, by the value now; features are no lists

Examples:
  weft profiles find --trait country=de --trait 'age>=18' --order last_name --show last_name,age
  weft profiles find --identifier 'email:anna@*' --json
  weft profiles find --segment loyal_buyer --not-segment lapsed --count
  weft profiles find --feature 'orders_90d>=2' --order feature:spend_90d --desc --limit 20
  weft profiles find --filter '{"or": [{"trait": {"name": "plan", "eq": "pro"}}, {"segment": {"in": ["keen"]}}]}'

Exit codes: 0 found, 1 failed or nobody is so, 2 wrong use (a trait that is not searchable), 130 interrupted.`;

const INDEX_HELP = `
Traits become searchable by weft traits set <name> --searchable yes, features by searchable: true where they are defined.
Everybody is then written into the index in the background; profiles can be found by it once that is done.

Examples:
  weft profiles index
  weft profiles index --json

Exit codes: 0 shown, 1 failed.`;

const SHOW_HELP = `
The person is named by the id of the profile, or by any identifier as <namespace>:<value>.

Examples:
  weft profiles show email:anna@example.com
  weft profiles show 018c0d2e-… --json

Exit codes: 0 shown, 1 failed (nobody is known by that), 2 wrong use.`;

/** `weft profiles find|show|index`. */
export function addFindCommands(profiles: Command, deps: FindProfilesDeps): void {
  profiles
    .command('find')
    .description('the profiles that conditions are true of')
    .addOption(new Option('--trait <condition>', 'what a searchable trait is, as country=de').argParser(collect))
    .addOption(new Option('--feature <condition>', 'what a searchable feature is now').argParser(collect))
    .addOption(
      new Option('--identifier <namespace:value>', 'known by this; * at its end: by a beginning').argParser(collect),
    )
    .addOption(new Option('--segment <key>', 'in this segment').argParser(collect))
    .addOption(new Option('--not-segment <key>', 'not in this segment').argParser(collect))
    .option('--created-from <time>', 'first event applied from then on')
    .option('--created-to <time>', 'first event applied before')
    .option('--updated-from <time>', 'changed last from then on')
    .option('--updated-to <time>', 'changed last before')
    .addOption(new Option('--filter <json>', 'as ProfileFilter of GraphQL, beside the others').argParser(parseFilter))
    .addOption(
      new Option('--order <by>', 'id, created, updated, a searchable trait, or feature:<name>')
        .argParser(parseOrder)
        .default({ by: 'id' }, 'id'),
    )
    .option('--desc', 'the greatest or latest first')
    .addOption(new Option('--limit <n>', `how many, ${String(MAX_LIMIT)} at most`).argParser(parseLimit).default(50))
    .addOption(new Option('--show <traits>', 'traits to show, as last_name,age').argParser(parseNames))
    .option('--count', 'only how many there are')
    .option('--json', 'as JSON')
    .addHelpText('after', FIND_HELP)
    .action((options: FindOptions) => runCommand(deps, () => find(deps, options)));
  profiles
    .command('show')
    .description('one person: identifiers, traits, segments, and what happened last')
    .argument('<profile>', 'the id of the profile, or <namespace>:<value>')
    .option('--json', 'as JSON')
    .addHelpText('after', SHOW_HELP)
    .action((whom: string, options: { readonly json?: true }) => runCommand(deps, () => show(deps, whom, options)));
  profiles
    .command('index')
    .description('what profiles can be found by, and how far the index of it is')
    .option('--json', 'as JSON')
    .addHelpText('after', INDEX_HELP)
    .action((options: { readonly json?: true }) => runCommand(deps, () => showIndex(deps, options)));
}

async function showIndex(deps: FindProfilesDeps, { json }: { readonly json?: true }): Promise<number> {
  const index = await deps.withPeople((people) => people.index());
  const { fields, building } = index;
  if (json === true) deps.stdout.write(jsonText(index));
  else if (fields.length === 0) deps.stdout.write('No trait and no feature is searchable.\n');
  else {
    const rows = fields.map(({ kind, name, isReady }) => [kind, name, isReady ? 'yes' : 'being built']);
    deps.stdout.write(textTable([['kind', 'name', 'can be asked for'], ...rows]));
    if (building !== null) {
      const { profilesDone, profilesTotal } = building;
      deps.stdout.write(`${String(profilesDone)} of ${String(profilesTotal)} profiles are in the index.\n`);
    }
  }
  return EXIT_CODES.ok;
}

async function find(deps: FindProfilesDeps, options: FindOptions): Promise<number> {
  return deps.withPeople(async (people) => {
    const filter = filterOf(options, { people, parseTime: deps.parseTime });
    const { by, trait = null, feature = null } = options.order;
    const order: ProfileOrderInput = { by, trait, feature, direction: options.desc === true ? 'desc' : 'asc' };
    if (options.count === true) {
      const { value, relation } = await people.count(filter, order);
      const words = { exact: '', at_least: 'at least ', estimate: 'about ' }[relation];
      deps.stdout.write(options.json === true ? jsonText({ value, relation }) : `${words}${String(value)}\n`);
      return EXIT_CODES.ok;
    }
    const { found, isMore } = await people.find(filter, order, options.limit);
    if (options.json === true) deps.stdout.write(jsonText(found));
    else if (found.length > 0) deps.stdout.write(tableOf(found, options.show ?? []));
    if (isMore) deps.stderr.write(`There are more than these ${String(found.length)}; --count tells how many.\n`);
    else if (found.length === 0) deps.stderr.write('Nobody is so.\n');
    return found.length === 0 ? EXIT_CODES.failed : EXIT_CODES.ok;
  });
}

async function show(deps: FindProfilesDeps, whom: string, { json }: { readonly json?: true }): Promise<number> {
  const target = parseTarget(whom, 'weft profiles show');
  return deps.withPeople(async (people) => {
    const person = await people.show(target, SHOWN_ENTRIES);
    deps.stdout.write(json === true ? jsonText(person) : describe(person));
    return EXIT_CODES.ok;
  });
}

function tableOf(found: readonly FoundPerson[], shown: readonly string[]): string {
  const rows = found.map(({ id, identifiers, traits, segments }) => [
    id,
    cell(identifiers.map(({ namespace, value }) => `${namespace}:${value}`).join(' ')),
    ...shown.map((name) => cell(textOf(traits[name]))),
    cell(segments.join(' ')),
  ]);
  return textTable([['id', 'identifiers', ...shown, 'segments'], ...rows]);
}

function describe({ id, createdAt, asOf, identifiers, traits, segments, timeline }: ShownPerson): string {
  const parts = [
    textTable([
      ['id', id],
      ['created', createdAt],
      ['as of', asOf],
    ]),
    textTable([['identifier', 'value'], ...identifiers.map(({ namespace, value }) => [namespace, value])]),
    textTable([
      ['trait', 'value', 'source', 'when', 'provenance'],
      ...traits.map((t) => [t.name, cell(textOf(t.value)), t.source, t.occurredAt, t.provenance]),
    ]),
    textTable([['segment', 'since'], ...segments.map(({ segment, since }) => [segment, since])]),
    textTable([
      ['when', 'what', 'source', 'name'],
      ...timeline.map((entry) => [entry.occurredAt, entry.kind, entry.source ?? '', entry.name]),
    ]),
  ];
  return parts.join('\n');
}

function textOf(value: JsonValue | undefined): string {
  return value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);
}

function cell(text: string): string {
  const plain = text.replaceAll(/\s+/g, ' ');
  return plain.length > MAX_CELL ? `${plain.slice(0, MAX_CELL - 1)}…` : plain;
}

/** Null: everybody. */
function filterOf(options: FindOptions, { people, parseTime }: Parsing): ProfileFilterInput | null {
  const timeOf = (text: string, where: string): number => {
    const ms = parseTime(text);
    if (!Number.isNaN(ms)) return ms;
    throw new WeftError('BAD_REQUEST', 'this is no time', {
      where,
      hint: 'write it as 2026-01-31 or 2026-01-31T12:00:00Z',
    });
  };
  const range = (from: string | undefined, to: string | undefined, name: string) =>
    from === undefined && to === undefined
      ? []
      : [
          {
            ...(from === undefined ? {} : { from: timeOf(from, `--${name}-from`) }),
            ...(to === undefined ? {} : { to: timeOf(to, `--${name}-to`) }),
          },
        ];
  const all: ProfileFilterInput[] = [
    ...(options.filter === undefined ? [] : [people.filterOfJson(options.filter)]),
    ...(options.trait ?? []).map((text) => ({ trait: condition(text, '--trait') })),
    ...(options.feature ?? []).map((text) => ({ feature: featureCondition(text) })),
    ...(options.identifier ?? []).map((text) => ({ identifier: identifierCondition(text) })),
    ...(options.segment ?? []).map((key) => ({ segment: { in: [key] } })),
    ...(options.notSegment ?? []).map((key) => ({ segment: { notIn: [key] } })),
    ...range(options.createdFrom, options.createdTo, 'created').map((created) => ({ created })),
    ...range(options.updatedFrom, options.updatedTo, 'updated').map((updated) => ({ updated })),
  ];
  return all.length === 0 ? null : { and: all };
}

const OPERATORS = {
  '>=': 'gte',
  '<=': 'lte',
  '^=': 'prefix',
  '~=': 'contains',
  '=': 'eq',
  '>': 'gt',
  '<': 'lt',
} as const;

/** What stands for a comparison elsewhere, or with its characters the other way round. */
const MEANT = { '=>': '>=', '=<': '<=', '==': '=', '=^': '^=', '=~': '~=' } as const;

/** As `views_1h>=3`. @throws WeftError BAD_REQUEST */
function featureCondition(text: string): NonNullable<ProfileFilterInput['feature']> {
  const { contains, ...rest } = condition(text, '--feature');
  if (contains === undefined) return rest;
  throw new WeftError('BAD_REQUEST', 'no feature is a list', {
    where: '--feature',
    hint: 'write it as views_1h=3, or with another of > >= < <= ^=',
  });
}

/** As `country=de`. @throws WeftError BAD_REQUEST */
function condition(text: string, where: string): NonNullable<ProfileFilterInput['trait']> {
  const typo = /^[^<>=^~]+?\s*(?<typo>=>|=<|==|=\^|=~)/.exec(text.trim())?.groups?.['typo'];
  if (typo !== undefined) {
    const hint = `write ${MEANT[typo as keyof typeof MEANT]} in its place`;
    throw new WeftError('BAD_REQUEST', `${typo} is no comparison`, { where, hint });
  }
  const match = /^(?<name>[^<>=^~]+?)\s*(?:(?<operator>>=|<=|\^=|~=|=|>|<)\s*(?<value>.*))?$/s.exec(text.trim());
  const { name = '', operator, value = '' } = match?.groups ?? {};
  if (name === '') {
    throw new WeftError('BAD_REQUEST', 'this is no condition', { where, hint: 'write it as country=de' });
  }
  if (operator === undefined) return { name, exists: true };
  const field = OPERATORS[operator as keyof typeof OPERATORS];
  if (field === 'prefix') return { name, prefix: value };
  if (field === 'eq' && value.includes(',') && !value.startsWith('"'))
    return { name, in: value.split(',').map(valueOf) };
  return { name, [field]: valueOf(value) };
}

function valueOf(text: string): JsonValue {
  if (/^(".*"|true|false|-?\d+(\.\d+)?)$/s.test(text)) {
    try {
      return JSON.parse(text) as JsonValue;
    } catch {
      return text;
    }
  }
  return text;
}

/** As `email:anna@*`. @throws WeftError BAD_REQUEST */
function identifierCondition(text: string): NonNullable<ProfileFilterInput['identifier']> {
  const colon = text.indexOf(':');
  if (colon < 1) {
    throw new WeftError('BAD_REQUEST', 'the identifier has no namespace', {
      where: '--identifier',
      hint: 'write it as email:anna@example.com',
    });
  }
  const [namespace, value] = [text.slice(0, colon), text.slice(colon + 1)];
  if (value === '*') return { namespace, exists: true };
  return value.endsWith('*') ? { namespace, prefix: value.slice(0, -1) } : { namespace, eq: value };
}

function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

function parseNames(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`Give a number, 1 to ${String(MAX_LIMIT)}.`);
}

function parseOrder(text: string): Omit<ProfileOrderInput, 'direction'> {
  if (text === 'id' || text === 'created' || text === 'updated') return { by: text };
  const feature = /^feature:(?<name>.+)$/s.exec(text)?.groups?.['name'];
  return feature === undefined ? { by: 'trait', trait: text } : { by: 'feature', feature };
}

function parseFilter(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('It is no JSON.');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new InvalidArgumentError('It is no object.');
}
