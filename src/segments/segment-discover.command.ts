import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import type { ClassesFrom, Discovery, DiscoveryAsk } from './plan-discovery.js';
import type { SegmentDiscovery } from './segment-discovery.service.js';

export interface SegmentDiscoverDeps extends CommandIo {
  /** Who runs the command. */
  readonly user: string;
  withDiscovery<T>(use: (discovery: SegmentDiscovery) => Promise<T>): Promise<T>;
}

interface Options {
  readonly name: readonly string[];
  readonly prefix?: string;
  readonly count?: string;
  readonly activate?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

const HELP = `
One segment for each label of the model's manifest, or else for each of its clusters. Run again it makes those that lack;
what is there keeps its key, its name and its stage. weft segment preview KEY says how many people would be in a draft.

Examples:
  weft segment discover rfm --dry-run
  weft segment discover rfm --count 5 --name 0="Loyal" --name 3="About to leave" --activate

Exit codes: 0 done, 1 failed (no active version, a key that is taken), 2 wrong use, or classes that are not known.`;

const FROM: Readonly<Record<ClassesFrom, string>> = {
  labels: 'the labels of its manifest',
  count: '--count',
  golden_vectors: 'its golden vectors; where they do not name all, give --count',
};

/** `weft segment discover`. */
export function addDiscoverCommand(segment: Command, deps: SegmentDiscoverDeps): void {
  segment
    .command('discover <model>')
    .description('make a segment for each cluster or label of a model')
    .option(
      '--name <class=name>',
      'name of a class, as 0=Loyal; may be repeated',
      (name, all: string[]) => [...all, name],
      [],
    )
    .option('--prefix <prefix>', 'what keys begin with; left out: the key of the model')
    .option('--count <n>', 'how many clusters there are, where the model does not say it')
    .option('--activate', 'let those that are made decide at once')
    .option('--dry-run', 'only say what would be made')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((model: string, options: Options) => runCommand(deps, () => discover(deps, model, options)));
}

async function discover(deps: SegmentDiscoverDeps, model: string, options: Options): Promise<number> {
  const { prefix, count, activate, dryRun, json } = options;
  const ask: DiscoveryAsk = {
    ...{ model, names: namesOf(options.name) },
    ...(prefix === undefined ? {} : { prefix }),
    ...(count === undefined ? {} : { count: Number(count) }),
  };
  return deps.withDiscovery(async (discovery) => {
    const isTrial = dryRun === true;
    const found = await (isTrial ? discovery.plan(ask) : discovery.discover(ask, deps.user, activate === true));
    deps.stdout.write(json === true ? jsonText(toJson(found)) : describe(found, isTrial, activate === true));
    return EXIT_CODES.ok;
  });
}

function namesOf(given: readonly string[]): Map<number, string> {
  const names = new Map<number, string>();
  for (const text of given) {
    const [, number, name] = /^(\d{1,4})=(.+)$/su.exec(text) ?? [];
    if (number === undefined || name === undefined) {
      const hint = 'write the number of the class and its name, as --name 0="Loyal"';
      throw new WeftError('BAD_REQUEST', `"${text.slice(0, 100)}" names no class`, { where: '--name', hint });
    }
    if (names.has(Number(number))) {
      const hint = 'give each class one name';
      throw new WeftError('BAD_REQUEST', `class ${number} has two names`, { where: '--name', hint });
    }
    names.set(Number(number), name);
  }
  return names;
}

function toJson({ classes, ...rest }: Discovery) {
  return {
    ...rest,
    segments: classes.map(({ number, label, draft, standing }) => {
      const { key, name } = standing ?? draft;
      return { class: number, label, key, name, expression: draft.expression, isNew: standing === null };
    }),
  };
}

function describe({ model, version, from, classes }: Discovery, isTrial: boolean, isActive: boolean): string {
  const made = isTrial ? 'would be made' : isActive ? 'made, active' : 'made, a draft';
  const rows = classes.map(({ draft, standing }) => [
    (standing ?? draft).key,
    (standing ?? draft).name,
    draft.expression,
    standing === null ? made : `is there, ${standing.stage}`,
  ]);
  const drafts = classes.filter(({ standing }) => standing === null).length;
  const next = isTrial || isActive || drafts === 0 ? '' : 'weft segment activate KEY lets a draft decide.\n';
  return [
    `Model ${model}, version ${String(version)}: ${String(classes.length)} classes, by ${FROM[from]}.\n`,
    textTable([['key', 'name', 'condition', ''], ...rows]),
    next,
  ].join('');
}
