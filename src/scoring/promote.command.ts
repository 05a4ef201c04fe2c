import { InvalidArgumentError, Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo, type Confirm } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { capitalised, jsonOfModel, parseVersion, sentence } from './model-text.js';
import type { ModelService } from './model.service.js';
import {
  FOUR_FIFTHS,
  MIN_GROUP,
  stabilityWords,
  traitAsked,
  type PromotionAsk,
  type PromotionPreview,
  type PromotionPreviewer,
  type SegmentImpact,
} from './promotion-preview.model.js';

export interface PromoteCommandDeps extends CommandIo {
  readonly signal: AbortSignal;
  /** Asks on the terminal; null: there is none. */
  readonly confirm: Confirm | null;
  withModels<T>(use: (models: { readonly service: Pick<ModelService, 'promote'> }) => Promise<T>): Promise<T>;
  /** Starts what previewing needs, for as long as `use` runs. */
  withPromotionPreviews<T>(use: (previews: PromotionPreviewer) => Promise<T>): Promise<T>;
  /** Runs it with a bar that shows how far it is. */
  withProgress<T>(run: (onProgress: (seen: number, total: number) => void) => Promise<T>): Promise<T>;
}

interface Options {
  readonly dryRun?: true;
  readonly yes?: true;
  readonly sample?: number;
  readonly by?: string;
  readonly json?: true;
}

/** Whoever is asked at the terminal is shown what a sample of so many says. */
const SHOWN_PROFILES = 10_000;

const HELP = `
At a terminal it shows first what would change, for about ${String(SHOWN_PROFILES)} people, and asks. With --yes, and where
nobody can be asked, it is promoted at once. --dry-run shows it and changes nothing; without --sample everybody is looked at.

Examples:
  weft model promote purchase_intent 2 --dry-run
  weft model promote purchase_intent 2 --dry-run --sample 50000 --by trait.gender
  weft model promote purchase_intent 2 --yes

Exit codes: 0 done, 1 failed or not wanted, 2 wrong use, or features that it reads are gone, 130 interrupted.`;

/** `weft model promote`. */
export function addPromoteCommand(model: Command, deps: PromoteCommandDeps): void {
  model
    .command('promote <key>')
    .argument('<version>', 'its number', parseVersion)
    .description('let this version answer, instead of the one that does; --dry-run: what would change')
    .option('--dry-run', 'show what would change and change nothing')
    .addOption(
      new Option('--sample <profiles>', 'with --dry-run: look at about so many, drawn at random').argParser(
        parseSample,
      ),
    )
    .option('--by <trait>', 'also compare whom segments select, by the values of a trait, as trait.gender')
    .option('--yes', 'do not ask')
    .option('--json', 'the version as JSON, or with --dry-run what would change')
    .addHelpText('after', HELP)
    .action((key: string, version: number, options: Options) =>
      runCommand(deps, () => promote(deps, key, version, options), deps.signal),
    );
}

async function promote(deps: PromoteCommandDeps, key: string, version: number, options: Options): Promise<number> {
  const { dryRun, yes, sample, by, json } = options;
  if (sample !== undefined && dryRun !== true) {
    throw new WeftError('BAD_REQUEST', 'a promotion is for everybody', { where: '--sample', hint: 'add --dry-run' });
  }
  const trait = by === undefined ? null : traitAsked(by);
  if (dryRun === true) {
    const found = await shown(deps, { key, version, maxProfiles: sample ?? null, by: trait });
    if (json === true) deps.stdout.write(jsonText(found));
    else deps.stdout.write(`${textOf(found)}Nothing was changed.\n`);
    return EXIT_CODES.ok;
  }
  if (yes !== true && json !== true && deps.confirm !== null) {
    deps.stdout.write(textOf(await shown(deps, { key, version, maxProfiles: SHOWN_PROFILES, by: trait })));
    if (!(await deps.confirm('Promote?'))) {
      deps.stderr.write('Nothing was changed.\n');
      return EXIT_CODES.failed;
    }
  }
  return deps.withModels(async ({ service }) => {
    const model = await service.promote(key, version);
    deps.stdout.write(json === true ? jsonText(jsonOfModel(model)) : `${capitalised(sentence(model))}\n`);
    return EXIT_CODES.ok;
  });
}

async function shown(deps: PromoteCommandDeps, ask: PromotionAsk): Promise<PromotionPreview> {
  const found = await deps.withPromotionPreviews((previews) =>
    deps.withProgress((onProgress) => previews.preview({ ...ask, signal: deps.signal, onProgress })),
  );
  for (const note of found.notes) deps.stderr.write(`note: ${note}\n`);
  return found;
}

function parseSample(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number from 1.');
}

function textOf(found: PromotionPreview): string {
  const { key, version, active, profilesSeen, profilesTotal, share, segments } = found;
  const part = share < 1 ? `, a sample of ${String(profilesTotal)}: numbers are of the sample` : '';
  return [
    `Model ${key} version ${String(version)} instead of ${active === null ? 'none' : `version ${String(active)}`}, by ${String(profilesSeen)} people${part}`,
    ...(segments.length === 0
      ? []
      : [
          '',
          textTable([
            ['segment', 'members', 'after', 'enter', 'leave', 'churn'],
            ...segments.map((s) => [
              s.key,
              ...[s.before, s.after, s.entering, s.leaving].map(String),
              `${(100 * s.churn).toFixed(1)} %`,
            ]),
          ]).trimEnd(),
        ]),
    ...scoreLines(found),
    ...classLines(found),
    ...impactLines(found),
    '',
  ].join('\n');
}

function scoreLines({ scores }: PromotionPreview): string[] {
  if (scores === null) return [];
  const { psi, meanBefore, meanAfter, meanDifference, correlation } = scores;
  return [
    '',
    `Scores: ${stabilityWords(psi)} (PSI ${psi.toFixed(3)}), mean ${meanBefore.toPrecision(4)} before, ${meanAfter.toPrecision(4)} after`,
    `        of one person ${meanDifference.toPrecision(3)} apart in the mean` +
      (correlation === null ? '' : `, correlation ${correlation.toFixed(3)}`),
  ];
}

const MAX_MOVES = 10;

function classLines({ classes }: PromotionPreview): string[] {
  if (classes === null) return [];
  const { psi, agreement, adjustedRand, moves } = classes;
  const others = moves.filter(({ before, after }) => before !== after);
  return [
    '',
    `Classes: ${stabilityWords(psi)} (PSI ${psi.toFixed(3)}), the same for ${(100 * agreement).toFixed(1)} %`,
    ...(adjustedRand === null
      ? []
      : [`         ${randWords(adjustedRand)} (adjusted Rand index ${adjustedRand.toFixed(3)})`]),
    ...others.slice(0, MAX_MOVES).map(({ before, after, profiles }) => `  ${before} → ${after}: ${String(profiles)}`),
  ];
}

/** What an adjusted Rand index is taken to say: D. Steinley, Psychological Methods 9 (2004), 386–396. */
function randWords(index: number): string {
  if (index >= 0.9995) return 'the same people are together';
  if (index >= 0.9) return 'nearly the same people are together';
  return index >= 0.65 ? 'to some degree the same people are together' : 'other people are together';
}

function impactLines({ impacts }: PromotionPreview): string[] {
  return impacts.flatMap(({ segment, trait, groups, unknown, tooSmall, leastBefore, leastAfter }) => [
    '',
    `${segment} by ${trait}: ${impactWords(leastAfter)}; before ${leastBefore === null ? 'too few' : leastBefore.toFixed(2)}; ${String(unknown)} people in no group`,
    ...(tooSmall.groups === 0 ? [] : [`  not judged: ${smallWords(tooSmall)}`]),
    ...(groups.length === 0
      ? []
      : [
          textTable([
            ['  group', 'people', 'share before', 'after', 'ratio before', 'after'],
            ...groups.map((g) => [
              `  ${g.value}`,
              String(g.people),
              ...[g.rateBefore, g.rateAfter].map((rate) => `${(100 * rate).toFixed(1)} %`),
              ...[g.ratioBefore, g.ratioAfter].map((ratio) => (ratio === null ? 'too few' : ratio.toFixed(2))),
            ]),
          ]).trimEnd(),
        ]),
  ]);
}

function smallWords({ groups, people }: SegmentImpact['tooSmall']): string {
  const [first, second] = [groups === 1 ? 'a group' : `${String(groups)} groups`, people === 1 ? 'person' : 'people'];
  return `${first} of fewer than ${String(MIN_GROUP)} people, ${String(people)} ${second} in all`;
}

function impactWords(least: number | null): string {
  if (least === null) return 'too few people to say';
  const words = least < FOUR_FIFTHS ? 'below four fifths, which is evidence of adverse impact' : 'within four fifths';
  return `lowest ratio ${least.toFixed(2)}, ${words}`;
}
