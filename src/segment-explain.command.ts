import type { Command } from 'commander';
import type { MembershipExplanation } from './api/graphql/explain-membership.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from './platform/command-line.js';
import { durationText } from './platform/duration.js';
import { formatInstant } from './platform/instant.js';
import { parseTarget } from './privacy/erase.command.js';
import type { ErasureTarget } from './privacy/erasure.service.js';
import type { ExplainedModel } from './segments/ablate-model.js';
import type { ExplainedCondition, ExplainedRead } from './segments/explain-condition.js';
import type { DecidingRule } from './segments/explain-segment.js';

export interface SegmentExplainer {
  /** @throws WeftError NOT_FOUND, CONFLICT, UNAVAILABLE */
  explain(whom: ErasureTarget, key: string): Promise<MembershipExplanation>;
}

export interface SegmentExplainCommandDeps extends CommandIo {
  /** Starts what explaining needs, for as long as `use` runs. */
  withExplainer<T>(use: (explainer: SegmentExplainer) => Promise<T>): Promise<T>;
}

interface Options {
  readonly identifier: string;
  readonly json?: true;
}

const HELP = `
Shows each part of the condition as it is for one person now: what it reads, how far numbers are from their thresholds, and
when time alone will change it. Parts because of which the whole is what it is have a *. Of models it shows what the answer
owes to each feature: the model is asked again with that feature at the median, or the most frequent value, of what it was
trained on, or without a value where that is not known.

Examples:
  weft segment explain cart_abandoned --identifier email:anna@example.com
  weft segment explain hot_lead --identifier user_id:42 --json

Exit codes: 0 done, 1 failed (no such segment or person, or it is not active), 2 wrong use.`;

/** `weft segment explain`. */
export function addExplainCommand(segment: Command, deps: SegmentExplainCommandDeps): Command {
  segment
    .command('explain')
    .description('why somebody is in a segment, or is not')
    .argument('<key>', 'an active segment')
    .requiredOption('--identifier <namespace:value>', 'whom: an identifier, or the id of a profile')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((key: string, options: Options) => runCommand(deps, () => explain(deps, key, options)));
  return segment;
}

async function explain(deps: SegmentExplainCommandDeps, key: string, { identifier, json }: Options): Promise<number> {
  const whom = parseTarget(identifier, '--identifier');
  const found = await deps.withExplainer((explainer) => explainer.explain(whom, key));
  deps.stdout.write(json === true ? jsonText(toJson(found)) : textOf(found));
  return EXIT_CODES.ok;
}

const REASONS: Readonly<Record<DecidingRule, string>> = {
  admission: 'consent is missing, or the active period is not',
  dwell: 'members stay for a minimum time',
  exit: 'the exit condition is true',
  memory: 'members stay until the exit condition is true',
  condition: 'by the condition',
};

function textOf(found: MembershipExplanation): string {
  const { key, version, asOf, isMember, isLiveMember, decidedBy, since, dwellUntil, holdsUntil, exitConditions } =
    found;
  return [
    `${isMember ? 'In' : 'Not in'} ${key}, version ${String(version)}, as of ${formatInstant(asOf)}: ${REASONS[decidedBy]}.`,
    ...(since === null ? [] : [`In it since ${formatInstant(since)}.`]),
    ...(dwellUntil === null ? [] : [`Stays until ${formatInstant(dwellUntil)} at least.`]),
    ...(isMember === isLiveMember ? [] : [`${isLiveMember ? 'Still' : 'Not yet'} a member until a timer fires.`]),
    holdsUntil === Infinity
      ? 'Time alone does not change that.'
      : `Time alone does not change that before ${formatInstant(holdsUntil)}.`,
    '',
    ...conditionLines(found.conditions),
    ...(exitConditions.length === 0 ? [] : ['', 'Members leave on:', ...conditionLines(exitConditions)]),
    ...found.models.flatMap(modelLines),
    '',
  ].join('\n');
}

function conditionLines(conditions: readonly ExplainedCondition[]): string[] {
  const depths: number[] = [];
  return conditions.flatMap((condition, i) => {
    const { parent, text, value, decides, comparison, holdsUntil, reads } = condition;
    const depth = parent === null ? 0 : (depths[parent] ?? 0) + 1;
    depths[i] = depth;
    const indent = '  '.repeat(depth + 1);
    const said = value === null ? 'unknown' : String(value);
    const isWhole = reads.length === 0;
    const oneLine = text.replace(/\s+/g, ' ');
    const facts = [
      ...(comparison === null
        ? []
        : [
            `${numberText(comparison.value)} ${comparison.op} ${numberText(comparison.threshold)}, margin ${numberText(comparison.margin)}`,
          ]),
      ...reads.map((read, at) => readText(read, reads[at - 1])),
      ...(holdsUntil === Infinity || isWhole ? [] : [`until ${formatInstant(holdsUntil)}`]),
    ];
    return [
      `${decides ? '*' : ' '}${indent}${said.padEnd(7)}  ${oneLine}`,
      ...(isWhole ? [] : facts.map((fact) => ` ${indent}           ${fact}`)),
    ];
  });
}

/** @param before the one that is told before it */
function readText({ kind, name, value, eventAt }: ExplainedRead, before: ExplainedRead | undefined): string {
  const at = eventAt === null ? '' : ` at ${formatInstant(eventAt)}`;
  if (kind === 'event') return eventAt === null ? `event ${name} never happened` : `event ${name}, the last one${at}`;
  if (kind === 'step')
    return `step ${JSON.stringify(value)}, ${name}${eventAt === null ? missedText(before) : `,${at}`}`;
  if (kind === 'clock') {
    const shown = typeof value === 'string' ? value : JSON.stringify(value);
    return `${name} is ${value === null ? 'unknown: no zone, or no date' : shown}`;
  }
  const what = kind === 'feature' && !IS_NAME.test(name) ? name : `${kind} ${name}`;
  return `${what} = ${value === null ? 'unknown' : JSON.stringify(value)}${at}`;
}

/** Not of what the condition defines itself. */
const IS_NAME = /^\w+$/;

/** Of a step that was not reached: the first of these is what all later ones wait for. */
function missedText(before: ExplainedRead | undefined): string {
  if (before?.kind !== 'step') return ': no such event that still counts';
  const step = `step ${JSON.stringify(before.value)}`;
  return before.eventAt === null ? `: waits for ${step}` : `: no such event that counts since ${step}`;
}

/** Ages are ms, and large. */
function numberText(value: number): string {
  return Number.isInteger(value) && value >= 60_000 && value % 1_000 === 0
    ? `${String(value)} (${durationText(value)} in ms)`
    : String(value);
}

function modelLines({ key, version, score, label, cluster, contributions, leftOut }: ExplainedModel): string[] {
  const answer = [score, label, cluster].find((each) => each !== null);
  return [
    '',
    `Model ${key}, version ${String(version)}, says ${String(answer ?? 'nothing')}; by ablation:`,
    textTable([
      ['feature', 'value', 'reference', 'contribution'],
      ...contributions.map((each) => [
        each.feature,
        JSON.stringify(each.value),
        each.referenceFrom === 'missing' ? 'no value' : JSON.stringify(each.reference),
        each.contribution?.toFixed(4) ?? String(each.label ?? each.cluster ?? ''),
      ]),
    ]).trimEnd(),
    ...(leftOut === 0 ? [] : [`${String(leftOut)} more features are left out.`]),
  ];
}

function toJson({
  asOf,
  since,
  dwellUntil,
  holdsUntil,
  conditions,
  exitConditions,
  models,
  ...found
}: MembershipExplanation): object {
  return {
    ...found,
    ...{ asOf: formatInstant(asOf), since: instantOf(since), dwellUntil: instantOf(dwellUntil) },
    holdsUntil: instantOf(holdsUntil),
    conditions: conditions.map(conditionJson),
    exitConditions: exitConditions.map(conditionJson),
    models: models.map((model) => ({ ...model, method: 'ablation' })),
  };
}

function conditionJson({ holdsUntil, reads, ...condition }: ExplainedCondition): object {
  return {
    ...condition,
    holdsUntil: instantOf(holdsUntil),
    reads: reads.map(({ eventAt, ...read }) => ({ ...read, eventAt: instantOf(eventAt) })),
  };
}

function instantOf(ms: number | null): string | null {
  return ms === null || ms === Infinity ? null : formatInstant(ms);
}
