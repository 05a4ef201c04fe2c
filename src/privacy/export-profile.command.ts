import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { EXIT_CODES, runCommand, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { refuseExisting, withForce, type ForceOption } from '../platform/existing-output.js';
import type { Uuid } from '../platform/ids.js';
import { parseTarget } from './erase.command.js';
import type { ErasureTarget } from './erasure.service.js';
import type { ProfileExports } from './profile-export.model.js';

export interface ExportProfileServices {
  readonly exports: ProfileExports;
  /** @throws WeftError NOT_FOUND */
  readonly profileOf: (target: ErasureTarget) => Promise<Uuid>;
}

export interface ExportProfileDeps extends CommandIo {
  withProfileExports<T>(use: (services: ExportProfileServices) => Promise<T>): Promise<T>;
  readonly signal: AbortSignal;
}

interface Options extends ForceOption {
  readonly out: string;
}

const HELP = `
One JSON file: identifiers, traits with where they come from, features, memberships, changes, merges and every event, the
newest first, a line each. It holds personal data and can be read by nobody but you (mode 600).

Examples:
  weft profiles export email:anna@example.com --out anna.json
  weft profiles export 018c0d2e-… --out -

Exit codes: 0 done, 1 failed (nobody is known by that), 2 wrong use, 130 interrupted. Nothing is left behind unless it is 0.`;

/** `weft profiles export`. */
export function addExportCommand(profiles: Command, deps: ExportProfileDeps): void {
  const command = profiles
    .command('export')
    .description('all that is known of a person, as a file for them')
    .argument('<profile>', 'the id of the profile, or <namespace>:<value>')
    .requiredOption('-o, --out <file>', 'the file to write; - for standard output');
  withForce(command)
    .addHelpText('after', HELP)
    .action((whom: string, options: Options) => runCommand(deps, () => run(deps, whom, options), deps.signal));
}

async function run(deps: ExportProfileDeps, whom: string, { out, force }: Options): Promise<number> {
  if (out !== '-') await refuseExisting({ force }, out);
  const target = parseTarget(whom, 'weft profiles export');
  return deps.withProfileExports(async ({ exports, profileOf }) => {
    const found = await exports.open(await profileOf(target));
    if (found === null) throw new WeftError('NOT_FOUND', 'there is no such profile', { where: 'weft profiles export' });
    if (out === '-') {
      for await (const chunk of found.chunks) deps.stdout.write(chunk);
      return EXIT_CODES.ok;
    }
    const part = `${out}.part`;
    try {
      await pipeline(Readable.from(found.chunks), createWriteStream(part, { mode: 0o600 }), { signal: deps.signal });
      await rename(part, out);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
    deps.stdout.write(`Wrote ${out}.\n`);
    return EXIT_CODES.ok;
  });
}
