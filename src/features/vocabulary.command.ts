import { InvalidArgumentError, Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { searchVocabulary, VOCABULARY_KINDS, type VocabularyEntry, type VocabularyKind } from './vocabulary.model.js';

export interface VocabularyCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withVocabulary<T>(use: (entries: () => Promise<readonly VocabularyEntry[]>) => Promise<T>): Promise<T>;
}

interface VocabularyOptions {
  readonly search?: string;
  readonly kind?: VocabularyKind;
  readonly limit: number;
  readonly json?: true;
}

const MAX_LIMIT = 20_000;
const SHOWN_VALUES = 5;
const SHOWN_EVENTS = 3;

const HELP = `
Names of events, of their properties, of traits and of what was found out about events, as definitions write them, with how many events of a sample have
them and their most frequent values. The sample is at most 20,000 events, spread evenly over the last 90 days. Values
that look personal, name somebody, or that fewer than three people had are left out.

Examples:
  weft features vocabulary
  weft features vocabulary --search shoes
  weft features vocabulary --kind property --json
  weft features vocabulary --kind fact

Exit codes: 0 done, 1 failed, 2 wrong use.`;

/** Adds `weft features vocabulary`. */
export function addVocabularyCommand(features: Command, deps: VocabularyCommandDeps): void {
  features
    .command('vocabulary')
    .description('what events are called and carry, with counts and frequent values')
    .option('-s, --search <text>', 'only names and values that have this text')
    .addOption(new Option('--kind <kind>', 'only names of this sort').choices(VOCABULARY_KINDS))
    .addOption(new Option('--limit <count>', 'names at most, up to 20,000').argParser(parseLimit).default(100))
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((options: VocabularyOptions) => runCommand(deps, () => vocabulary(deps, options)));
}

function vocabulary(deps: VocabularyCommandDeps, { search, kind, limit, json }: VocabularyOptions): Promise<number> {
  return deps.withVocabulary(async (entries) => {
    const found = searchVocabulary(await entries(), search ?? null, kind ?? null);
    const shown = found.slice(0, limit);
    if (json === true) {
      deps.stdout.write(jsonText(shown));
    } else if (found.length === 0) {
      deps.stdout.write(
        search === undefined ? 'No events are known so far.\n' : 'No name and no frequent value has this in it.\n',
      );
    } else {
      const rows = shown.map((entry) => [
        entry.kind,
        entry.name,
        String(entry.count),
        eventsText(entry),
        valuesText(entry),
      ]);
      deps.stdout.write(textTable([['kind', 'name', 'events', 'of', 'most frequent values'], ...rows]));
    }
    if (found.length > limit)
      deps.stderr.write(`note: ${String(found.length - limit)} more; raise --limit, or search\n`);
    return EXIT_CODES.ok;
  });
}

function eventsText({ events }: VocabularyEntry): string {
  const more = events.length - SHOWN_EVENTS;
  return `${events.slice(0, SHOWN_EVENTS).join(', ')}${more > 0 ? `, +${String(more)}` : ''}`;
}

function valuesText({ values }: VocabularyEntry): string {
  return values
    .slice(0, SHOWN_VALUES)
    .map(({ value, count }) => `${value} (${String(count)})`)
    .join(', ');
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`Write a whole number from 1 to ${String(MAX_LIMIT)}.`);
}
