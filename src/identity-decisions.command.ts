import { InvalidArgumentError, type Command } from 'commander';
import type { RawIdentifier } from './events/event.model.js';
import type { GenericValue } from './identity/generic-value.model.js';
import type { IdentityLink } from './identity/identity-decision.model.js';
import type { ExplainedStep, Explanation, Obstacle } from './identity/identity-explanation.reader.js';
import type { IdentityRevisionRecord, RevisionInputOf, RevisionResult } from './identity/identity-revision.model.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { isUuid, type Uuid } from './platform/ids.js';
import { formatInstant } from './platform/instant.js';
import type { IdentityPreview, PreviewedDecision } from './segments/identity-preview.model.js';

export interface DecisionServices {
  preview(asked: PreviewedDecision): Promise<IdentityPreview>;
  /** Has it done; as it is then, or once it took too long. */
  decide(revision: RevisionInputOf, reason: string): Promise<IdentityRevisionRecord>;
  /**
   * Has all identities resolved anew, or those whom a change of the rules since a version reaches; as it is once that is
   * done or was given up.
   */
  reresolve(
    asked: { readonly reason: string; readonly since?: number | undefined },
    onProgress: (revision: IdentityRevisionRecord) => void,
  ): Promise<IdentityRevisionRecord>;
  /** Those that many people share, and those that somebody decided about, the newest first. */
  genericValues(limit: number): Promise<readonly GenericValue[]>;
  /** Says whether a value is kept however many people share it; what comes of it, as {@link decide}. */
  decideGeneric(value: RawIdentifier, isKept: boolean, reason: string): Promise<IdentityRevisionRecord>;
  explain(from: RawIdentifier, to: RawIdentifier): Promise<Explanation>;
  /** Links that keep the same two apart as this one, which may be removed; none where it does not keep anybody apart. */
  othersBarring(link: Uuid): Promise<readonly IdentityLink[]>;
  /** The newest first. */
  links(options: { readonly limit: number; readonly withRemoved: boolean }): Promise<readonly IdentityLink[]>;
  revisions(limit: number): Promise<readonly IdentityRevisionRecord[]>;
  /** Keys of sources, by id. */
  sourceKeys(): Promise<ReadonlyMap<number, string>>;
  /** Keys of segments, by id. */
  segmentKeys(ids: readonly number[]): Promise<ReadonlyMap<number, string>>;
}

export interface DecisionCommandDeps extends CommandIo {
  readonly signal: AbortSignal;
  /** Starts what reading needs, for as long as `use` runs. */
  withReader<T>(use: (services: DecisionServices) => Promise<T>): Promise<T>;
  /** The same, with a worker. */
  withDecider<T>(use: (services: DecisionServices) => Promise<T>): Promise<T>;
}

interface DecisionOptions {
  readonly reason: string;
  readonly dryRun?: true;
  readonly json?: true;
}

const MAX_LISTED = 500;
/** Links that are named beside one that is taken back. */
const MAX_NAMED = 5;

const HELP = `
People may know better than the evidence who is who. What they decide is kept as links between identifiers, which no event
and no replay undoes. An identifier is written as namespace:value, a profile as its id.

Examples:
  weft identity merge user_id:ann email:a.tanner@example.com --reason 'same passport'
  weft identity merge 01900000-0000-7000-8000-000000000001 01900000-0000-7000-8000-000000000002 --dry-run
  weft identity unmerge 01900000-0000-7000-8000-000000000001 email:home@example.com --reason 'of the family'
  weft identity unmerge --merge 01900000-0000-7000-8000-000000000003
  weft identity explain user_id:ann email:a.tanner@example.com
  weft identity links --removed --json
  weft identity unlink 01900000-0000-7000-8000-000000000004

Exit codes: 0 done, 1 failed (no such profile, it cannot be), 2 wrong use, 130 interrupted.`;

/** `weft identity merge|unmerge|unlink|links|revisions|explain`. */
export function addDecisionCommands(command: Command, deps: DecisionCommandDeps): void {
  withDecision(command.command('merge').description('say that profiles, or identifiers, are one person'))
    .argument('<who...>', 'ids of profiles, or identifiers as user_id:ann; 2 to 20 of one kind')
    .action((who: string[], options: DecisionOptions) =>
      decided(deps, () => ({ kind: 'merge', input: mergeOf(who) }), options),
    );
  withDecision(command.command('unmerge').description('say that identifiers are not of the rest of their profile'))
    .argument('[profile]', 'the id of the profile')
    .argument('[identifiers...]', 'who is somebody else, as email:home@example.com')
    .option('--merge <id>', 'in place of both: a merge of the past, as mergeHistory has it', parseUuid)
    .action(
      (profile: string | undefined, identifiers: string[], options: DecisionOptions & { readonly merge?: string }) =>
        decided(deps, () => ({ kind: 'unmerge', input: unmergeOf(profile, identifiers, options.merge) }), options),
    );
  withDecision(command.command('unlink').description('take a link back: the evidence decides again'))
    .argument('<link>', 'its id, as links shows it', parseUuid)
    .action((link: string, options: DecisionOptions) =>
      decided(deps, () => ({ kind: 'unlink', input: { link } }), options),
    );
  command
    .command('links')
    .description('what people decided, the newest first; shows identifiers')
    .option('--removed', 'those that were taken back, too')
    .option('--json', 'as JSON')
    .action((options: { readonly removed?: true; readonly json?: true }) =>
      runCommand(deps, () => links(deps, options)),
    );
  command
    .command('revisions')
    .description('what changed who is who without an event, the newest first, and how far it is')
    .option('--json', 'as JSON')
    .action((options: { readonly json?: true }) => runCommand(deps, () => revisions(deps, options)));
  command
    .command('explain')
    .description('why two identifiers are one person, or why they are not; shows identifiers')
    .argument('<from>', 'an identifier, as user_id:ann')
    .argument('<to>', 'another one')
    .option('--json', 'as JSON')
    .action((from: string, to: string, options: { readonly json?: true }) =>
      runCommand(deps, () => explain(deps, from, to, options)),
    );
}

function withDecision(command: Command): Command {
  return command
    .addHelpText('after', HELP)
    .option('--reason <text>', 'why, for whoever asks later', '')
    .option('--dry-run', 'only say what it would do')
    .option('--json', 'the result as JSON');
}

function decided(deps: DecisionCommandDeps, asked: () => PreviewedDecision, options: DecisionOptions): Promise<void> {
  return runCommand(
    deps,
    async () => {
      const revision = asked();
      return options.dryRun === true ? preview(deps, revision, options) : decide(deps, revision, options);
    },
    deps.signal,
  );
}

async function preview(
  deps: DecisionCommandDeps,
  asked: PreviewedDecision,
  { json }: DecisionOptions,
): Promise<number> {
  return deps.withReader(async (services) => {
    const { profiles, changes, brokenLimits, result } = await services.preview(asked);
    const barring = await othersBarring(services, asked);
    const keys = await services.segmentKeys([...new Set(changes.map(({ segmentId }) => segmentId))]);
    const told = changes.map(({ profileId, segmentId, kind }) => ({
      profileId,
      kind,
      segment: keys.get(segmentId) ?? '',
    }));
    if (json === true) {
      deps.stdout.write(jsonText({ profiles, changes: told, brokenLimits, ...result, ...barringJson(barring) }));
      return EXIT_CODES.ok;
    }
    for (const { id, isNew, mergedInto, identifiers, traits } of profiles) {
      const name = isNew ? 'a new profile' : id;
      const fate = mergedInto === null ? `${String(identifiers.length)} identifiers` : `becomes part of ${mergedInto}`;
      const changed =
        traits.length === 0 ? '' : `; traits that change: ${traits.map((trait) => trait.name).join(', ')}`;
      deps.stdout.write(`${name}: ${fate}${changed}\n`);
    }
    for (const { profileId, kind, segment } of told) deps.stdout.write(`${profileId} would ${kind} ${segment}\n`);
    for (const { namespace, limit, count } of brokenLimits) {
      deps.stdout.write(`overrides the limit of ${namespace}: ${String(count)} in place of ${String(limit)}\n`);
    }
    deps.stdout.write(unseenText(result) + barringText(barring));
    deps.stdout.write(
      `${String(result.linksAdded)} links would be made, ${String(result.linksRemoved)} removed. Nothing was changed.\n`,
    );
    return EXIT_CODES.ok;
  });
}

async function decide(deps: DecisionCommandDeps, asked: RevisionInputOf, options: DecisionOptions): Promise<number> {
  return deps.withDecider(async (services) => {
    const revision = await services.decide(asked, options.reason);
    const { id, kind, status, result } = revision;
    const barring = await othersBarring(services, asked);
    if (options.json === true) {
      deps.stdout.write(jsonText({ id, kind, status, ...result, ...barringJson(barring) }));
    } else if (status === 'done') {
      const { profileId = null, merged = [], apart = [], moved = 0 } = result ?? {};
      if (profileId !== null) deps.stdout.write(`profile ${profileId}\n`);
      for (const other of merged) deps.stdout.write(`${other} leads to it now\n`);
      for (const other of apart) deps.stdout.write(`apart: profile ${other}\n`);
      deps.stdout.write(`${String(moved)} identifiers moved.\n${unseenText(result)}${barringText(barring)}`);
    } else {
      deps.stdout.write(`Noted as ${id}; a worker will do it. weft identity revisions says how far it is.\n`);
    }
    return EXIT_CODES.ok;
  });
}

/** Null: the decision takes back no link. */
async function othersBarring(
  services: DecisionServices,
  asked: RevisionInputOf,
): Promise<readonly IdentityLink[] | null> {
  return asked.kind === 'unlink' ? services.othersBarring(asked.input.link) : null;
}

function barringJson(barring: readonly IdentityLink[] | null): object {
  return barring === null ? {} : { othersBarring: barring.length, examples: barring.slice(0, MAX_NAMED) };
}

function barringText(barring: readonly IdentityLink[] | null): string {
  if (barring === null || barring.length === 0) return '';
  const told = barring.slice(0, MAX_NAMED).map((link) => `  ${link.id} ${nameOf(link.a)} - ${nameOf(link.b)}\n`);
  const more = barring.length > told.length ? `  and ${String(barring.length - told.length)} more\n` : '';
  const count = barring.length === 1 ? '1 further link keeps' : `${String(barring.length)} further links keep`;
  return `${count} the same two apart; weft identity merge takes all of them back:\n${told.join('')}${more}`;
}

function unseenText(result: RevisionResult | null): string {
  const unseen = result?.unseen ?? 0;
  if (unseen === 0) return '';
  const who = unseen === 1 ? 'One of them has' : `${String(unseen)} of them have`;
  return `${who} not been seen yet: the link waits, and counts from the first event that names them.\n`;
}

async function links(
  deps: DecisionCommandDeps,
  { removed = false, json }: { readonly removed?: boolean; readonly json?: true },
): Promise<number> {
  return deps.withReader(async (services) => {
    const found = await services.links({ limit: MAX_LISTED + 1, withRemoved: removed });
    const told = found.slice(0, MAX_LISTED);
    if (json === true) deps.stdout.write(jsonText(told));
    else if (told.length === 0) deps.stdout.write('Nobody has decided anything.\n');
    else {
      deps.stdout.write(
        textTable([
          ['id', 'kind', 'one', 'other', 'since', 'by', 'removed', 'reason'],
          ...told.map((link) => [
            link.id,
            link.kind,
            nameOf(link.a),
            nameOf(link.b),
            formatInstant(link.createdAt),
            link.createdBy,
            link.removedAt === null ? '' : formatInstant(link.removedAt),
            link.reason,
          ]),
        ]),
      );
    }
    if (found.length > MAX_LISTED) deps.stderr.write('There are more: see identityLinks in GraphQL.\n');
    return EXIT_CODES.ok;
  });
}

async function revisions(deps: DecisionCommandDeps, { json }: { readonly json?: true }): Promise<number> {
  return deps.withReader(async (services) => {
    const found = await services.revisions(MAX_LISTED);
    if (json === true) deps.stdout.write(jsonText(found.map(({ input: _, ...revision }) => revision)));
    else if (found.length === 0) deps.stdout.write('There are none.\n');
    else {
      deps.stdout.write(
        textTable([
          ['id', 'kind', 'status', 'done', 'asked', 'by', 'reason', 'failure'],
          ...found.map((each) => [
            each.id,
            each.kind,
            each.status,
            each.stepsTotal === null ? String(each.stepsDone) : `${String(each.stepsDone)}/${String(each.stepsTotal)}`,
            formatInstant(each.createdAt),
            each.actor,
            each.reason,
            each.failure === null ? '' : `${each.failure.code}: ${each.failure.message}`,
          ]),
        ]),
      );
    }
    return EXIT_CODES.ok;
  });
}

async function explain(
  deps: DecisionCommandDeps,
  from: string,
  to: string,
  { json }: { readonly json?: true },
): Promise<number> {
  const [start, end] = [identifierOf(from), identifierOf(to)];
  return deps.withReader(async (services) => {
    const explanation = await services.explain(start, end);
    const keys = await services.sourceKeys();
    if (json === true) {
      deps.stdout.write(jsonText(explanation));
      return EXIT_CODES.ok;
    }
    const { isOne, steps, obstacles, isComplete } = explanation;
    deps.stdout.write(isOne ? 'One profile.\n' : 'Not one profile.\n');
    for (const step of steps) deps.stdout.write(`  ${stepText(step, keys)}\n`);
    for (const obstacle of obstacles) deps.stdout.write(`  ${obstacleText(obstacle)}\n`);
    if (!isComplete) deps.stderr.write('There is more evidence than was looked at.\n');
    return EXIT_CODES.ok;
  });
}

function stepText({ from, to, evidence, link, joins }: ExplainedStep, sourceKeys: ReadonlyMap<number, string>): string {
  const how =
    link === null
      ? `${sourceKeys.get(evidence?.sourceId ?? 0) ?? '?'} ${evidence?.messageId ?? ''} at ${formatInstant(evidence?.occurredAt ?? 0)}`
      : `${link.createdBy} at ${formatInstant(link.createdAt)}: ${link.reason}`;
  return `${nameOf(from)} - ${nameOf(to)} by ${how}${joins ? '' : ' (does not join them)'}`;
}

function obstacleText({ kind, namespace, limit, count, link }: Obstacle): string {
  switch (kind) {
    case 'not_seen':
      return 'one of the two has never come with an event that counts';
    case 'not_connected':
      return 'no evidence leads from one to the other';
    case 'cannot_link':
      return link === null ? 'somebody decided so' : `${nameOf(link.a)} - ${nameOf(link.b)}: ${decisionText(link)}`;
    case 'limit':
      return `the two hold ${String(count)} values of ${namespace ?? ''}, one profile at most ${String(limit)}`;
    case 'too_many_identifiers':
      return `the two hold ${String(count)} identifiers, one profile at most ${String(limit)}`;
    case 'shared':
      return `an identifier of ${namespace ?? ''} between them is of several people`;
    case 'may_not_merge':
      return `${namespace ?? ''} joins nobody who has a profile already`;
    case 'contested':
      return 'there is too much evidence to be resolved at once';
  }
}

function decisionText({ createdBy, createdAt, reason }: IdentityLink): string {
  return `${createdBy} decided so at ${formatInstant(createdAt)}${reason === '' ? '' : `: ${reason}`}`;
}

function mergeOf(who: readonly string[]) {
  const profiles = who.filter((each) => isUuid(each));
  if (profiles.length === who.length) return { profiles: profiles.map((id) => id.toLowerCase()) };
  if (profiles.length === 0) return { identifiers: who.map(identifierOf) };
  throw new WeftError('BAD_REQUEST', 'a merge is of profiles or of identifiers, not of both', {
    where: 'who',
    hint: 'write all of them as ids, or all as namespace:value',
  });
}

function unmergeOf(profile: string | undefined, identifiers: readonly string[], merge: string | undefined) {
  if (merge !== undefined && profile === undefined) return { move: merge };
  if (merge === undefined && profile !== undefined && isUuid(profile) && identifiers.length > 0) {
    return { profile: profile.toLowerCase(), identifiers: identifiers.map(identifierOf) };
  }
  throw new WeftError('BAD_REQUEST', 'who is taken out is said by a profile and identifiers of it, or by --merge', {
    where: 'unmerge',
    hint: 'weft identity unmerge --help has examples',
  });
}

/** @throws WeftError BAD_REQUEST */
export function identifierOf(text: string): RawIdentifier {
  const colon = text.indexOf(':');
  if (colon > 0 && colon < text.length - 1) return { ns: text.slice(0, colon), value: text.slice(colon + 1) };
  throw new WeftError('BAD_REQUEST', 'an identifier is written as namespace:value', {
    where: 'identifier',
    hint: 'as in user_id:ann',
  });
}

function parseUuid(text: string): string {
  if (isUuid(text)) return text.toLowerCase();
  throw new InvalidArgumentError('It is an id such as 01900000-0000-7000-8000-000000000000.');
}

export function nameOf({ ns, value }: { readonly ns: string; readonly value: string }): string {
  return `${ns}:${value}`;
}
