import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import type { DefinitionHistoryReader, DefinitionVersion } from './definition-history.reader.js';
import type { DefinitionKind, FeatureDefinition, Imputations } from './feature.model.js';
import {
  LINEAGE_DIRECTIONS,
  LINEAGE_KINDS,
  MAX_LINEAGE_DEPTH,
  walkLineage,
  type LineageDirection,
  type LineageGraph,
  type LineageKind,
} from './lineage.model.js';
import { addVocabularyCommand, type VocabularyCommandDeps } from './vocabulary.command.js';
import type { FeatureReader, StoredFeatureService, StoredFeatureView } from './feature.reader.js';

export interface FeaturesCommandServices {
  readonly reader: Pick<FeatureReader, 'allViews' | 'services' | 'entities'>;
  readonly history: Pick<DefinitionHistoryReader, 'page' | 'version' | 'lastVersions'>;
  readonly lineage: { graph(): Promise<LineageGraph> };
}

export interface FeaturesCommandDeps extends VocabularyCommandDeps {
  /** Starts what the command needs, for as long as `use` runs. */
  withFeatures<T>(use: (services: FeaturesCommandServices) => Promise<T>): Promise<T>;
}

interface Options {
  readonly json?: true;
  readonly version?: number;
}

interface LineageOptions {
  readonly kind?: LineageKind;
  readonly direction: LineageDirection;
  readonly json?: true;
}

type Definition = (Omit<StoredFeatureView, 'kind'> | StoredFeatureService) & { readonly kind: DefinitionKind };

const MAX_VERSIONS = 1_000;

const HELP = `
Features, views and services are written in files and applied by weft apply.

Examples:
  weft features list
  weft features show commerce
  weft features show orders_60d
  weft features show commerce --version 2 --json
  weft features history commerce
  weft features lineage orders_60d --direction down
  weft features vocabulary --search shoes

Exit codes: 0 done, 1 failed (no such name or version), 2 wrong use.`;

/** `weft features list|show|history|lineage|vocabulary`. */
export function featuresCommand(deps: FeaturesCommandDeps): Command {
  const command = new Command('features').description('look at features, views and services, and at their past');
  command.addHelpText('after', HELP);
  command
    .command('list')
    .description('all views and services')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  command
    .command('show <name>')
    .description('a view, a service or a feature')
    .option('--version <number>', 'as it was in this version, of a view or service', parseVersion)
    .option('--json', 'as JSON')
    .action((name: string, options: Options) => runCommand(deps, () => show(deps, name, options)));
  command
    .command('history <name>')
    .description('every version of a view or service, the newest first')
    .option('--json', 'as JSON')
    .action((name: string, options: Options) => runCommand(deps, () => history(deps, name, options)));
  command
    .command('lineage <name>')
    .description('which sources, events, features, models and segments hang together with something')
    .addOption(new Option('--kind <kind>', 'what it is, where a name is of several things').choices(LINEAGE_KINDS))
    .addOption(new Option('--direction <way>', 'which way to look').choices(LINEAGE_DIRECTIONS).default('both'))
    .option('--json', 'as JSON')
    .action((name: string, options: LineageOptions) => runCommand(deps, () => lineage(deps, name, options)));
  addVocabularyCommand(command, deps);
  return command;
}

function lineage(deps: FeaturesCommandDeps, name: string, { kind, direction, json }: LineageOptions): Promise<number> {
  return deps.withFeatures(async ({ lineage }) => {
    const graph = await lineage.graph();
    const named = graph.nodes.filter((node) => node.name === name && (kind === undefined || node.kind === kind));
    const [of] = named;
    if (of === undefined) {
      throw missing(
        name,
        graph.nodes.map((node) => node.name),
      );
    }
    if (named.length > 1) {
      const kinds = named.map((node) => node.kind).join(', ');
      throw new WeftError('BAD_REQUEST', `${name} is the name of several things: ${kinds}`, {
        where: '--kind',
        hint: 'say which is meant',
      });
    }
    const found = walkLineage(graph, of, direction, MAX_LINEAGE_DEPTH);
    if (json === true) {
      deps.stdout.write(jsonText(found));
      return EXIT_CODES.ok;
    }
    const rows = (found?.edges ?? []).map(({ from, to }) => [
      `${from.kind} ${from.name}`,
      '->',
      `${to.kind} ${to.name}`,
    ]);
    deps.stdout.write(rows.length === 0 ? `Nothing hangs together with ${of.kind} ${name}.\n` : textTable(rows));
    if (found?.isTruncated === true) deps.stderr.write('There is more: the farthest are left out.\n');
    return EXIT_CODES.ok;
  });
}

function list(deps: FeaturesCommandDeps, options: Options): Promise<number> {
  return deps.withFeatures(async ({ reader }) => {
    const all = await definitions(reader);
    if (options.json === true) {
      deps.stdout.write(jsonText(all));
    } else if (all.length === 0) {
      deps.stdout.write('There are no features yet; weft apply brings them in.\n');
    } else {
      const rows = all.map((each) => [
        each.kind,
        each.name,
        String(each.version),
        String(each.features.length),
        each.owner ?? '',
        (each.tags ?? []).join(', '),
        each.description,
      ]);
      deps.stdout.write(textTable([['kind', 'name', 'version', 'features', 'owner', 'tags', 'description'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

function show(deps: FeaturesCommandDeps, name: string, { version, json }: Options): Promise<number> {
  return deps.withFeatures(async ({ reader, history }) => {
    if (version !== undefined) return showVersion(deps, history, name, version, json);
    const all = await definitions(reader);
    const found = all.filter((each) => each.name === name);
    const features = (await reader.allViews()).flatMap((view) => view.features);
    const feature = features.find((each) => each.name === name);
    if (found.length === 0 && feature === undefined) {
      throw missing(name, [...all.map((each) => each.name), ...features.map((each) => each.name)]);
    }
    if (json === true) {
      deps.stdout.write(jsonText(feature === undefined ? found : [...found, { kind: 'feature', ...feature }]));
    } else {
      deps.stdout.write([...found.map(describe), ...(feature === undefined ? [] : [featureLine(feature)])].join('\n'));
    }
    return EXIT_CODES.ok;
  });
}

async function showVersion(
  deps: FeaturesCommandDeps,
  history: FeaturesCommandServices['history'],
  name: string,
  version: number,
  json: true | undefined,
): Promise<number> {
  const found = await Promise.all(KINDS.map((kind) => history.version(kind, name, version)));
  const versions = found.filter((each) => each !== null);
  if (versions.length === 0) {
    const hint = `weft features history ${name} shows the versions that there are`;
    throw new WeftError('NOT_FOUND', `there is no version ${String(version)} of ${name}`, { where: '--version', hint });
  }
  if (json === true) {
    deps.stdout.write(jsonText(versions.map(versionJson)));
    return EXIT_CODES.ok;
  }
  for (const { kind, definition } of versions) {
    const text =
      definition === null
        ? `${kind} ${name} was removed with version ${String(version)}.\n`
        : describe({ name, version, ...definition, kind } as unknown as Definition);
    deps.stdout.write(text);
  }
  return EXIT_CODES.ok;
}

function history(deps: FeaturesCommandDeps, name: string, { json }: Options): Promise<number> {
  return deps.withFeatures(async ({ history }) => {
    const pages = await Promise.all(KINDS.map((kind) => history.page(kind, name, null, MAX_VERSIONS)));
    const versions = pages.flat();
    if (versions.length === 0) {
      const known = await Promise.all(KINDS.map((kind) => history.lastVersions(kind)));
      throw missing(
        name,
        known.flatMap((names) => [...names.keys()]),
      );
    }
    if (json === true) {
      deps.stdout.write(jsonText(versions.map(versionJson)));
    } else {
      const rows = versions.map((each) => [
        each.kind,
        String(each.version),
        new Date(each.at).toISOString(),
        each.definition === null ? 'removed' : `${String(countOf(each))} features`,
      ]);
      deps.stdout.write(textTable([['kind', 'version', 'applied', 'what'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

const KINDS = ['view', 'service', 'entity'] as const;

async function definitions(reader: FeaturesCommandServices['reader']): Promise<Definition[]> {
  const views = (await reader.allViews()).map((view) => ({ ...view, kind: 'view' as const }));
  const services = (await reader.services()).map((service) => ({ ...service, kind: 'service' as const }));
  const entities = (await reader.entities()).map((entity) => ({ ...entity, kind: 'entity' as const, features: [] }));
  return [...entities, ...views, ...services];
}

function countOf({ definition }: DefinitionVersion): number {
  const features = definition?.['features'];
  return Array.isArray(features) ? features.length : 0;
}

function versionJson({ at, ...rest }: DefinitionVersion): unknown {
  return { ...rest, at: new Date(at).toISOString() };
}

function describe(definition: Definition): string {
  const { kind, name, version, description, owner, tags = [], features } = definition;
  const lines = [
    `${kind} ${name}, version ${String(version)}`,
    ...(description === '' ? [] : [`  ${description}`]),
    ...(owner === undefined ? [] : [`  owner  ${owner}`]),
    ...(tags.length === 0 ? [] : [`  tags   ${tags.join(', ')}`]),
    ...features.map((feature) => `  ${typeof feature === 'string' ? feature : featureText(feature)}`),
    ...('impute' in definition ? imputedLines(definition.impute) : []),
  ];
  return `${lines.join('\n')}\n`;
}

function imputedLines(impute: Imputations = {}): string[] {
  return Object.entries(impute).map(([name, { value, statistic = 'constant' }]) => {
    return `  imputed ${name}: ${JSON.stringify(value)} (${statistic})`;
  });
}

function featureLine(feature: FeatureDefinition): string {
  return `feature ${featureText(feature)}, in view ${feature.view}\n`;
}

function featureText({ name, type, description }: FeatureDefinition): string {
  return `${name} (${type})${description === '' ? '' : `: ${description}`}`;
}

function missing(name: string, known: readonly string[]): WeftError {
  return new WeftError('NOT_FOUND', `there is no view, service or feature ${name.slice(0, 100)}`, {
    hint: nameHint(name, known, 'weft features list shows views and services'),
  });
}

function parseVersion(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Write a whole number from 1 to 999999999.');
  return Number(text);
}
