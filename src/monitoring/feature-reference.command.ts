import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import type { FeatureReferenceReader } from './feature-reference.reader.js';
import type { FeatureReferenceService } from './feature-reference.service.js';

export interface ReferenceCommandServices {
  readonly reader: Pick<FeatureReferenceReader, 'all'>;
  readonly service: Pick<FeatureReferenceService, 'set' | 'remove'>;
}

export interface ReferenceCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withReferences<T>(use: (services: ReferenceCommandServices) => Promise<T>): Promise<T>;
}

const HELP = `
A view that expects { psi: 0.25, against: NAME } of a feature holds it against the training set of that name, every hour.
Only how values were spread is kept, as the manifest has it.

Examples:
  weft features reference set intent.parquet.manifest.json           # as the feature service of the set is called
  weft features reference set intent.parquet.manifest.json --name intent_2026_11
  weft features reference list

Exit codes: 0 done, 1 failed (no such name), 2 wrong use, or a file that is no manifest.`;

/** Adds `weft features reference set|list|remove`. */
export function addReferenceCommand(features: Command, deps: ReferenceCommandDeps): Command {
  const reference = features
    .command('reference')
    .description('training sets that what is served is compared with')
    .addHelpText('after', HELP);
  reference
    .command('set <manifest>')
    .description('register the training set of a manifest, in place of the one that had the name')
    .option('--name <name>', 'what to call it; default: as its feature service')
    .action((manifest: string, options: { readonly name?: string }) =>
      runCommand(deps, () => set(deps, manifest, options.name)),
    );
  reference
    .command('list')
    .description('those that there are')
    .option('--json', 'as JSON')
    .action((options: { readonly json?: true }) => runCommand(deps, () => list(deps, options.json === true)));
  reference
    .command('remove <name>')
    .description('forget one; what is expected against it cannot be told any more')
    .action((name: string) => runCommand(deps, () => remove(deps, name)));
  return features;
}

async function set(deps: ReferenceCommandDeps, manifest: string, given: string | undefined): Promise<number> {
  const text = await readFile(manifest, 'utf8').catch((cause: unknown) => {
    const hint = 'give the .manifest.json that weft export training-set wrote beside the set';
    throw new WeftError('NOT_FOUND', 'the manifest cannot be read', { where: manifest, hint, cause });
  });
  return deps.withReferences(async ({ service }) => {
    const { name, features, rows } = await service.set(text, given ?? null, { manifest, name: '--name' });
    deps.stdout.write(`Registered ${name}: ${String(features)} features of ${String(rows)} rows.\n`);
    return EXIT_CODES.ok;
  });
}

function list(deps: ReferenceCommandDeps, isJson: boolean): Promise<number> {
  return deps.withReferences(async ({ reader }) => {
    const found = await reader.all();
    const rows = found.map((each) => [
      each.name,
      String(each.rows),
      new Date(each.madeAt).toISOString(),
      new Date(each.setAt).toISOString(),
      each.manifestSha256.slice(0, 12),
    ]);
    if (isJson) deps.stdout.write(jsonText(found));
    else if (rows.length === 0) deps.stdout.write('No training set is registered.\n');
    else deps.stdout.write(textTable([['name', 'rows', 'made', 'registered', 'manifest'], ...rows]));
    return EXIT_CODES.ok;
  });
}

function remove(deps: ReferenceCommandDeps, name: string): Promise<number> {
  return deps.withReferences(async ({ service }) => {
    await service.remove(name);
    deps.stdout.write(`Removed ${name}.\n`);
    return EXIT_CODES.ok;
  });
}
