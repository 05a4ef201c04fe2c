import { Argument, Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../../platform/command-line.js';
import type { Uuid } from '../../platform/ids.js';
import { probabilityOfWeight } from '../linkage/linkage-model.model.js';
import type { ExplainedReview, ReviewDecision, ReviewStatus, StandingEnd } from './identity-review.model.js';
import type { IdentityReviewService } from './identity-review.service.js';

export interface ReviewCommandServices {
  readonly reviews: Pick<IdentityReviewService, 'page' | 'get' | 'decide'>;
  /** Resolves once the revision is done, or a worker took too long. @returns whether it is done */
  readonly settled: (revisionId: Uuid) => Promise<boolean>;
}

export interface ReviewCommandDeps extends CommandIo {
  readonly signal: AbortSignal;
  /** Starts what reading needs, for as long as `use` runs. */
  withReviews<T>(use: (services: ReviewCommandServices) => Promise<T>): Promise<T>;
  /** The same, with a worker. */
  withReviewer<T>(use: (services: ReviewCommandServices) => Promise<T>): Promise<T>;
  readonly user: string;
}

interface JsonOption {
  readonly json?: true;
}

/** On the command line; a status is stored as it is in GraphQL, in lower case. */
const STATUSES: Readonly<Record<string, ReviewStatus>> = {
  open: 'open',
  merged: 'merged',
  'kept-apart': 'kept_apart',
  skipped: 'skipped',
};
const DECISIONS: Readonly<Record<string, ReviewDecision>> = {
  merge: 'merged',
  'keep-apart': 'kept_apart',
  skip: 'skipped',
};
const MAX_LISTED = 500;

const HELP = `
Pairs that the active model of record linkage cannot tell: they weigh too little to be linked, and too much to be left. What
is decided is kept as links between identifiers, which no model and no replay undoes. Shows personal data.

Examples:
  weft identity review list
  weft identity review show 01900000-0000-7000-8000-000000000001
  weft identity review decide 01900000-0000-7000-8000-000000000001 merge --reason 'same passport'
  weft identity review decide 01900000-0000-7000-8000-000000000002 keep-apart

Exit codes: 0 done, 1 failed (no such pair, decided before), 2 wrong use, 130 interrupted.`;

/** `weft identity review list|show|decide`. */
export function addReviewCommands(command: Command, deps: ReviewCommandDeps): void {
  const review = command
    .command('review')
    .description('pairs that a model cannot tell, and what people decide of them')
    .addHelpText('after', HELP);
  review
    .command('list')
    .description('the pairs, the most likely first; shows identifiers')
    .addOption(new Option('--status <status>', 'what became of them').choices(Object.keys(STATUSES)).default('open'))
    .option('--json', 'as JSON')
    .action((options: JsonOption & { readonly status: string }) => runCommand(deps, () => list(deps, options)));
  review
    .command('show <id>')
    .description('why a pair weighs what it does; shows personal data')
    .option('--json', 'as JSON')
    .action((id: string, options: JsonOption) => runCommand(deps, () => show(deps, id, options)));
  review
    .command('decide')
    .description('say whether a pair is one person')
    .argument('<id>', 'its id, as list shows it')
    .addArgument(new Argument('<decision>', 'what is said of it').choices(Object.keys(DECISIONS)))
    .option('--reason <text>', 'why, for whoever asks later', '')
    .option('--json', 'the result as JSON')
    .action((id: string, decision: string, options: JsonOption & { readonly reason: string }) =>
      runCommand(deps, () => decide(deps, id, DECISIONS[decision] as ReviewDecision, options), deps.signal),
    );
}

async function list(deps: ReviewCommandDeps, options: JsonOption & { readonly status: string }): Promise<number> {
  return deps.withReviews(async ({ reviews }) => {
    const status = STATUSES[options.status] as ReviewStatus;
    const found = await reviews.page(status, null, MAX_LISTED + 1);
    const told = found.slice(0, MAX_LISTED);
    if (options.json === true) deps.stdout.write(jsonText(told));
    else if (told.length === 0) deps.stdout.write('There are none.\n');
    else {
      const rows = told.map((review) => [
        review.id,
        probabilityOfWeight(review.weight).toFixed(3),
        nameOf(review.a),
        nameOf(review.b),
        differenceOf(review),
      ]);
      deps.stdout.write(textTable([['id', 'probability', 'one', 'other', 'what differs'], ...rows]));
    }
    if (found.length > MAX_LISTED) deps.stderr.write('There are more: see identityReview in GraphQL.\n');
    return EXIT_CODES.ok;
  });
}

/** Comparisons that speak against the two being one person. */
function differenceOf({ explanation }: ExplainedReview): string {
  const against = (explanation?.waterfall ?? []).filter(
    ({ comparison, weight, adjustment }) => comparison !== 'prior' && weight + adjustment < 0,
  );
  return against.map(({ comparison, level }) => `${comparison}: ${level ?? ''}`).join(', ');
}

async function show(deps: ReviewCommandDeps, id: string, { json }: JsonOption): Promise<number> {
  return deps.withReviews(async ({ reviews }) => {
    const review = await reviews.get(id);
    if (json === true) {
      deps.stdout.write(jsonText(review));
      return EXIT_CODES.ok;
    }
    const { a, b, status, weight, explanation } = review;
    deps.stdout.write(`${nameOf(a)} and ${nameOf(b)}: ${status}\n\n`);
    if (explanation === null) {
      deps.stdout.write('One of the two is no more, or no model is active.\n');
      return EXIT_CODES.ok;
    }
    const { left, right, waterfall } = explanation;
    const columns = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
    const cells = columns.map((column) => [column, textOf(left[column]), textOf(right[column])]);
    deps.stdout.write(textTable([['column', 'one', 'other'], ...cells]));
    const steps = waterfall.map((step) => [
      step.comparison,
      step.level ?? '',
      bits(step.weight),
      step.adjustment === 0 ? '' : bits(step.adjustment),
    ]);
    deps.stdout.write(`\n${textTable([['comparison', 'level', 'bits', 'by frequency'], ...steps])}`);
    deps.stdout.write(`\nmatch weight ${bits(weight)}, probability ${probabilityOfWeight(weight).toFixed(4)}\n`);
    return EXIT_CODES.ok;
  });
}

async function decide(
  deps: ReviewCommandDeps,
  id: string,
  decision: ReviewDecision,
  { reason, json }: JsonOption & { readonly reason: string },
): Promise<number> {
  return deps.withReviewer(async ({ reviews, settled }) => {
    const { review, revisionId } = await reviews.decide(id, decision, { actor: deps.user, reason });
    const isDone = revisionId === null || (await settled(revisionId));
    if (json === true) {
      deps.stdout.write(jsonText({ id: review.id, status: review.status, revisionId, isDone }));
    } else {
      const later = isDone ? '' : ' A worker will do it; weft identity revisions says how far it is.';
      deps.stdout.write(`${nameOf(review.a)} and ${nameOf(review.b)}: ${review.status}.${later}\n`);
    }
    return EXIT_CODES.ok;
  });
}

function nameOf(end: StandingEnd | null): string {
  return end === null ? '(gone)' : `${end.ns}:${end.value}`;
}

function textOf(value: string | readonly string[] | null | undefined): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : value.join(', ');
}

function bits(weight: number): string {
  return `${weight < 0 ? '' : '+'}${weight.toFixed(2)}`;
}
