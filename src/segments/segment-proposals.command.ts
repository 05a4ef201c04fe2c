import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import type { MergeProposal, SegmentUse } from './merge-proposal.model.js';
import type { MergeProposals } from './merge-proposal.service.js';

export interface SegmentProposalsDeps extends CommandIo {
  withProposals<T>(use: (proposals: MergeProposals) => Promise<T>): Promise<T>;
}

interface Options {
  readonly json?: true;
}

const HELP = `
Of two near duplicates the one remains that more name: conditions of other segments, webhook endpoints and durable
subscriptions; of equals the one that was made first. A segment that has had few members for a week is taken in by the one
that it has most in common with. Nothing is done by itself: each proposal says by which commands it is done.

Examples:
  weft segment proposals
  weft segment proposals file p3f2a09c41b7d5e > merge.yaml
  weft segment proposals decline p3f2a09c41b7d5e

Exit codes: 0 done, 1 failed (no such proposal, nothing to write), 2 wrong use.`;

/** `weft segment proposals`, with `file` and `decline`. */
export function addProposalsCommand(segment: Command, deps: SegmentProposalsDeps): void {
  const command = segment
    .command('proposals')
    .description('which live segments could be one: near duplicates, and those with few members')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  command
    .command('file <key>')
    .description('the definitions that a proposal changes, as a file for weft apply')
    .action((key: string) => runCommand(deps, () => file(deps, key)));
  command
    .command('decline <key>')
    .description('not to be told of it again, unless either segment says anything else')
    .action((key: string) => runCommand(deps, () => decline(deps, key)));
}

async function list(deps: SegmentProposalsDeps, { json }: Options): Promise<number> {
  return deps.withProposals(async (proposals) => {
    const all = await proposals.all();
    if (json === true) deps.stdout.write(jsonText(all));
    else if (all.length === 0) deps.stdout.write('No two live segments are so alike, and none has few members.\n');
    else deps.stdout.write(all.map(describe).join('\n'));
    return EXIT_CODES.ok;
  });
}

async function file(deps: SegmentProposalsDeps, key: string): Promise<number> {
  return deps.withProposals(async (proposals) => {
    const { file: text } = await proposals.demand(key);
    if (text === '') {
      throw new WeftError('CONFLICT', `proposal ${key} changes no definition`, {
        where: 'key',
        hint: 'do what weft segment proposals says of it',
      });
    }
    deps.stdout.write(text);
    return EXIT_CODES.ok;
  });
}

async function decline(deps: SegmentProposalsDeps, key: string): Promise<number> {
  return deps.withProposals(async (proposals) => {
    const { drop, keep } = await proposals.decline(key);
    const what = keep === null ? drop : `${drop} and ${keep}`;
    deps.stdout.write(`Declined. Nothing of the kind is proposed of ${what} until the definition changes.\n`);
    return EXIT_CODES.ok;
  });
}

function describe(proposal: MergeProposal): string {
  const { key, reason, drop, keep, counts, dropUses, keepUses, expression, gained, lost, steps } = proposal;
  const into = keep === null ? `archive ${drop}` : `${drop} into ${keep}`;
  const why = reason === 'near_duplicate' ? 'near duplicates' : `${drop} has had few members for a week`;
  return [
    `${key}: ${into}, ${why}`,
    ...(counts === null
      ? []
      : [
          `  members  ${String(counts.size)} and ${String(counts.otherSize)}, ${String(counts.common)} in both (Jaccard ${counts.jaccard.toFixed(3)})`,
        ]),
    `  names    ${drop}: ${usesText(dropUses)}${keep === null ? '' : `; ${keep}: ${usesText(keepUses)}`}`,
    ...(keep === null || gained === null || dropUses.length === 0
      ? []
      : [`  change   whoever names ${drop} is told of ${String(gained)} more and ${String(lost)} fewer`]),
    ...(keep === null || expression === null
      ? []
      : [`  ${keep} says`, ...expression.split('\n').map((line) => `    ${line}`)]),
    '  by',
    ...steps.map((step) => `    ${step}`),
    '',
  ].join('\n');
}

function usesText(uses: readonly SegmentUse[]): string {
  return uses.length === 0 ? 'nobody' : uses.map(({ kind, key }) => `${kind} ${key}`).join(', ');
}
