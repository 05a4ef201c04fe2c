import { isReservedTrait } from '../events/event.model.js';
import { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { durationText } from '../platform/duration.js';
import { formatInstant } from '../platform/instant.js';
import { nameHint } from '../platform/near-names.js';
import { warningText } from '../platform/warning.js';
import type { SegmentRequirements } from './parse-segment.js';
import type { SegmentRule } from './segment-rule.model.js';
import type { SegmentReader, StoredSegment } from './segment.reader.js';
import type { SegmentService } from './segment.service.js';

export interface SegmentCommandServices {
  readonly reader: Pick<SegmentReader, 'all' | 'byKey' | 'sizes'>;
  readonly service: Pick<SegmentService, 'activate' | 'archive' | 'check' | 'questions'>;
}

export interface SegmentCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withSegments<T>(use: (segments: SegmentCommandServices) => Promise<T>): Promise<T>;
}

interface Options {
  readonly json?: true;
}

interface CheckOptions extends Options {
  readonly exit?: string;
}

const HELP = `
Segments are written in files and applied by weft apply.

Examples:
  weft segment check 'f.orders_365d >= 5 && performed("order_completed", "60d")'
  weft segment list
  weft segment show cart_abandoned --json
  weft segment archive cart_abandoned

Exit codes: 0 done, 1 failed (no such segment, still referred to), 2 wrong use, or a condition that is not valid.`;

/** `weft segment check|list|show|activate|archive`. */
export function segmentCommand(deps: SegmentCommandDeps): Command {
  const command = new Command('segment').description('look at segments, and put them in and out of service');
  command.addHelpText('after', HELP);
  command
    .command('check <condition>')
    .description('say whether a condition is valid, and what it reads; writes nothing')
    .option('--exit <condition>', 'the condition on which members leave')
    .option('--json', 'as JSON')
    .action((expression: string, options: CheckOptions) => runCommand(deps, () => check(deps, expression, options)));
  command
    .command('list')
    .description('all segments, with how many people are in them')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  command
    .command('show <key>')
    .description('one segment with its condition')
    .option('--json', 'as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => show(deps, key, options)));
  command
    .command('activate <key>')
    .description('let the version that was written last decide who is in')
    .option('--json', 'the segment as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => change(deps, 'activate', key, options)));
  command
    .command('archive <key>')
    .description('take a segment out of service; its members leave')
    .option('--json', 'the segment as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => change(deps, 'archive', key, options)));
  return command;
}

async function check(deps: SegmentCommandDeps, expression: string, options: CheckOptions): Promise<number> {
  return deps.withSegments(async ({ service }) => {
    const { requires, warnings } = await service.check(expression, options.exit);
    const reads = readsOf(requires);
    if (options.json === true) {
      deps.stdout.write(jsonText({ reads, warnings }));
    } else {
      const lines = Object.entries(reads).filter(([, names]) => names.length > 0);
      const width = Math.max(0, ...lines.map(([what]) => what.length));
      deps.stdout.write(
        [
          options.exit === undefined ? 'The condition is valid.' : 'Both conditions are valid.',
          ...lines.map(([what, names]) => `  ${what.padEnd(width)}  ${names.join(', ')}`),
          '',
        ].join('\n'),
      );
      deps.stderr.write(warningText(warnings));
    }
    return EXIT_CODES.ok;
  });
}

function readsOf({ features, inlineFeatures, traits, groupTraits, models, segments, purposes }: SegmentRequirements) {
  const events = [...new Set(inlineFeatures.flatMap((feature) => feature.events))].sort();
  const own = traits.filter((name) => !isReservedTrait(name));
  return { events, features, traits: own, 'traits of groups': groupTraits, models, segments, purposes };
}

async function list(deps: SegmentCommandDeps, options: Options): Promise<number> {
  return deps.withSegments(async ({ reader }) => {
    const segments = await reader.all();
    const sizes = await reader.sizes(segments.map((segment) => segment.id));
    if (options.json === true) {
      deps.stdout.write(jsonText(segments.map((segment) => toJson(segment, sizes.get(segment.id) ?? 0))));
    } else if (segments.length === 0) {
      deps.stdout.write('There are no segments yet; weft apply brings them in.\n');
    } else {
      const rows = segments.map((s) => [s.key, s.stage, versionText(s), String(sizes.get(s.id) ?? 0), s.name]);
      deps.stdout.write(textTable([['key', 'stage', 'version', 'members', 'name'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

async function show(deps: SegmentCommandDeps, key: string, options: Options): Promise<number> {
  return deps.withSegments(async ({ reader, service }) => {
    const segment = (await reader.byKey(key)) ?? (await missing(reader, key));
    const size = (await reader.sizes([segment.id])).get(segment.id) ?? 0;
    if (options.json === true) {
      deps.stdout.write(jsonText(toJson(segment, size)));
    } else {
      deps.stdout.write(describe(segment, size));
      await warn(deps, service, segment);
    }
    return EXIT_CODES.ok;
  });
}

async function change(
  deps: SegmentCommandDeps,
  what: 'activate' | 'archive',
  key: string,
  options: Options,
): Promise<number> {
  return deps.withSegments(async ({ reader, service }) => {
    if ((await reader.byKey(key)) === null) await missing(reader, key);
    const segment = await service[what](key);
    const size = (await reader.sizes([segment.id])).get(segment.id) ?? 0;
    const said = what === 'activate' ? `active in version ${String(segment.version)}` : 'archived; its members leave';
    deps.stdout.write(options.json === true ? jsonText(toJson(segment, size)) : `Segment ${key} is ${said}.\n`);
    if (what === 'activate') await warn(deps, service, segment);
    return EXIT_CODES.ok;
  });
}

/** Says which names in the condition nothing has sent so far; on standard error, beside any JSON. */
async function warn(
  deps: SegmentCommandDeps,
  service: SegmentCommandServices['service'],
  segment: StoredSegment,
): Promise<void> {
  const [warnings = []] = await service.questions([segment]);
  deps.stderr.write(warningText(warnings));
}

async function missing(reader: Pick<SegmentReader, 'all'>, key: string): Promise<never> {
  const keys = (await reader.all()).map((segment) => segment.key);
  throw new WeftError('NOT_FOUND', `there is no segment ${key}`, {
    hint: nameHint(key, keys, 'weft segment list shows all of them'),
  });
}

function describe(segment: StoredSegment, size: number): string {
  const lines = [
    `${segment.key}: ${segment.name}`,
    ...(segment.description === '' ? [] : [`  ${segment.description}`]),
    `  stage    ${segment.stage}, version ${versionText(segment)}`,
    `  members  ${String(size)}`,
    ...(segment.tags.length === 0 ? [] : [`  tags     ${segment.tags.join(', ')}`]),
    ...(segment.edge ? ['  edge     browsers may be told who is in it'] : []),
    ...(segment.purposes.length === 0 ? [] : [`  needs    consent for ${segment.purposes.join(', ')}`]),
    ...(segment.minDwellMs === null ? [] : [`  dwell    members stay at least ${durationText(segment.minDwellMs)}`]),
    ...(segment.activeFrom === null ? [] : [`  from     ${formatInstant(segment.activeFrom)}`]),
    ...(segment.activeUntil === null ? [] : [`  until    ${formatInstant(segment.activeUntil)}`]),
    '',
    ...indented(segment.expression),
    ...(segment.exitExpression === null ? [] : ['', '  Members leave on:', ...indented(segment.exitExpression)]),
  ];
  return `${lines.join('\n')}\n`;
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`);
}

/** The version that was written last, and the one that is live where that is another. */
function versionText({ version, activeVersion }: StoredSegment): string {
  const other = activeVersion !== null && activeVersion !== version;
  return other ? `${String(version)} (${String(activeVersion)} is live)` : String(version);
}

function toJson(segment: StoredSegment, members: number): unknown {
  const { id: _, createdAt, updatedAt, activeRule, ...rest } = segment;
  const times = { createdAt: formatInstant(createdAt), updatedAt: formatInstant(updatedAt) };
  const live = activeRule === null ? null : { ...activeRule, ...instantsOf(activeRule) };
  return { ...rest, ...instantsOf(segment), activeExpression: activeRule?.expression ?? null, live, members, ...times };
}

function instantsOf({ activeFrom, activeUntil }: SegmentRule) {
  return {
    activeFrom: activeFrom === null ? null : formatInstant(activeFrom),
    activeUntil: activeUntil === null ? null : formatInstant(activeUntil),
  };
}
