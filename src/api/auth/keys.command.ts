import { Command, InvalidArgumentError, Option } from 'commander';
import { durationMs } from '../../platform/duration.js';
import type { Clock } from '../../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../../platform/command-line.js';
import { WeftError } from '../../platform/errors.js';
import { nameHint, nearestName } from '../../platform/near-names.js';
import { isRatePerSecond, RATE_HINT } from '../../platform/rate-limiter.js';
import { API_SCOPES, isUsable, type ApiKey, type ApiScope } from './api-key.model.js';
import type { ApiKeyService, CreatedKey } from './api-key.service.js';

export interface KeysCommandServices {
  readonly keys: Pick<ApiKeyService, 'changeOrigins' | 'create' | 'list' | 'revoke' | 'rotate' | 'signingSecret'>;
  /** Keys of sources, by id. */
  readonly sourceKeys: () => Promise<ReadonlyMap<number, string>>;
  /** The id of the source with this key, created as a source of tracking calls if it is not there. */
  readonly ensureSource: (key: string) => Promise<number>;
}

export interface KeysCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withKeys<T>(use: (services: KeysCommandServices) => Promise<T>): Promise<T>;
  readonly clock: Clock;
}

interface Options {
  readonly json?: true;
}

interface CreateOptions extends Options {
  readonly name: string;
  readonly scope: readonly ApiScope[];
  readonly source?: string;
  readonly origin?: readonly string[];
  readonly rate?: number;
  readonly expiresIn?: number;
}

interface OriginsOptions extends Options {
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
}

const DAY_MS = 86_400_000;

const HELP = `
Scopes: read asks, ingest sends events of one source, edge may be in a browser and asks for what pages may show, admin
does everything. Only a hash of a key is kept: it is shown once, when it is made. With an edge key comes a signing secret,
which stays on the site's server; weft keys signing-secret shows it again.

Examples:
  weft keys create --scope read --name "shop website"
  weft keys create --scope ingest --source web --name "web tracking"
  weft keys create --scope edge --origin https://shop.example --rate 50 --name "shop pages"
  weft keys origins weft_e_x7Kp --add https://www.shop.example
  weft keys signing-secret weft_e_x7Kp
  weft keys rotate weft_r_x7Kp --overlap 24h
  weft keys revoke weft_r_x7Kp

Exit codes: 0 done, 1 failed (no such key), 2 wrong use.`;

/** `weft keys create|list|origins|rotate|signing-secret|revoke`. */
export function keysCommand(deps: KeysCommandDeps): Command {
  const command = new Command('keys').description('make, list and revoke API keys').addHelpText('after', HELP);
  command
    .command('create')
    .description('make a key and show it, this once')
    .requiredOption('-n, --name <name>', 'whose key it is, for people')
    .addOption(
      new Option('-s, --scope <scopes>', `${API_SCOPES.join(', ')}; several with commas`)
        .makeOptionMandatory()
        .argParser(parseScopes),
    )
    .option('--source <key>', 'the source that events sent with the key belong to; created if it is not there')
    .option('--origin <origins...>', 'pages that may ask by an edge key, as in https://shop.example; * for all')
    .addOption(new Option('--rate <n>', 'requests, or events, a second in the long run').argParser(parseRate))
    .addOption(new Option('--expires-in <duration>', 'such as 90d; default: never').argParser(parseDuration))
    .option('--json', 'the key as JSON')
    .action((options: CreateOptions) => runCommand(deps, () => create(deps, options)));
  command
    .command('list')
    .description('all keys, without their secrets')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  command
    .command('rotate')
    .argument('<key>', 'its id, or the first characters that weft keys list shows')
    .description('make a key with the same rights in the place of another, which ends after the overlap')
    .addOption(
      new Option('--overlap <duration>', 'for how long both are valid, at most 90d')
        .argParser(parseDuration)
        .default(DAY_MS, '24h'),
    )
    .option('--json', 'the new key as JSON')
    .action((which: string, options: Options & { readonly overlap: number }) =>
      runCommand(deps, () => rotate(deps, which, options)),
    );
  command
    .command('origins')
    .argument('<key>', 'its id, or the first characters that weft keys list shows')
    .description('show or change which pages may ask by an edge key; other processes know within 10 s')
    .option('--add <origins...>', 'as in https://shop.example; * for all')
    .option('--remove <origins...>', 'those that may no more')
    .option('--json', 'the key as JSON')
    .action((which: string, options: OriginsOptions) => runCommand(deps, () => origins(deps, which, options)));
  command
    .command('signing-secret')
    .argument('<key>', 'its id, or the first characters that weft keys list shows')
    .description("show what a site's server signs identifiers with, for an edge key")
    .option('--json', 'as JSON')
    .action((which: string, options: Options) => runCommand(deps, () => showSigningSecret(deps, which, options)));
  command
    .command('revoke')
    .argument('<key>', 'its id, or the first characters that weft keys list shows')
    .description('end a key; every process knows within 10 s')
    .action((which: string) => runCommand(deps, () => revoke(deps, which)));
  return command;
}

async function create(deps: KeysCommandDeps, options: CreateOptions): Promise<number> {
  const { name, scope, source, origin, rate, expiresIn } = options;
  if (scope.includes('ingest') && source === undefined) {
    throw new WeftError('BAD_REQUEST', 'a key that sends events needs a source', {
      where: '--source',
      hint: 'name the source that they belong to, as in --source web',
    });
  }
  return deps.withKeys(async ({ keys, sourceKeys, ensureSource }) => {
    const sources = [...(await sourceKeys()).values()];
    const isNew = source !== undefined && !sources.includes(source);
    const near = isNew ? nearestName(source, sources) : undefined;
    const created = await keys.create({
      name,
      scopes: scope,
      ...(source === undefined ? undefined : { sourceId: await ensureSource(source) }),
      ...(origin === undefined ? undefined : { origins: origin }),
      ...(rate === undefined ? undefined : { ratePerSecond: rate }),
      ...(expiresIn === undefined ? undefined : { expiresAt: deps.clock.now() + expiresIn }),
    });
    const of =
      source === undefined
        ? ''
        : `, of the source ${source}${isNew ? `, which is new${near === undefined ? '' : `; did you mean ${near}?`}` : ''}`;
    showCreated(deps, created, source, options, of);
    if (scope.includes('edge') && origin === undefined) {
      deps.stderr.write('It names no origin, so only servers can use it; for pages make one with --origin.\n');
    }
    return EXIT_CODES.ok;
  });
}

async function rotate(
  deps: KeysCommandDeps,
  which: string,
  options: Options & { readonly overlap: number },
): Promise<number> {
  return deps.withKeys(async ({ keys, sourceKeys }) => {
    const old = find(which, await keys.list(), deps.clock.now());
    const created = await keys.rotate(old.id, options.overlap);
    const source = old.sourceId === null ? undefined : (await sourceKeys()).get(old.sourceId);
    const endsAt = Math.min(old.expiresAt ?? Infinity, deps.clock.now() + options.overlap);
    showCreated(deps, created, source, options, `, in the place of ${old.prefix}, which ends ${timeText(endsAt)}`);
    return EXIT_CODES.ok;
  });
}

/** Secrets alone go to standard output, so that a script can read them. */
function showCreated(
  { clock, stdout, stderr }: KeysCommandDeps,
  { key, secret, signingSecret }: CreatedKey,
  source: string | undefined,
  { json }: Options,
  details: string,
): void {
  if (json === true) {
    stdout.write(jsonText({ ...toJson(key, source, clock.now()), secret, signingSecret }));
    return;
  }
  stderr.write(`Key for ${key.name} with scope ${key.scopes.join(', ')}${details}. It is shown this once:\n`);
  stdout.write(`${secret}\n`);
  if (signingSecret !== null) stderr.write(`Its signing secret, for the site's server only: ${signingSecret}\n`);
}

async function origins(deps: KeysCommandDeps, which: string, options: OriginsOptions): Promise<number> {
  const { add = [], remove = [], json } = options;
  return deps.withKeys(async ({ keys }) => {
    const found = find(which, await keys.list(), deps.clock.now());
    const isChange = add.length + remove.length > 0;
    const key = isChange ? await keys.changeOrigins(found.id, { add, remove }) : found;
    if (json === true) deps.stdout.write(jsonText(toJson(key, undefined, deps.clock.now())));
    else deps.stdout.write(key.origins.map((origin) => `${origin}\n`).join(''));
    if (!key.scopes.includes('edge')) deps.stderr.write(`${key.prefix} is no edge key: only those name origins.\n`);
    else if (key.origins.length === 0) {
      deps.stderr.write(`${key.prefix} names no origin: only servers can use it.\n`);
    }
    return EXIT_CODES.ok;
  });
}

async function showSigningSecret(deps: KeysCommandDeps, which: string, options: Options): Promise<number> {
  return deps.withKeys(async ({ keys }) => {
    const { id } = find(which, await keys.list(), deps.clock.now());
    const signingSecret = await keys.signingSecret(id);
    deps.stdout.write(options.json === true ? jsonText({ id, signingSecret }) : `${signingSecret}\n`);
    return EXIT_CODES.ok;
  });
}

async function list(deps: KeysCommandDeps, options: Options): Promise<number> {
  return deps.withKeys(async ({ keys, sourceKeys }) => {
    const all = await keys.list();
    const sources = await sourceKeys();
    const sourceOf = ({ sourceId }: ApiKey) => (sourceId === null ? undefined : sources.get(sourceId));
    const now = deps.clock.now();
    if (options.json === true) {
      deps.stdout.write(jsonText(all.map((key) => toJson(key, sourceOf(key), now))));
    } else if (all.length === 0) {
      deps.stdout.write('There are no keys yet; weft keys create makes them.\n');
    } else {
      const rows = all.map((key) => [
        key.prefix,
        key.scopes.join(','),
        sourceOf(key) ?? '',
        stateOf(key, now),
        key.lastUsedAt === null ? 'never' : timeText(key.lastUsedAt),
        key.name,
      ]);
      deps.stdout.write(textTable([['prefix', 'scopes', 'source', 'state', 'last used', 'name'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

async function revoke(deps: KeysCommandDeps, which: string): Promise<number> {
  return deps.withKeys(async ({ keys }) => {
    const key = find(which, await keys.list(), deps.clock.now());
    await keys.revoke(key.id);
    deps.stdout.write(`Key ${key.prefix} (${key.name}) is revoked.\n`);
    return EXIT_CODES.ok;
  });
}

/** The one key in use with this id or prefix. */
function find(which: string, all: readonly ApiKey[], nowMs: number): ApiKey {
  const usable = all.filter((key) => isUsable(key, nowMs));
  const [key, ...others] = usable.filter(({ id, prefix }) => id === which || prefix === which);
  if (key !== undefined && others.length === 0) return key;
  if (key !== undefined) {
    throw new WeftError('CONFLICT', `several keys begin with ${which}`, {
      hint: 'name it by its id; weft keys list --json shows them',
    });
  }
  const prefixes = usable.map(({ prefix }) => prefix);
  throw new WeftError('NOT_FOUND', 'there is no such key in use', {
    hint: nameHint(which, prefixes, 'weft keys list shows all of them'),
  });
}

function stateOf(key: ApiKey, nowMs: number): string {
  if (key.revokedAt !== null && key.revokedAt <= nowMs) return 'revoked';
  if (!isUsable(key, nowMs)) return 'expired';
  return key.expiresAt === null ? 'in use' : `until ${timeText(key.expiresAt)}`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}

function toJson(key: ApiKey, source: string | undefined, nowMs: number): Record<string, unknown> {
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return {
    id: key.id,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    source: source ?? null,
    origins: key.origins,
    ratePerSecond: key.ratePerSecond,
    rotatedFrom: key.rotatedFrom,
    usable: isUsable(key, nowMs),
    createdAt: time(key.createdAt),
    expiresAt: time(key.expiresAt),
    revokedAt: time(key.revokedAt),
    lastUsedAt: time(key.lastUsedAt),
  };
}

function parseScopes(text: string): ApiScope[] {
  return text.split(',').map((name) => {
    const scope = API_SCOPES.find((each) => each === name.trim());
    if (scope === undefined) throw new InvalidArgumentError(`Scopes are ${API_SCOPES.join(', ')}.`);
    return scope;
  });
}

function parseRate(text: string): number {
  const rate = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (isRatePerSecond(rate)) return rate;
  throw new InvalidArgumentError(`To be a rate: ${RATE_HINT}.`);
}

function parseDuration(text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError('Write a duration such as 90d or 12h.');
  }
}
