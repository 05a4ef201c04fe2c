import { readFile, stat } from 'node:fs/promises';
import { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { MODEL_LIMITS } from './model-manifest.model.js';
import type { ModelReader } from './model.reader.js';
import type { ModelService } from './model.service.js';
import { modelDetails } from './model-details.js';
import { capitalised, jsonOfModel, parsePercent, parseVersion, sentence, stageText } from './model-text.js';
import { parseManifest } from './parse-manifest.js';
import { addPromoteCommand, type PromoteCommandDeps } from './promote.command.js';

export interface ModelCommandServices {
  readonly reader: Pick<ModelReader, 'all'>;
  readonly service: Pick<ModelService, 'register' | 'promote' | 'canary' | 'abort' | 'rollback' | 'retire' | 'setEdge'>;
}

export interface ModelCommandDeps extends PromoteCommandDeps {
  /** Starts what the command needs, for as long as `use` runs. */
  withModels<T>(use: (models: ModelCommandServices) => Promise<T>): Promise<T>;
}

interface Options {
  readonly json?: true;
}

const HELP = `
A model is an ONNX file and a manifest that says what it reads and what its outputs mean. It is registered only if its
golden vectors come out right, and answers once it is promoted.

Examples:
  weft model register intent.onnx intent.manifest.yaml --promote
  weft model list
  weft model show purchase_intent          (metrics, fairness, latency; 2 behind it: version 2)
  weft model promote purchase_intent 2 --dry-run       (what would change)
  weft model promote purchase_intent 2
  weft model canary purchase_intent 3 --percent 5      (for 5 of 100 people; abort ends it, promote is for all)
  weft model rollback purchase_intent      (the version that was active before answers again)
  weft model edge purchase_intent          (browsers may be told its scores; --off takes that back)

Exit codes: 0 done, 1 failed (no such version, still asked by a segment), 2 wrong use, or the model does not fit its
manifest or the features.`;

/** `weft model register|list|show|promote|canary|abort|rollback|retire|edge`. */
export function modelCommand(deps: ModelCommandDeps): Command {
  const command = new Command('model').description('register models, and put them in and out of service');
  command.addHelpText('after', HELP);
  command
    .command('register <onnx> <manifest>')
    .description('check a model and keep it as a new version; the same files again give the same version')
    .option('--promote', 'and let it answer at once')
    .option('--json', 'the version as JSON')
    .action((onnx: string, manifest: string, options: Options & { promote?: true }) =>
      runCommand(deps, () => register(deps, onnx, manifest, options)),
    );
  command
    .command('list')
    .description('all versions, newest first')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  command
    .command('show <key>')
    .argument('[version]', 'its number; left out: the one that is active, else the newest', parseVersion)
    .description('what a version reads and says, how fast it is, and its metrics, fairness and training set')
    .option('--json', 'as JSON')
    .action((key: string, version: number | undefined, options: Options) =>
      runCommand(deps, () => show(deps, key, version, options)),
    );
  addPromoteCommand(command, deps);
  command
    .command('canary <key>')
    .argument('<version>', 'its number', parseVersion)
    .description('let this version answer for some of the people, beside the one that is active')
    .requiredOption('--percent <n>', 'of all people, 1 to 99', parsePercent)
    .option('--json', 'the version as JSON')
    .action((key: string, version: number, options: Options & { percent: number }) =>
      runCommand(deps, () => canary(deps, key, version, options)),
    );
  command
    .command('abort <key>')
    .description('end the canary: the active version answers for everybody again')
    .option('--json', 'the version that was the canary as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => abort(deps, key, options)));
  command
    .command('rollback <key>')
    .description('take the last promotion back: the version that was active before answers again')
    .option('--json', 'the version as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => rollback(deps, key, options)));
  command
    .command('retire <key>')
    .argument('<version>', 'its number', parseVersion)
    .description('take this version out of service')
    .option('--json', 'the version as JSON')
    .action((key: string, version: number, options: Options) =>
      runCommand(deps, () => retire(deps, key, version, options)),
    );
  command
    .command('edge <key>')
    .description('let edge keys, which sit in browsers, be told what a model says, in all its versions')
    .option('--off', 'let them not')
    .option('--json', 'as JSON')
    .action((key: string, options: Options & { off?: true }) => runCommand(deps, () => edge(deps, key, options)));
  return command;
}

async function edge(deps: ModelCommandDeps, key: string, options: Options & { off?: true }): Promise<number> {
  return deps.withModels(async ({ service }) => {
    const isEdge = options.off !== true;
    await service.setEdge(key, isEdge);
    const said = `Edge keys ${isEdge ? 'may' : 'may not'} be told what model ${key} says.\n`;
    deps.stdout.write(options.json === true ? jsonText({ key, edge: isEdge }) : said);
    return EXIT_CODES.ok;
  });
}

async function register(
  deps: ModelCommandDeps,
  onnxPath: string,
  manifestPath: string,
  options: Options & { promote?: true },
): Promise<number> {
  const manifest = parseManifest((await readBounded(manifestPath, MODEL_LIMITS.maxManifestBytes)).toString('utf8'));
  const bytes = await readBounded(onnxPath, MODEL_LIMITS.maxModelBytes);
  return deps.withModels(async ({ service }) => {
    const { model, created } = await service.register(bytes, manifest);
    const standing = options.promote === true ? await service.promote(model.key, model.version) : model;
    const how = created ? 'Registered' : 'Registered before';
    deps.stdout.write(options.json === true ? jsonText(jsonOfModel(standing)) : `${how}: ${sentence(standing)}\n`);
    return EXIT_CODES.ok;
  });
}

async function list(deps: ModelCommandDeps, options: Options): Promise<number> {
  return deps.withModels(async ({ reader }) => {
    const models = await reader.all();
    if (options.json === true) {
      deps.stdout.write(jsonText(models.map(jsonOfModel)));
    } else if (models.length === 0) {
      deps.stdout.write('There are no models yet; weft model register brings them in.\n');
    } else {
      const rows = models.map((model) => [
        model.key,
        String(model.version),
        model.manifest.version,
        stageText(model),
        model.edge ? 'yes' : 'no',
        model.manifest.featureService.name,
        new Date(model.createdAt).toISOString(),
        model.digest.slice(0, 12),
      ]);
      deps.stdout.write(
        textTable([['key', 'version', 'label', 'stage', 'edge', 'feature service', 'registered', 'digest'], ...rows]),
      );
    }
    return EXIT_CODES.ok;
  });
}

async function show(deps: ModelCommandDeps, key: string, version: number | undefined, options: Options) {
  return deps.withModels(async ({ reader }) => {
    const versions = (await reader.all()).filter((model) => model.key === key);
    const model =
      version === undefined
        ? (versions.find(({ stage }) => stage === 'active') ?? versions[0])
        : versions.find((each) => each.version === version);
    if (model === undefined)
      throw missingModel(
        key,
        versions.map((each) => each.version),
      );
    deps.stdout.write(options.json === true ? jsonText(jsonOfModel(model)) : modelDetails(model));
    return EXIT_CODES.ok;
  });
}

function missingModel(key: string, versions: readonly number[]): WeftError {
  const isKnown = versions.length > 0;
  return new WeftError(
    'NOT_FOUND',
    isKnown ? `model ${key} has no such version` : `there is no model ${key.slice(0, 100)}`,
    {
      where: isKnown ? 'version' : 'key',
      hint: isKnown ? `its newest one is ${String(versions[0])}` : 'weft model list shows those that there are',
    },
  );
}

async function canary(
  deps: ModelCommandDeps,
  key: string,
  version: number,
  options: Options & { percent: number },
): Promise<number> {
  return deps.withModels(async ({ service }) => {
    const model = await service.canary(key, version, options.percent);
    deps.stdout.write(options.json === true ? jsonText(jsonOfModel(model)) : `${capitalised(sentence(model))}\n`);
    return EXIT_CODES.ok;
  });
}

async function abort(deps: ModelCommandDeps, key: string, options: Options): Promise<number> {
  return deps.withModels(async ({ service }) => {
    const model = await service.abort(key);
    deps.stdout.write(options.json === true ? jsonText(jsonOfModel(model)) : `${capitalised(sentence(model))}\n`);
    return EXIT_CODES.ok;
  });
}

async function rollback(deps: ModelCommandDeps, key: string, options: Options): Promise<number> {
  return deps.withModels(async ({ service }) => {
    const model = await service.rollback(key);
    deps.stdout.write(options.json === true ? jsonText(jsonOfModel(model)) : `${capitalised(sentence(model))}\n`);
    return EXIT_CODES.ok;
  });
}

async function retire(deps: ModelCommandDeps, key: string, version: number, options: Options): Promise<number> {
  return deps.withModels(async ({ service }) => {
    const model = await service.retire(key, version);
    deps.stdout.write(options.json === true ? jsonText(jsonOfModel(model)) : `${capitalised(sentence(model))}\n`);
    return EXIT_CODES.ok;
  });
}

/** The bytes of a file that is no larger than it may be. */
async function readBounded(path: string, maxBytes: number): Promise<Buffer> {
  const size = await found(
    path,
    stat(path).then((stats) => stats.size),
  );
  if (size <= maxBytes) return found(path, readFile(path));
  throw new WeftError('PAYLOAD_TOO_LARGE', `the file has ${String(size)} bytes`, {
    where: path,
    hint: `at most ${String(maxBytes)} are taken`,
  });
}

async function found<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    const hint = 'give the ONNX file, then its manifest';
    throw new WeftError('NOT_FOUND', 'there is no such file that can be read', { where: path, hint, cause: error });
  }
}
