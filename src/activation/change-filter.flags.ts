import { InvalidArgumentError, Option, type Command } from 'commander';
import { CAUSE_KINDS, type CauseKind, type ChangeKind } from '../segments/segment.model.js';
import type { ChangeFilterSpec } from './change-filter.model.js';

/* Which changes somebody wants, as options of a command, and as a text. */

/** What is left out is undefined. */
export interface ChangeFilterFlags {
  readonly segments?: readonly string[];
  readonly kind?: ChangeKind;
  readonly causes?: readonly CauseKind[];
  readonly exceptCauses?: readonly CauseKind[];
  readonly purposes?: readonly string[];
}

export function withFilterFlags(command: Command): Command {
  return command
    .option('--segments <keys>', 'only of these segments, with commas between', parseList)
    .addOption(new Option('--kind <kind>', 'only who enters, or who leaves').choices(['enter', 'leave']))
    .option('--causes <causes>', 'only of these causes, as event,timer', parseCauses)
    .option('--except-causes <causes>', 'none of these causes, as edit', parseCauses)
    .option('--purposes <keys>', 'what the receiver uses it for: only segments whose members allow it', parseList);
}

/** "all segments; not by edit". */
export function filterText({ segments, kind, causes, exceptCauses, purposes }: ChangeFilterSpec): string {
  return [
    segments === null ? 'all segments' : segments.join(', '),
    ...(kind === null ? [] : [`only ${kind}`]),
    ...(causes === null ? [] : [`causes ${causes.join(', ')}`]),
    ...(exceptCauses.length === 0 ? [] : [`not by ${exceptCauses.join(', ')}`]),
    ...(purposes.length === 0 ? [] : [`for ${purposes.join(', ')}`]),
  ].join('; ');
}

/** Names with commas between. */
export function parseList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function parseCauses(text: string): CauseKind[] {
  return parseList(text).map((part) => {
    const cause = CAUSE_KINDS.find((kind) => kind === part.toLowerCase());
    if (cause === undefined) throw new InvalidArgumentError(`Causes are ${CAUSE_KINDS.join(', ')}.`);
    return cause;
  });
}
