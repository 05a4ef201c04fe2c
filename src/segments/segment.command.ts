import { isReservedTrait } from '../events/event.model.js';
import { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { durationText } from '../platform/duration.js';
import { formatInstant } from '../platform/instant.js';
import { warningText } from '../platform/warning.js';
import type { SegmentWork } from './recompute.model.js';
import type { SegmentRequirements } from './parse-segment.js';
import { missingSegment, type SegmentCommandDeps, type SegmentCommandServices } from './segment-command-services.js';
import { segmentHistoryCommand } from './segment-history.command.js';
import { segmentStabilityCommand } from './segment-stability.command.js';
import { addTemplateCommands } from './segment-template.command.js';
import type { SegmentRule } from './segment-rule.model.js';
import { MAX_SEGMENT_VERSION, type SegmentVersion } from './segment-version.reader.js';
import type { ShadowSizes, StoredSegment } from './segment.reader.js';
import { isShadowed } from './evaluated-versions.js';

interface Options {
  readonly json?: true;
}

interface ShadowOptions extends Options {
  readonly end?: true;
}

interface CheckOptions extends Options {
  readonly exit?: string;
}

const HELP = `
Segments are written in files and applied by weft apply.

Examples:
  weft segment check 'f.orders_365d >= 5 && performed("order_completed", "60d")'
  weft segment templates cart_abandoned
  weft segment new --template cart_abandoned --set after=10m > cart.yaml
  weft segment list
  weft segment show cart_abandoned --json
  weft segment history cart_abandoned --by hour --last 24
  weft segment stability cart_abandoned
  weft segment versions cart_abandoned
  weft segment restore cart_abandoned 2
  weft segment shadow cart_abandoned
  weft segment archive cart_abandoned
  weft segment recompute --all --follow

Exit codes: 0 done, 1 failed (no such segment, still referred to), 2 wrong use, or a condition that is not valid.`;

/** `weft segment check|templates|new|list|show|history|stability|versions|restore|shadow|activate|archive`. */
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
    .alias('ls')
    .description('all segments, with how many people are in them')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  command
    .command('show <key>')
    .description('one segment with its condition')
    .option('--json', 'as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => show(deps, key, options)));
  addTemplateCommands(command, deps);
  command.addCommand(segmentHistoryCommand(deps));
  command.addCommand(segmentStabilityCommand(deps));
  command
    .command('versions <key>')
    .description('what a segment has said, when and by whom, the newest version first')
    .option('--json', 'as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => versions(deps, key, options)));
  command
    .command('restore <key> <version>')
    .description('write an older version as a new one; activate lets it decide')
    .option('--json', 'the segment as JSON')
    .action((key: string, version: string, options: Options) =>
      runCommand(deps, () => restore(deps, key, version, options)),
    );
  command
    .command('shadow <key>')
    .description('compute who would be in by the version that was written last, and tell nobody')
    .option('--end', 'end that; what is live stays so')
    .option('--json', 'the segment as JSON')
    .action((key: string, options: ShadowOptions) => runCommand(deps, () => shadow(deps, key, options)));
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

function readsOf(requires: SegmentRequirements) {
  const { features, inlineFeatures, traits, groupTraits, models, segments, purposes, lists, samples } = requires;
  const events = [...new Set(inlineFeatures.flatMap((feature) => feature.events))].sort();
  const own = traits.filter((name) => !isReservedTrait(name));
  return { events, features, traits: own, 'traits of groups': groupTraits, models, segments, purposes, lists, samples };
}

async function list(deps: SegmentCommandDeps, options: Options): Promise<number> {
  return deps.withSegments(async ({ reader, guards }) => {
    const segments = await reader.all();
    const warnings = await guards.warnings(segments);
    const sizes = await reader.sizes(segments.map((segment) => segment.id));
    if (options.json === true) {
      deps.stdout.write(
        jsonText(
          segments.map((segment, i) => ({
            ...toJson(segment, sizes.get(segment.id) ?? 0),
            warnings: warnings[i] ?? [],
          })),
        ),
      );
    } else if (segments.length === 0) {
      deps.stdout.write('There are no segments yet; weft apply brings them in.\n');
    } else {
      const rows = segments.map((s) => [s.key, s.stage, versionText(s), String(sizes.get(s.id) ?? 0), s.name]);
      deps.stdout.write(textTable([['key', 'stage', 'version', 'members', 'name'], ...rows]));
      deps.stderr.write(
        warningText(
          segments.flatMap(({ key }, i) =>
            (warnings[i] ?? []).map((each) => ({ ...each, message: `${key}: ${each.message}`, where: '' })),
          ),
        ),
      );
    }
    return EXIT_CODES.ok;
  });
}

async function show(deps: SegmentCommandDeps, key: string, options: Options): Promise<number> {
  return deps.withSegments(async ({ reader, service, guards, work }) => {
    const segment = (await reader.byKey(key)) ?? (await missingSegment(reader, key));
    const size = (await reader.sizes([segment.id])).get(segment.id) ?? 0;
    if (options.json === true) {
      deps.stdout.write(jsonText(toJson(segment, size)));
    } else {
      const tried = isShadowed(segment) ? await reader.shadowSizes(segment.id) : null;
      const standing = progressLines(segment, await work.read(deps.clock.now()));
      deps.stdout.write(
        describe(segment, size, [...(tried === null ? [] : [shadowLine(segment, tried)]), ...standing]),
      );
      await warn(deps, { service, guards }, segment);
    }
    return EXIT_CODES.ok;
  });
}

async function versions(deps: SegmentCommandDeps, key: string, options: Options): Promise<number> {
  return deps.withSegments(async ({ reader, versions }) => {
    const segment = (await reader.byKey(key)) ?? (await missingSegment(reader, key));
    const said: SegmentVersion[] = [];
    for (let before = MAX_SEGMENT_VERSION; ;) {
      const page = await versions.page(segment.id, before, VERSION_PAGE);
      said.push(...page);
      if (page.length < VERSION_PAGE) break;
      before = page.at(-1)?.version ?? 0;
    }
    if (options.json === true) {
      const json = said.map((each) => ({ ...each, ...instantsOf(each), createdAt: formatInstant(each.createdAt) }));
      deps.stdout.write(jsonText(json));
    } else {
      deps.stdout.write(said.map((each) => versionOf(each, segment)).join('\n'));
    }
    return EXIT_CODES.ok;
  });
}

const VERSION_PAGE = 500;

function versionOf(said: SegmentVersion, { activeVersion }: StoredSegment): string {
  const { version, createdAt, createdBy, restoredFrom } = said;
  const marks = [
    formatInstant(createdAt),
    ...(createdBy === null ? [] : [`by ${createdBy}`]),
    ...(restoredFrom === null ? [] : [`restores ${String(restoredFrom)}`]),
    ...(version === activeVersion ? ['live'] : []),
  ];
  return `${[`version ${String(version)}`, ...marks].join(', ')}\n${ruleLines(said).join('\n')}\n`;
}

async function restore(deps: SegmentCommandDeps, key: string, text: string, options: Options): Promise<number> {
  const version = /^[1-9]\d{0,8}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(version)) {
    throw new WeftError('BAD_REQUEST', `"${text}" is no version`, { where: 'version', hint: 'give its number, as 2' });
  }
  return deps.withSegments(async ({ reader, service }) => {
    const before = (await reader.byKey(key)) ?? (await missingSegment(reader, key));
    const segment = await service.restore(key, version, deps.user);
    const size = (await reader.sizes([segment.id])).get(segment.id) ?? 0;
    const said =
      segment.version === before.version
        ? `Segment ${key} says that already, in version ${String(segment.version)}.\n`
        : `Segment ${key} has version ${String(segment.version)}, as version ${String(version)} was. weft segment activate ${key} lets it decide who is in.\n`;
    deps.stdout.write(options.json === true ? jsonText(toJson(segment, size)) : said);
    return EXIT_CODES.ok;
  });
}

async function shadow(deps: SegmentCommandDeps, key: string, options: ShadowOptions): Promise<number> {
  return deps.withSegments(async ({ reader, service, guards }) => {
    if ((await reader.byKey(key)) === null) await missingSegment(reader, key);
    const segment = await (options.end === true ? service.endShadow(key) : service.shadow(key));
    const size = (await reader.sizes([segment.id])).get(segment.id) ?? 0;
    const said =
      options.end === true
        ? `Nothing of segment ${key} is evaluated in the shadow.\n`
        : `Version ${String(segment.version)} of segment ${key} is evaluated in the shadow. weft segment show ${key} tells whom it would have, weft segment activate ${key} lets it decide.\n`;
    deps.stdout.write(options.json === true ? jsonText(toJson(segment, size)) : said);
    if (options.end !== true) await warn(deps, { service, guards }, segment);
    return EXIT_CODES.ok;
  });
}

async function change(
  deps: SegmentCommandDeps,
  what: 'activate' | 'archive',
  key: string,
  options: Options,
): Promise<number> {
  return deps.withSegments(async ({ reader, service, guards }) => {
    if ((await reader.byKey(key)) === null) await missingSegment(reader, key);
    const segment = await service[what](key);
    const size = (await reader.sizes([segment.id])).get(segment.id) ?? 0;
    const said = what === 'activate' ? `active in version ${String(segment.version)}` : 'archived; its members leave';
    deps.stdout.write(options.json === true ? jsonText(toJson(segment, size)) : `Segment ${key} is ${said}.\n`);
    if (what === 'activate') await warn(deps, { service, guards }, segment);
    return EXIT_CODES.ok;
  });
}

/** Says which names in the condition nothing has sent so far, and what is much the same; on standard error, beside any JSON. */
async function warn(
  deps: SegmentCommandDeps,
  { service, guards }: Pick<SegmentCommandServices, 'service' | 'guards'>,
  segment: StoredSegment,
): Promise<void> {
  const [names = []] = await service.questions([segment]);
  const [guarded = []] = await guards.warnings([segment]);
  deps.stderr.write(warningText([...names, ...guarded]));
}

/** @param standing lines on how it is being evaluated */
function describe(segment: StoredSegment, size: number, standing: readonly string[]): string {
  const lines = [
    `${segment.key}: ${segment.name}`,
    ...(segment.description === '' ? [] : [`  ${segment.description}`]),
    `  stage    ${segment.stage}, version ${versionText(segment)}`,
    `  members  ${String(size)}`,
    ...standing,
    ...(segment.tags.length === 0 ? [] : [`  tags     ${segment.tags.join(', ')}`]),
    ...(segment.edge ? ['  edge     browsers may be told who is in it'] : []),
    ...ruleLines(segment),
  ];
  return `${lines.join('\n')}\n`;
}

/** Of what is evaluated while definitions changed: none where everybody was. */
function progressLines(segment: StoredSegment, { pausedSince, eventsLeft, profilesLeft }: SegmentWork): string[] {
  const isEvaluated = segment.stage === 'active' || isShadowed(segment);
  if (!isEvaluated || (eventsLeft === 0 && profilesLeft === 0)) return [];
  const left = `${String(eventsLeft)} events of history and ${String(profilesLeft)} profiles to go`;
  const rests = pausedSince === null ? '' : `, paused since ${formatInstant(pausedSince)}`;
  return [`  progress ${left}${rests}`];
}

function shadowLine({ shadowVersion }: StoredSegment, { size, entering, leaving }: ShadowSizes): string {
  const change = `${String(entering)} would enter, ${String(leaving)} leave`;
  return `  shadow   version ${String(shadowVersion)}: ${String(size)} members, ${change}`;
}

function ruleLines({
  purposes,
  minDwellMs,
  activeFrom,
  activeUntil,
  expression,
  exitExpression,
}: SegmentRule): string[] {
  return [
    ...(purposes.length === 0 ? [] : [`  needs    consent for ${purposes.join(', ')}`]),
    ...(minDwellMs === null ? [] : [`  dwell    members stay at least ${durationText(minDwellMs)}`]),
    ...(activeFrom === null ? [] : [`  from     ${formatInstant(activeFrom)}`]),
    ...(activeUntil === null ? [] : [`  until    ${formatInstant(activeUntil)}`]),
    '',
    ...indented(expression),
    ...(exitExpression === null ? [] : ['', '  Members leave on:', ...indented(exitExpression)]),
  ];
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`);
}

/** The version that was written last, and the one that is live where that is another. */
function versionText({ version, activeVersion }: StoredSegment): string {
  const other = activeVersion !== null && activeVersion !== version;
  return other ? `${String(version)} (${String(activeVersion)} is live)` : String(version);
}

function toJson(segment: StoredSegment, members: number): object {
  const { id: _, createdAt, updatedAt, activeRule, shadowRule: __, ...rest } = segment;
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
