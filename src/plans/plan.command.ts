import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError, Option } from 'commander';
import { VIOLATION_RULES, type ViolationRule } from '../events/plan-violation.model.js';
import { durationMs } from '../platform/duration.js';
import type { Clock } from '../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import { hourOf } from '../sources/source-activity.model.js';
import type { PlanReader } from './plan.reader.js';
import type { PlanChange, PlanService } from './plan.service.js';
import { planYaml } from './plan-yaml.js';
import { PLAN_LIMITS } from './tracking-plan.model.js';
import type { ViolationReader } from './violation.reader.js';

export interface PlanCommandServices {
  readonly service: Pick<PlanService, 'applyText' | 'restore' | 'infer' | 'sourceOf' | 'versionOf'>;
  readonly reader: Pick<PlanReader, 'current' | 'currentOf' | 'versions'>;
  readonly violations: Pick<ViolationReader, 'counts'>;
  /** Keys of all sources, by id. */
  readonly sourceKeys: () => Promise<ReadonlyMap<number, string>>;
}

export interface PlanCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withPlans<T>(use: (services: PlanCommandServices) => Promise<T>): Promise<T>;
  readonly stderr: CommandIo['stderr'] & NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly clock: Clock;
  /** ISO 8601 to ms; NaN for what is none. */
  readonly parseTime: (text: string) => number;
  /** Who runs the command, for the list of versions. */
  readonly user: string;
}

interface Options {
  readonly json?: true;
}

interface ViolationOptions extends Options {
  readonly event?: string;
  readonly rule?: ViolationRule;
  readonly since: number;
  readonly limit: number;
}

const MAX_VERSIONS = 1_000;
/** Greater than any. */
const LAST_VERSION = 2 ** 31 - 1;
const MAX_LIMIT = 500;
const DEFAULT_LIMIT = 50;

const HELP = `
A tracking plan says which events a source sends and what they hold. It is a YAML file that names its source; each change
of it is a version, and the newest one is in force. Processes that run notice within ten seconds.

Examples:
  weft plan infer web > web-plan.yaml
  weft plan apply web-plan.yaml --dry-run
  weft plan apply web-plan.yaml
  weft plan violations web --since 24h
  weft plan list web
  weft plan restore web 3

Exit codes: 0 done or nothing to do, 1 failed (no such source or version), 2 wrong use, or a plan that is not valid.`;

/** `weft plan apply|restore|show|list|infer|violations`. */
export function planCommand(deps: PlanCommandDeps): Command {
  const command = new Command('plan')
    .description('hold what sources send against tracking plans')
    .addHelpText('after', HELP);
  command
    .command('apply <file>')
    .description('put a plan in force for the source that it names')
    .option('--dry-run', 'show what would change and change nothing')
    .option('--json', 'the changes as JSON')
    .action((file: string, options: Options & { readonly dryRun?: true }) =>
      runCommand(deps, () => apply(deps, file, options)),
    );
  command
    .command('restore <source> <version>')
    .description('put an older version in force again, as a new version')
    .option('--dry-run', 'show what would change and change nothing')
    .option('--json', 'the changes as JSON')
    .action((source: string, version: string, options: Options & { readonly dryRun?: true }) =>
      runCommand(deps, () => restore(deps, source, version, options)),
    );
  command
    .command('show <source>')
    .description('the plan in force, as a file to edit')
    .addOption(new Option('--version <n>', 'an older version').argParser(parseCount))
    .option('--json', 'as JSON')
    .action((source: string, options: Options & { readonly version?: number }) =>
      runCommand(deps, () => show(deps, source, options)),
    );
  command
    .command('list [source]')
    .description('the plans in force, or all versions of the plan of one source')
    .option('--json', 'as JSON')
    .action((source: string | undefined, options: Options) => runCommand(deps, () => list(deps, source, options)));
  command
    .command('infer <source>')
    .description('draft a plan of what the source sent')
    .addOption(sinceOption(deps, 'sent then or later (ISO 8601), or in that time (7d)', '7d'))
    .option('--json', 'the draft as JSON')
    .action((source: string, options: Options & { readonly since: number }) =>
      runCommand(deps, () => infer(deps, source, options)),
    );
  command
    .command('violations <source>')
    .description('what events violated, what came most often first')
    .option('--event <name>', 'of this event only, such as "track order_completed"')
    .addOption(new Option('--rule <rule>', 'of this rule only').choices(VIOLATION_RULES))
    .addOption(sinceOption(deps, 'in that hour or later (ISO 8601), or in that time (24h)', '24h'))
    .addOption(
      new Option('--limit <n>', `how many at most, up to ${String(MAX_LIMIT)}`)
        .argParser(parseCount)
        .default(DEFAULT_LIMIT),
    )
    .option('--json', 'as JSON')
    .action((source: string, options: ViolationOptions) => runCommand(deps, () => violations(deps, source, options)));
  return command;
}

function sinceOption({ clock, parseTime }: PlanCommandDeps, description: string, standard: string): Option {
  const parse = (text: string): number => {
    const at = parseTime(text);
    if (!Number.isNaN(at)) return at;
    try {
      return clock.now() - durationMs(text);
    } catch {
      throw new InvalidArgumentError('Write a time such as 7d, or 2026-01-31T12:00:00Z.');
    }
  };
  return new Option('--since <time>', description).argParser(parse).default(parse(standard), standard);
}

async function apply(
  deps: PlanCommandDeps,
  file: string,
  options: Options & { readonly dryRun?: true },
): Promise<number> {
  const text = await readPlanFile(file);
  return deps.withPlans(async ({ service }) => {
    const isDryRun = options.dryRun === true;
    tellChange(
      deps,
      await service.applyText(text, { file: basename(file), by: deps.user, isDryRun }),
      isDryRun,
      options,
    );
    return EXIT_CODES.ok;
  });
}

/** One byte more than a plan may have is enough for it to be refused. */
async function readPlanFile(path: string): Promise<string> {
  try {
    const bytes = await readFile(path);
    return bytes.subarray(0, PLAN_LIMITS.maxBytes + 1).toString('utf8');
  } catch (error) {
    throw new WeftError('NOT_FOUND', `${path} cannot be read`, { where: path, hint: 'name a YAML file', cause: error });
  }
}

async function restore(
  deps: PlanCommandDeps,
  source: string,
  version: string,
  options: Options & { readonly dryRun?: true },
): Promise<number> {
  return deps.withPlans(async ({ service }) => {
    const isDryRun = options.dryRun === true;
    const number = versionNumber(version);
    tellChange(deps, await service.restore(source, number, { by: deps.user, isDryRun }), isDryRun, options);
    return EXIT_CODES.ok;
  });
}

function tellChange(deps: PlanCommandDeps, change: PlanChange, isDryRun: boolean, { json }: Options): void {
  const { source, changes, applied, version } = change;
  const number = version?.version ?? null;
  if (json === true) {
    deps.stdout.write(jsonText({ source: source.key, applied, changes, version: number }));
    return;
  }
  if (changes.length === 0 && version !== null) {
    deps.stdout.write(`Nothing to change: version ${String(number)} of ${source.key} says the same.\n`);
    return;
  }
  deps.stdout.write([`Tracking plan of ${source.key}:`, ...changes.map((line) => `  ${line}`), ''].join('\n'));
  deps.stdout.write(isDryRun ? 'Dry run: nothing was changed.\n' : `Version ${String(number)} is in force.\n`);
}

async function show(
  deps: PlanCommandDeps,
  key: string,
  { json, version }: Options & { readonly version?: number },
): Promise<number> {
  return deps.withPlans(async ({ service, reader }) => {
    const source = await service.sourceOf(key, '<source>');
    const found = version === undefined ? await reader.current(source.id) : await service.versionOf(source, version);
    if (found === null) {
      throw new WeftError('NOT_FOUND', `${key} has no tracking plan`, { hint: `weft plan infer ${key} drafts one` });
    }
    if (json === true) {
      const { sourceId: _, appliedAt, ...rest } = found;
      deps.stdout.write(jsonText({ source: key, ...rest, appliedAt: formatInstant(appliedAt) }));
    } else deps.stdout.write(planYaml(key, found.plan));
    return EXIT_CODES.ok;
  });
}

async function list(deps: PlanCommandDeps, key: string | undefined, { json }: Options): Promise<number> {
  return deps.withPlans(async ({ service, reader, sourceKeys }) => {
    const keys = await sourceKeys();
    const versions =
      key === undefined
        ? [...(await reader.currentOf([...keys.keys()])).values()]
        : await reader.versions((await service.sourceOf(key, '<source>')).id, LAST_VERSION, MAX_VERSIONS);
    const items = versions.map(({ sourceId, version, plan, appliedAt, appliedBy }) => ({
      source: keys.get(sourceId) ?? '',
      version,
      events: plan.events.length,
      appliedAt: formatInstant(appliedAt),
      appliedBy,
    }));
    if (json === true) deps.stdout.write(jsonText(items));
    else if (items.length === 0) deps.stdout.write('There are no tracking plans.\n');
    else {
      const rows = items.map((each) => [
        each.source,
        String(each.version),
        String(each.events),
        each.appliedAt,
        each.appliedBy,
      ]);
      deps.stdout.write(textTable([['source', 'version', 'events', 'applied', 'by'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

async function infer(
  deps: PlanCommandDeps,
  key: string,
  { json, since }: Options & { readonly since: number },
): Promise<number> {
  return deps.withPlans(async ({ service }) => {
    const bar = deps.stderr.isTTY === true ? new SingleBar({ stream: deps.stderr, clearOnComplete: true }) : null;
    bar?.start(1, 0);
    const draft = await service
      .infer(key, {
        sinceMs: since,
        onProgress: (done, parts) => {
          bar?.setTotal(parts);
          bar?.update(done);
        },
      })
      .finally(() => bar?.stop());
    const { plan, text, events, scanned, positions } = draft;
    if (events === 0) {
      throw new WeftError('NOT_FOUND', `nothing of ${key} was found since ${formatInstant(since)}`, {
        where: '--since',
        hint: 'look further back',
      });
    }
    deps.stdout.write(json === true ? jsonText({ source: key, events, scanned, positions, plan }) : text);
    deps.stderr.write(
      `Drafted of ${String(events)} events, found in ${String(scanned)} of ${String(positions)} positions of the log.\n`,
    );
    return EXIT_CODES.ok;
  });
}

async function violations(deps: PlanCommandDeps, key: string, options: ViolationOptions): Promise<number> {
  return deps.withPlans(async ({ service, violations: reader }) => {
    const { event, rule, since, limit, json } = options;
    const source = await service.sourceOf(key, '<source>');
    const counts = await reader.counts(
      {
        sourceId: source.id,
        sinceHour: hourOf(since),
        ...(event === undefined ? {} : { event }),
        ...(rule === undefined ? {} : { rule }),
      },
      Math.min(limit, MAX_LIMIT),
    );
    if (json === true) {
      const items = counts.map(({ firstHour, lastHour, ...rest }) => ({
        ...rest,
        firstHour: formatInstant(firstHour),
        lastHour: formatInstant(lastHour),
      }));
      deps.stdout.write(jsonText(items));
    } else if (counts.length === 0) deps.stdout.write('There are no such violations.\n');
    else {
      const rows = counts.map((each) => [
        each.event === '' ? '(others)' : each.event,
        each.rule,
        each.path,
        String(each.count),
        formatInstant(each.lastHour).slice(0, 13),
        each.samples[0] ?? '(sent without message ids)',
      ]);
      deps.stdout.write(textTable([['event', 'rule', 'where', 'count', 'last hour', 'such as message'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

function versionNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new WeftError('BAD_REQUEST', `${text.slice(0, 20)} is no version`, {
    where: '<version>',
    hint: 'weft plan list <source> shows the versions',
  });
}

function parseCount(text: string): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count >= 1) return count;
  throw new InvalidArgumentError('Write a number from 1.');
}
