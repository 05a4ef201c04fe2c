import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../../platform/command-line.js';
import { WeftError } from '../../platform/errors.js';
import { warningText, type Warning } from '../../platform/warning.js';
import { parseShare } from '../linkage/command-files.js';
import { ruleText, type LinkageModel } from '../linkage/linkage-model.model.js';
import { readRecordFiles } from '../linkage/read-record-files.js';
import { parseSource, sourceText } from './column-mapping.js';
import type { LinkageModelReader, MatchingCounts } from './linkage-model.reader.js';
import type { LinkageModelService } from './linkage-model.service.js';
import type { ColumnMapping, MatchingState, StoredLinkageModel } from './matching.model.js';

/** For how many of some profiles, chosen at random, columns are filled. */
export interface FilledColumns {
  /** How many were looked at. */
  readonly profiles: number;
  readonly filled: Readonly<Record<string, number>>;
}

export interface ModelsCommandServices {
  readonly models: Pick<LinkageModelService, 'add' | 'find' | 'activate' | 'retire'>;
  readonly reader: Pick<LinkageModelReader, 'page' | 'active' | 'applied' | 'state' | 'counts'>;
  /** Of a model that was activated. */
  readonly filledColumns: (version: string) => Promise<FilledColumns>;
}

export interface ModelsCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withModels<T>(use: (services: ModelsCommandServices) => Promise<T>): Promise<T>;
  readonly user: string;
}

interface JsonOption {
  readonly json?: true;
}

interface AddOptions extends JsonOption {
  readonly name?: string;
  readonly frequencies?: readonly string[];
}

interface ActivateOptions extends JsonOption {
  readonly map?: ColumnMapping;
  readonly threshold?: number;
  readonly reviewThreshold?: number;
}

/** Columns that are filled for a smaller share of profiles are warned of. */
const FEW = 0.2;
/** Most that are listed. */
const MAX_LISTED = 200;

const HELP = `
A model, as weft identity train or Splink writes it, is applied to profiles once it is activated: everybody is compared with
those who share a block with them, now and whenever something of them changes. Who weighs enough is linked, whom a model
cannot tell is for people to look at. One model is active at a time. A version is its content, told by its first characters.

Examples:
  weft identity models add model.json --name customers
  weft identity models activate 3f2a91c0 --map dob=trait:birthday --map email=identifier:email
  weft identity models list
  weft identity models retire --unlink

Exit codes: 0 done, 1 failed, 2 wrong use or a model that is not right.`;

/** `weft identity models add|list|activate|retire`. */
export function addModelsCommands(command: Command, deps: ModelsCommandDeps): void {
  const models = command
    .command('models')
    .description('models of record linkage that are applied to profiles')
    .addHelpText('after', HELP);
  models
    .command('add <json>')
    .description('keep a model: ours, or Splink’s')
    .option('--name <name>', 'what to call it; default: the name of the file')
    .addOption(
      new Option('--frequencies <csv>', 'records to count values in that it has no frequencies of').argParser(collect),
    )
    .option('--json', 'the result as JSON')
    .action((path: string, options: AddOptions) => runCommand(deps, () => add(deps, path, options)));
  models
    .command('list')
    .description('all models, the newest first, and how far the active one is')
    .option('--json', 'as JSON')
    .action((options: JsonOption) => runCommand(deps, () => list(deps, options)));
  models
    .command('activate <version>')
    .description('apply a model; all profiles are compared anew')
    .addOption(
      new Option('--map <column=source>', 'where a column is filled from, as dob=trait:birthday').argParser(parseMap),
    )
    .addOption(new Option('--threshold <p>', 'link from this match probability on').argParser(parseShare))
    .addOption(new Option('--review-threshold <p>', 'show to people from this one on').argParser(parseShare))
    .option('--json', 'the result as JSON')
    .action((version: string, options: ActivateOptions) => runCommand(deps, () => activate(deps, version, options)));
  models
    .command('retire')
    .description('apply no model any more')
    .option('--unlink', 'take back what models linked')
    .action((options: { readonly unlink?: true }) => runCommand(deps, () => retire(deps, options)));
}

function collect(path: string, before: readonly string[] = []): string[] {
  return [...before, path];
}

function parseMap(text: string, before: ColumnMapping = {}): ColumnMapping {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Write column=trait:name or column=identifier:namespace.');
  try {
    return { ...before, [text.slice(0, at)]: parseSource(text.slice(at + 1)) };
  } catch {
    throw new InvalidArgumentError('Write column=trait:name or column=identifier:namespace.');
  }
}

async function add(deps: ModelsCommandDeps, path: string, options: AddOptions): Promise<number> {
  const text = await readText(path);
  const { records } = await readRecordFiles(options.frequencies ?? [], null);
  const name = options.name ?? path.replace(/^.*[\\/]/, '').replace(/\.json$/, '');
  return deps.withModels(async ({ models }) => {
    const model = await models.add({ text, file: path, name, records }, deps.user);
    if (options.json === true) deps.stdout.write(jsonText(model));
    else {
      const short = model.version.slice(0, 12);
      deps.stdout.write(`Model ${short} is kept. weft identity models activate ${short} applies it.\n`);
    }
    return EXIT_CODES.ok;
  });
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new WeftError('BAD_REQUEST', `cannot read the file: ${code}`, { where: path, cause: error });
  }
}

async function list(deps: ModelsCommandDeps, { json }: JsonOption): Promise<number> {
  return deps.withModels(async ({ reader }) => {
    const models = await reader.page(null, MAX_LISTED);
    const [state, counts, active] = [await reader.state(), await reader.counts(), await reader.active()];
    const applied = active === null ? null : await reader.applied(active.version);
    const largeBlocks = largeBlocksOf(counts, applied?.model ?? null);
    if (json === true) {
      deps.stdout.write(jsonText({ models, matching: { ...state, ...counts, largeBlocks } }));
      return EXIT_CODES.ok;
    }
    if (models.length === 0) {
      deps.stdout.write('There is no model. weft identity train makes one, weft identity models add keeps it.\n');
      return EXIT_CODES.ok;
    }
    const rows = models.map((model) => [
      model.version.slice(0, 12),
      model.name,
      model.status,
      String(model.linkThreshold),
      String(model.reviewThreshold),
      new Date(model.addedAt).toISOString(),
      model.addedBy,
      mappingText(model),
    ]);
    deps.stdout.write(textTable([['version', 'name', 'status', 'link', 'review', 'added', 'by', 'columns'], ...rows]));
    if (active !== null) deps.stdout.write(`\n${progressText(state, counts)}\n`);
    for (const { rule, blocks } of largeBlocks) {
      deps.stdout.write(`${String(blocks)} blocks of ${rule} have too many records and are left out.\n`);
    }
    return EXIT_CODES.ok;
  });
}

function mappingText({ mapping }: StoredLinkageModel): string {
  return Object.entries(mapping ?? {})
    .map(([column, source]) => `${column}=${sourceText(source)}`)
    .join(' ');
}

/** How far the comparison of profiles is, in a line. */
export function progressText(state: MatchingState, { records, waiting, links, reviews }: MatchingCounts): string {
  const { phase, componentsDone, componentsTotal } = state;
  const of = componentsTotal === null ? '' : ` of about ${String(Math.max(componentsTotal, componentsDone))}`;
  const made = `${String(records)} records, ${String(links)} links, ${String(reviews)} pairs to look at`;
  if (phase === 'keying') return `being read: ${String(componentsDone)}${of} groups of identifiers; ${made}`;
  if (phase === 'scoring') return `being compared: ${String(waiting)} records left; ${made}`;
  return waiting === 0 ? made : `${made}; ${String(waiting)} changes wait`;
}

/** Blocks that are left out, by rule. */
export function largeBlocksOf(
  { largeBlocks }: MatchingCounts,
  model: LinkageModel | null,
): { rule: string; blocks: number }[] {
  return [...largeBlocks].flatMap(([number, blocks]) => {
    const rule = model?.blockingRules[number];
    return rule === undefined ? [] : [{ rule: ruleText(rule), blocks }];
  });
}

async function activate(deps: ModelsCommandDeps, version: string, options: ActivateOptions): Promise<number> {
  return deps.withModels(async ({ models, filledColumns }) => {
    const activation = {
      mapping: options.map ?? {},
      ...(options.threshold === undefined ? {} : { linkThreshold: options.threshold }),
      ...(options.reviewThreshold === undefined ? {} : { reviewThreshold: options.reviewThreshold }),
    };
    const model = await models.activate(version, activation, deps.user);
    const columns = await filledColumns(model.version);
    deps.stderr.write(warningText(fewFilled(model, columns)));
    if (options.json === true) deps.stdout.write(jsonText({ ...model, columns }));
    else {
      deps.stdout.write(`Model ${model.version.slice(0, 12)} is active: ${mappingText(model)}\n`);
      deps.stdout.write('A worker compares all profiles; weft identity models list says how far it is.\n');
    }
    return EXIT_CODES.ok;
  });
}

/** Columns that hardly say anything, since most profiles have nothing there. */
function fewFilled({ mapping }: StoredLinkageModel, { profiles, filled }: FilledColumns): Warning[] {
  return Object.entries(mapping ?? {}).flatMap(([column, source]) => {
    const share = (filled[column] ?? 0) / profiles;
    if (!(share < FEW)) return [];
    const percent = share > 0 && share < 0.01 ? 'less than 1' : String(Math.round(share * 100));
    const message = `the column ${column} is filled for ${percent}% of ${String(profiles)} profiles that were looked at`;
    const hint = 'what is not known weighs nothing; --map fills it from where more is known, or compare something else';
    return [{ message, where: sourceText(source), hint }];
  });
}

async function retire(deps: ModelsCommandDeps, { unlink = false }: { readonly unlink?: boolean }): Promise<number> {
  return deps.withModels(async ({ models, reader }) => {
    const active = await reader.active();
    if (active === null && !unlink) {
      deps.stdout.write('No model is active.\n');
      return EXIT_CODES.ok;
    }
    await models.retire(unlink);
    const links = unlink ? 'A worker takes back what models linked.' : 'What models linked stays.';
    deps.stdout.write(`No model is active. ${links}\n`);
    return EXIT_CODES.ok;
  });
}
