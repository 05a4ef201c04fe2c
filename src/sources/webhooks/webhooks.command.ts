import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { Command, InvalidArgumentError, Option } from 'commander';
import { durationMs } from '../../platform/duration.js';
import type { Clock } from '../../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../../platform/command-line.js';
import { WeftError } from '../../platform/errors.js';
import { unreadableFile } from '../../platform/file-errors.js';
import { formatInstant } from '../../platform/instant.js';
import { readSecret, type SecretOptions } from './read-secret.js';
import { WEBHOOK_ADAPTERS, type HmacOptions, type WebhookAdapterKey, type WebhookOptions } from './webhook.model.js';
import type { ReplayDoors, ReplayMode } from './replay-deliveries.js';
import { detailsJson, detailsText, interruptedText, pathOf, replayText } from './webhook-report.js';
import type { WebhookService } from './webhook.service.js';

export interface WebhooksCommandServices {
  readonly webhooks: WebhookService;
  readonly doors: ReplayDoors;
}

export interface WebhooksCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withWebhooks<T>(use: (services: WebhooksCommandServices) => Promise<T>): Promise<T>;
  /** The same, and makes the database if there is none. */
  withNewDatabase<T>(use: (services: WebhooksCommandServices) => Promise<T>): Promise<T>;
  /** The same, and events that are accepted are applied. */
  withReplay<T>(use: (services: WebhooksCommandServices) => Promise<T>): Promise<T>;
  readonly stdin: Readable;
  readonly clock: Clock;
  /** ISO 8601 to ms; NaN for what is none. */
  readonly parseTime: (text: string) => number;
  readonly signal: AbortSignal;
}

interface Options {
  readonly json?: true;
}

interface OptionFlags {
  readonly keepMessages?: boolean;
  readonly mapping?: string;
  readonly items?: string;
  readonly textProperty?: string;
  readonly privateText?: true;
}

interface HmacFlags {
  readonly signatureHeader?: string;
  readonly signatureAlgorithm: string;
  readonly signatureEncoding: 'hex' | 'base64';
  readonly signaturePrefix: string;
  readonly timestampHeader?: string;
  readonly signedContent?: string;
  readonly tolerance: number;
}

interface CreateOptions extends Options, OptionFlags, HmacFlags, SecretOptions {
  readonly adapter: WebhookAdapterKey;
  readonly verifyTokenFile?: string;
}

const HELP = `
A webhook is a source to which a network or another program delivers: POST /v1/webhooks/<key>. Secrets are read from a
file or from standard input, kept sealed, and never shown. docs/social.md says how to set up each network.

Examples:
  weft webhooks create facebook --adapter meta --secret-file app-secret.txt
  weft webhooks create tickets --adapter zendesk --secret-stdin < signing-secret.txt
  weft webhooks create reviews --adapter json --mapping reviews.yaml --secret-file s.txt --signature-header x-signature
  weft webhooks rotate-secret facebook --secret-file new.txt --overlap 24h
  weft webhooks update reviews --mapping mended.yaml
  weft webhooks replay reviews --since 3d --dry-run

Exit codes: 0 done, 1 failed (no such webhook), 2 wrong use, 130 interrupted.`;

/** `weft webhooks create|list|show|update|rotate-secret|replay`. */
export function webhooksCommand(deps: WebhooksCommandDeps): Command {
  const command = new Command('webhooks')
    .description('take in what social networks, helpdesks and other programs deliver')
    .addHelpText('after', HELP);
  addCreate(command, deps);
  command
    .command('list')
    .description('all webhooks')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  onWebhook(command, 'show')
    .description('one webhook, its secrets by age only, and what it delivered within the last 7 days')
    .option('--json', 'as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => show(deps, key, options)));
  withOptions(onWebhook(command, 'update'))
    .description('change a webhook; what is left out stays')
    .option('--no-keep-messages', 'drop what messages say from now on')
    .action((key: string, options: OptionFlags) => runCommand(deps, () => update(deps, key, options)));
  withSecret(onWebhook(command, 'rotate-secret'))
    .description('set a new secret; the one before is valid beside it for a while')
    .option('--verify-token', 'the token of the handshake instead (meta)')
    .addOption(
      new Option('--overlap <duration>', 'how long both are valid').argParser(parseDuration).default(86_400_000, '24h'),
    )
    .action((key: string, options: RotateOptions) => runCommand(deps, () => rotate(deps, key, options)));
  onWebhook(command, 'replay')
    .description(
      'map what was delivered anew, as after a mapping was mended; without --replace it adds what is missing',
    )
    .addOption(
      new Option('--since <duration|time>', 'how far back, at most 7d, or from when on (ISO 8601)')
        .argParser((text) => parseSince(text, deps))
        .makeOptionMandatory(),
    )
    .option('--replace', 'take the events of these deliveries back first, so that all are as they are mapped now')
    .option('--dry-run', 'write nothing; events that are in the log already are not told apart')
    .option('--json', 'the counts as JSON')
    .action((key: string, options: ReplayOptions) => runCommand(deps, () => replay(deps, key, options), deps.signal));
  return command;
}

function addCreate(command: Command, deps: WebhooksCommandDeps): void {
  const create = onWebhook(command, 'create')
    .description('make a webhook, and its source if it is not there')
    .addOption(new Option('--adapter <adapter>', 'who delivers').choices(WEBHOOK_ADAPTERS).makeOptionMandatory());
  withOptions(withSecret(create))
    .option('--verify-token-file <file>', 'meta: the token of the handshake; made and shown if it is left out')
    .option('--signature-header <name>', 'json: the header with the signature; without it a write key is asked for')
    .option('--signature-algorithm <name>', 'json: sha256 or sha512', 'sha256')
    .addOption(new Option('--signature-encoding <name>', 'json').choices(['hex', 'base64']).default('hex'))
    .option('--signature-prefix <text>', 'json: what stands before the signature, as sha256=', '')
    .option('--timestamp-header <name>', 'json: the header that says when it was signed')
    .option('--signed-content <text>', 'json: what is signed; {body}, or {timestamp}.{body} with a time')
    .addOption(
      new Option('--tolerance <duration>', 'json: greatest age of a signature')
        .argParser(parseDuration)
        .default(300_000, '5m'),
    )
    .option('--json', 'as JSON')
    .action((key: string, options: CreateOptions) => runCommand(deps, () => make(deps, key, options)));
}

function onWebhook(command: Command, name: string): Command {
  return command.command(name).argument('<key>', 'the key of its source');
}

function withSecret(command: Command): Command {
  return command
    .option('--secret-file <file>', 'the secret that deliveries are signed with, as a file')
    .option('--secret-stdin', 'the same, from standard input');
}

function withOptions(command: Command): Command {
  return command
    .option('--keep-messages', 'keep what direct messages and tickets say, for admins to see')
    .option('--mapping <file>', 'json: the mapping file, as for weft load')
    .option('--items <path>', 'json: where the list is in the body, as data.events')
    .option('--text-property <name>', 'json: the property whose language and sentiment are added')
    .option('--private-text', 'json: that property is a private message');
}

// --- actions --------------------------------------------------------------------------------------------------------

async function make(deps: WebhooksCommandDeps, key: string, options: CreateOptions): Promise<number> {
  const { adapter, verifyTokenFile } = options;
  const secret = await readSecret(options, deps.stdin);
  const verifyToken =
    verifyTokenFile === undefined ? undefined : await readSecret({ secretFile: verifyTokenFile }, deps.stdin);
  const changes = await optionsOf(options);
  const hmac = adapter === 'json' ? hmacOf(options) : undefined;
  return deps.withNewDatabase(async ({ webhooks }) => {
    const created = await webhooks.create({
      key,
      adapter,
      options: { keepMessages: false, ...changes, ...(hmac === undefined ? {} : { hmac }) },
      ...(secret === undefined ? {} : { secret }),
      ...(verifyToken === undefined ? {} : { verifyToken }),
    });
    if (options.json === true) {
      deps.stdout.write(jsonText({ key, adapter, path: pathOf(key), verifyToken: created.verifyToken }));
      return EXIT_CODES.ok;
    }
    deps.stdout.write(`${pathOf(key)}\n`);
    deps.stderr.write(`Webhook ${key} is ready: give the sender this path at the public address of the server.\n`);
    if (created.verifyToken !== null) {
      deps.stderr.write(`Its verify token, shown this once: ${created.verifyToken}\n`);
    }
    return EXIT_CODES.ok;
  });
}

async function list(deps: WebhooksCommandDeps, options: Options): Promise<number> {
  return deps.withWebhooks(async ({ webhooks }) => {
    const all = await webhooks.list();
    if (options.json === true) {
      const items = all.map(({ key, adapter, options: { keepMessages }, createdAt, interruptedDeliveries }) => ({
        key,
        adapter,
        path: pathOf(key),
        keepMessages,
        createdAt: formatInstant(createdAt),
        interruptedDeliveries,
      }));
      deps.stdout.write(jsonText(items));
    } else if (all.length === 0) {
      deps.stdout.write('There are no webhooks yet; weft webhooks create makes them.\n');
    } else {
      const rows = all.map(({ key, adapter, options: { keepMessages } }) => [
        key,
        adapter,
        keepMessages ? 'kept' : 'not kept',
        pathOf(key),
      ]);
      deps.stdout.write(textTable([['key', 'adapter', 'messages', 'path'], ...rows]));
      for (const { key, interruptedDeliveries: count } of all) {
        if (count > 0) deps.stdout.write(`${key}: ${interruptedText(key, count)}\n`);
      }
    }
    return EXIT_CODES.ok;
  });
}

async function show(deps: WebhooksCommandDeps, key: string, options: Options): Promise<number> {
  return deps.withWebhooks(async ({ webhooks }) => {
    const found = await webhooks.details(key);
    deps.stdout.write(options.json === true ? jsonText(detailsJson(found)) : detailsText(found));
    return EXIT_CODES.ok;
  });
}

async function update(deps: WebhooksCommandDeps, key: string, options: OptionFlags): Promise<number> {
  const changes = await optionsOf(options);
  if (Object.keys(changes).length === 0) {
    throw new WeftError('BAD_REQUEST', 'nothing is to be changed', { where: 'options', hint: 'name an option' });
  }
  return deps.withWebhooks(async ({ webhooks }) => {
    await webhooks.update(key, changes);
    deps.stdout.write(`Webhook ${key} is changed; running servers know within 5 s.\n`);
    return EXIT_CODES.ok;
  });
}

interface RotateOptions extends SecretOptions {
  readonly verifyToken?: true;
  readonly overlap: number;
}

async function rotate(deps: WebhooksCommandDeps, key: string, options: RotateOptions): Promise<number> {
  const secret = (await readSecret(options, deps.stdin)) ?? '';
  return deps.withWebhooks(async ({ webhooks }) => {
    const purpose = options.verifyToken === true ? 'verify' : 'signing';
    await webhooks.rotateSecret(key, purpose, secret, options.overlap);
    const until = formatInstant(deps.clock.now() + options.overlap);
    deps.stdout.write(`Webhook ${key} has a new secret; the one before it is valid until ${until}.\n`);
    return EXIT_CODES.ok;
  });
}

interface ReplayOptions extends Options {
  /** An instant, ms: the same for all of a replay, however long it takes. */
  readonly since: number;
  readonly replace?: true;
  readonly dryRun?: true;
}

async function replay(deps: WebhooksCommandDeps, key: string, options: ReplayOptions): Promise<number> {
  const mode: ReplayMode = options.dryRun === true ? 'check' : options.replace === true ? 'replace' : 'add';
  const { since: sinceMs } = options;
  const use = async ({ webhooks, doors }: WebhooksCommandServices): Promise<number> => {
    if (mode === 'replace') {
      deps.stderr.write(
        `Stopped anywhere, it is gone on with by --since ${formatInstant(sinceMs)}, and nothing is lost.\n`,
      );
    }
    const counts = await webhooks.replay(key, { mode, sinceMs, doors, signal: deps.signal });
    deps.stdout.write(options.json === true ? jsonText(counts) : replayText(key, counts, mode));
    return EXIT_CODES.ok;
  };
  return mode === 'check' ? deps.withWebhooks(use) : deps.withReplay(use);
}

// --- input and output -----------------------------------------------------------------------------------------------

async function optionsOf(flags: OptionFlags): Promise<Partial<WebhookOptions>> {
  const { keepMessages, mapping, items, textProperty, privateText } = flags;
  return {
    ...(keepMessages === undefined ? {} : { keepMessages }),
    ...(mapping === undefined ? {} : { mapping: await readText(mapping) }),
    ...(items === undefined ? {} : { items }),
    ...(textProperty === undefined ? {} : { textProperty }),
    ...(privateText === undefined ? {} : { isPrivate: true }),
  };
}

function hmacOf(flags: HmacFlags): HmacOptions | null {
  const { signatureHeader, timestampHeader, signedContent } = flags;
  if (signatureHeader === undefined) return null;
  return {
    header: signatureHeader,
    // Checked with all other options, with what to use instead.
    algorithm: flags.signatureAlgorithm as HmacOptions['algorithm'],
    encoding: flags.signatureEncoding,
    prefix: flags.signaturePrefix,
    timestampHeader: timestampHeader ?? null,
    signedContent: signedContent ?? (timestampHeader === undefined ? '{body}' : '{timestamp}.{body}'),
    toleranceS: Math.round(flags.tolerance / 1_000),
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw unreadableFile('the mapping', path, error);
  }
}

function parseSince(text: string, { clock, parseTime }: WebhooksCommandDeps): number {
  const ms = parseTime(text);
  return Number.isNaN(ms) ? clock.now() - parseDuration(text) : ms;
}

function parseDuration(text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError('Write a duration such as 3d or 12h.');
  }
}
