import { readFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../../platform/command-line.js';
import { durationMs } from '../../platform/duration.js';
import { WeftError } from '../../platform/errors.js';
import { unreadableFile } from '../../platform/file-errors.js';
import { CHANGE_CURSOR } from '../change-cursor.model.js';
import { parseList, withFilterFlags, type ChangeFilterFlags } from '../change-filter.flags.js';
import { ALL_CHANGES, type ChangeFilterSpec } from '../change-filter.model.js';
import {
  endpointJson,
  endpointTable,
  endpointText,
  outcomeText,
  undeliveredJson,
  undeliveredTable,
} from './endpoint-report.js';
import { ENDPOINT_LIMITS, type EndpointContent, type EndpointSettings } from './endpoint.model.js';
import type { EndpointChanges, EndpointService } from './endpoint.service.js';
import type { PayloadTemplate } from './payload-template.model.js';
import { PAYLOAD_TEMPLATE_NAMES } from './payload-templates.js';

export interface EndpointsCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withEndpoints<T>(use: (endpoints: EndpointService) => Promise<T>): Promise<T>;
}

interface Options {
  readonly json?: true;
}

interface Flags extends Options, ChangeFilterFlags {
  readonly url?: string;
  readonly urlFile?: string;
  readonly headersFile?: string;
  readonly identifiers?: readonly string[];
  readonly traits?: readonly string[];
  readonly features?: readonly string[];
  readonly pii?: boolean;
  readonly template?: string;
  readonly templateFile?: string;
  readonly timeout?: number;
  readonly concurrency?: number;
  readonly attempts?: number;
  readonly from?: string;
}

const HELP = `
An endpoint is told by HTTP POST who entered or left segments, as Standard Webhooks has it: at least once, in order for each
profile, signed. A URL that proves who may send is better read from a file than typed. docs/webhooks-out.md has bodies,
templates, how a receiver checks signatures, and what happens when it is down.

Examples:
  weft endpoints create crm --url https://crm.example.com/hooks/weft --segments cart_abandoned --identifiers email --pii
  weft endpoints create zap --url-file zap-url.txt --template zapier --traits plan --except-causes edit
  weft endpoints create hub --url https://api.hubapi.com/crm/v3/objects/contacts/batch/upsert --template hubspot \\
    --headers-file hubspot-headers.json --identifiers email --pii
  weft endpoints test crm
  weft endpoints show crm
  weft endpoints undelivered crm
  weft endpoints replay crm

Exit codes: 0 done, 1 failed (no such endpoint, or a test that was not taken), 2 wrong use, 130 interrupted.`;

const SHOWN = 100;

/** `weft endpoints create|update|list|show|test|pause|resume|rotate-secret|undelivered|replay|discard|remove`. */
export function endpointsCommand(deps: EndpointsCommandDeps): Command {
  const command = new Command('endpoints')
    .description('tell other programs by webhooks who entered or left segments')
    .addHelpText('after', HELP);
  withFlags(onEndpoint(command, 'create', 'make an endpoint; its signing secret is shown once'))
    .option('--from <cursor>', 'begin behind this change of the feed; default: now')
    .action((key: string, flags: Flags) => runCommand(deps, () => create(deps, key, flags)));
  withFlags(onEndpoint(command, 'update', 'change an endpoint; what is left out stays'))
    .option('--no-pii', 'mask personal data from now on')
    .action((key: string, flags: Flags) => runCommand(deps, () => update(deps, key, flags)));
  withJson(command.command('list').description('all endpoints, and how they stand')).action((options: Options) =>
    runCommand(deps, () => list(deps, options)),
  );
  onEndpoint(command, 'show', 'one endpoint').action((key: string, options: Options) =>
    runCommand(deps, () => shown(deps, options, (endpoints) => endpoints.demand(key))),
  );
  onEndpoint(command, 'test', 'send a request that is no change, and say what came of it').action((key: string) =>
    runCommand(deps, () => test(deps, key)),
  );
  onEndpoint(command, 'pause', 'send nothing until it is resumed').action((key: string, options: Options) =>
    runCommand(deps, () => shown(deps, options, (endpoints) => endpoints.pause(key))),
  );
  onEndpoint(command, 'resume', 'go on where it was; what waits to be tried again is tried at once').action(
    (key: string, options: Options) =>
      runCommand(deps, () => shown(deps, options, (endpoints) => endpoints.resume(key))),
  );
  onEndpoint(command, 'rotate-secret', 'make a new signing secret; requests are signed by both for a while')
    .addOption(
      new Option('--overlap <duration>', 'how long by both').argParser(parseDuration).default(86_400_000, '24h'),
    )
    .action((key: string, { overlap }: { overlap: number }) => runCommand(deps, () => rotate(deps, key, overlap)));
  onEndpoint(command, 'undelivered', `changes that were tried in vain, the first ${String(SHOWN)}`).action(
    (key: string, options: Options) => runCommand(deps, () => undelivered(deps, key, options)),
  );
  withChanges(onEndpoint(command, 'replay', 'try changes again that were given up')).action(
    (key: string, cursors: readonly string[]) =>
      runCommand(deps, () => counted(deps, 'Tried again', (endpoints) => endpoints.replay(key, seqsOf(cursors)))),
  );
  withChanges(onEndpoint(command, 'discard', 'give changes up for good that were tried in vain')).action(
    (key: string, cursors: readonly string[]) =>
      runCommand(deps, () => counted(deps, 'Discarded', (endpoints) => endpoints.discard(key, seqsOf(cursors)))),
  );
  onEndpoint(command, 'remove', 'remove it, with what has yet to be delivered to it').action((key: string) =>
    runCommand(deps, () =>
      deps.withEndpoints(async (endpoints) => {
        await endpoints.remove(key);
        deps.stdout.write(`Removed ${key}.\n`);
        return EXIT_CODES.ok;
      }),
    ),
  );
  return command;
}

function onEndpoint(command: Command, name: string, description: string): Command {
  return withJson(
    command
      .command(name)
      .argument('<key>', name === 'create' ? 'what it is to be called' : 'key of the endpoint')
      .description(description),
  );
}

function withJson(command: Command): Command {
  return command.option('--json', 'as JSON');
}

function withChanges(command: Command): Command {
  return command.argument('[cursors...]', 'cursors of the changes, as undelivered shows them; default: all');
}

function withFlags(command: Command): Command {
  const { maxTimeoutMs, maxConcurrency, maxAttempts } = ENDPOINT_LIMITS;
  command
    .option('--url <url>', 'where requests go')
    .option('--url-file <file>', 'the same, in a file')
    .option('--headers-file <file>', 'headers to be sent, such as authorization, as a JSON object');
  return withFilterFlags(command)
    .option('--identifiers <namespaces>', 'send identifiers, as email,user_id', parseList)
    .option('--traits <names>', 'send traits, as plan,city', parseList)
    .option('--features <names>', 'send features, as orders_30d', parseList)
    .option('--pii', 'send personal data as it is; without it, masked')
    .addOption(new Option('--template <name>', 'form of the body').choices(PAYLOAD_TEMPLATE_NAMES))
    .option('--template-file <file>', 'a template of your own, as JSON')
    .option('--timeout <duration>', `for an answer, at most ${String(maxTimeoutMs / 1_000)}s`, parseDuration)
    .option('--concurrency <n>', `requests at once, at most ${String(maxConcurrency)}`, parseCount)
    .option('--attempts <n>', `of a change, at most ${String(maxAttempts)}`, parseCount);
}

async function create(deps: EndpointsCommandDeps, key: string, flags: Flags): Promise<number> {
  const { url, headers, filter, content, settings } = await readFlags(flags);
  if (url === undefined) {
    throw new WeftError('BAD_REQUEST', 'an endpoint needs a URL', { where: '--url', hint: 'give --url or --url-file' });
  }
  const after = flags.from === undefined ? null : CHANGE_CURSOR.decode(flags.from, '--from').seq;
  return deps.withEndpoints(async (endpoints) => {
    const made = await endpoints.create({
      ...{ key, url, after, headers: headers ?? {} },
      filter: { ...ALL_CHANGES, ...filter },
      content: { ...NO_CONTENT, ...content },
      settings: { ...DEFAULTS, ...settings },
    });
    if (flags.json === true) deps.stdout.write(jsonText({ ...endpointJson(made.endpoint), secret: made.secret }));
    else {
      deps.stdout.write(`${endpointText(made.endpoint)}${made.secret}\n`);
      deps.stderr.write('This is its signing secret, which is shown only now: give it to the receiver.\n');
    }
    return EXIT_CODES.ok;
  });
}

async function update(deps: EndpointsCommandDeps, key: string, flags: Flags): Promise<number> {
  const { url, headers, filter, content, settings } = await readFlags(flags);
  return shown(deps, flags, async (endpoints) => {
    const former = await endpoints.demand(key);
    const changes: EndpointChanges = {
      ...(url === undefined ? {} : { url }),
      ...(headers === undefined ? {} : { headers }),
      ...(filter === undefined ? {} : { filter: { ...former.filter, ...filter } }),
      ...(content === undefined ? {} : { content: { ...former.content, ...content } }),
      ...(settings === undefined ? {} : { settings: { ...former.settings, ...settings } }),
    };
    return endpoints.update(key, changes);
  });
}

const NO_CONTENT: EndpointContent = { identifiers: [], traits: [], features: [], pii: false, template: null };
const DEFAULTS: EndpointSettings = {
  timeoutMs: ENDPOINT_LIMITS.defaultTimeoutMs,
  concurrency: ENDPOINT_LIMITS.defaultConcurrency,
  maxAttempts: ENDPOINT_LIMITS.defaultAttempts,
};

interface Given {
  readonly url: string | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly filter: Partial<ChangeFilterSpec> | undefined;
  readonly content: Partial<EndpointContent> | undefined;
  readonly settings: Partial<EndpointSettings> | undefined;
}

async function readFlags(flags: Flags): Promise<Given> {
  if (flags.url !== undefined && flags.urlFile !== undefined) {
    throw new WeftError('BAD_REQUEST', 'two URLs are given', { where: '--url-file', hint: 'use --url or --url-file' });
  }
  const { segments, kind, causes, exceptCauses, purposes, identifiers, traits, features, pii } = flags;
  const { timeout: timeoutMs, concurrency, attempts: maxAttempts, templateFile } = flags;
  const template =
    templateFile === undefined
      ? flags.template
      : ((await readJson(templateFile, '--template-file')) as unknown as PayloadTemplate);
  return {
    url: flags.urlFile === undefined ? flags.url : (await readText(flags.urlFile, 'the URL')).trim(),
    headers: flags.headersFile === undefined ? undefined : textsOf(await readJson(flags.headersFile, '--headers-file')),
    filter: given({ segments, kind, causes, exceptCauses, purposes }),
    content: given({ identifiers, traits, features, pii, template }),
    settings: given({ timeoutMs, concurrency, maxAttempts }),
  };
}

/** What is given of these; undefined: nothing. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } | undefined {
  const known = Object.entries(values).filter(([, value]) => value !== undefined);
  return known.length === 0 ? undefined : (Object.fromEntries(known) as { [K in keyof T]?: Exclude<T[K], undefined> });
}

async function list(deps: EndpointsCommandDeps, { json }: Options): Promise<number> {
  return deps.withEndpoints(async (endpoints) => {
    const all = await endpoints.page(null, ENDPOINT_LIMITS.maxEndpoints);
    if (json === true) deps.stdout.write(jsonText(all.map(endpointJson)));
    else if (all.length === 0) deps.stdout.write('There are no endpoints yet; weft endpoints create makes them.\n');
    else deps.stdout.write(textTable(endpointTable(all)));
    return EXIT_CODES.ok;
  });
}

async function shown(
  deps: EndpointsCommandDeps,
  { json }: Options,
  made: (endpoints: EndpointService) => ReturnType<EndpointService['demand']>,
): Promise<number> {
  return deps.withEndpoints(async (endpoints) => {
    const endpoint = await made(endpoints);
    deps.stdout.write(json === true ? jsonText(endpointJson(endpoint)) : endpointText(endpoint));
    return EXIT_CODES.ok;
  });
}

async function test(deps: EndpointsCommandDeps, key: string): Promise<number> {
  return deps.withEndpoints(async (endpoints) => {
    const outcome = await endpoints.test(key);
    deps.stdout.write(`${outcomeText(outcome)}\n`);
    return outcome.kind === 'delivered' ? EXIT_CODES.ok : EXIT_CODES.failed;
  });
}

async function rotate(deps: EndpointsCommandDeps, key: string, overlapMs: number): Promise<number> {
  return deps.withEndpoints(async (endpoints) => {
    deps.stdout.write(`${await endpoints.rotateSecret(key, overlapMs)}\n`);
    deps.stderr.write('This is the new signing secret, which is shown only now.\n');
    return EXIT_CODES.ok;
  });
}

async function undelivered(deps: EndpointsCommandDeps, key: string, { json }: Options): Promise<number> {
  return deps.withEndpoints(async (endpoints) => {
    const found = await endpoints.undelivered(key, 0, SHOWN);
    if (json === true) deps.stdout.write(jsonText(found.map(undeliveredJson)));
    else if (found.length === 0) deps.stdout.write('Everything that was tried is delivered.\n');
    else deps.stdout.write(textTable(undeliveredTable(found)));
    return EXIT_CODES.ok;
  });
}

async function counted(
  deps: EndpointsCommandDeps,
  done: string,
  change: (endpoints: EndpointService) => Promise<number>,
): Promise<number> {
  return deps.withEndpoints(async (endpoints) => {
    deps.stdout.write(`${done}: ${String(await change(endpoints))} changes.\n`);
    return EXIT_CODES.ok;
  });
}

function seqsOf(cursors: readonly string[]): number[] | null {
  return cursors.length === 0 ? null : cursors.map((cursor) => CHANGE_CURSOR.decode(cursor, 'cursors').seq);
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw unreadableFile(what, path, error);
  }
}

async function readJson(path: string, where: string): Promise<object> {
  const text = await readText(path, where);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // It is told below; the text of the error may have some of the file in it.
  }
  throw new WeftError('BAD_REQUEST', 'the file has no JSON object', { where, hint: 'write { "name": "value" }' });
}

function textsOf(value: object): Readonly<Record<string, string>> {
  if (Object.values(value).every((each) => typeof each === 'string')) return value as Readonly<Record<string, string>>;
  throw new WeftError('BAD_REQUEST', 'headers are texts', {
    where: '--headers-file',
    hint: 'write { "name": "value" }',
  });
}

function parseDuration(text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function parseCount(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number.');
}
