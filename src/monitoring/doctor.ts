import { access, mkdtemp, rmdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { LIVE_WORKERS } from '../events/live-worker.reader.js';
import { MAX_KNOWN_VALUES } from '../identity/generic-value.model.js';
import { WeftError } from '../platform/errors.js';
import { errnoOf } from '../platform/file-lock.js';
import { listenError } from '../platform/listen-error.js';
import type { Clock } from '../platform/clock.js';
import { isStandingSecret, type InstallationSecret } from '../platform/installation-secret.js';
import type { Queryable } from '../platform/postgres.js';
import { PARITY_DAY_MS } from './feature-parity.model.js';
import { clockProblems, readClocks } from './clock-difference.js';

export type CheckOutcome = 'ok' | 'warning' | 'failed';

export interface CheckResult {
  readonly name: string;
  readonly outcome: CheckOutcome;
  readonly detail: string;
  /** What to do about it; absent where nothing is to be done. */
  readonly hint?: string;
}

const MIN_NODE = [20, 19] as const;

export function checkNode(version: string): CheckResult {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isOldEnough = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  const name = 'Node.js';
  if (isOldEnough) return { name, outcome: 'ok', detail: version };
  return { name, outcome: 'failed', detail: `${version} is too old`, hint: `Install ${MIN_NODE.join('.')} or newer.` };
}

/** Leaves nothing behind: whether a folder can be written is tried with one that is removed at once. */
export async function checkDataDir(dataDir: string): Promise<CheckResult> {
  const name = 'data folder';
  const hint = 'Set WEFT_DATA_DIR to a folder that this user may write.';
  try {
    const standing = await nearestFolder(dataDir);
    await rmdir(await mkdtemp(join(standing, '.weft-doctor-')));
    return { name, outcome: 'ok', detail: standing === dataDir ? dataDir : `${dataDir}, not made yet` };
  } catch (error) {
    const isFile = ['ENOTDIR', 'EEXIST'].includes(errnoOf(error));
    return { name, outcome: 'failed', detail: `${dataDir} ${isFile ? 'is no folder' : 'cannot be written'}`, hint };
  }
}

/** The folder itself, or the nearest one above it that exists. */
async function nearestFolder(path: string): Promise<string> {
  try {
    await access(join(path, '.'));
    return path;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    return nearestFolder(dirname(path));
  }
}

/** Asks what answers at an address: the version of a Weft, or null for anything else. */
export type AskForWeft = (host: string, port: number) => Promise<string | null>;

/** Whether the server could listen there, or does so already. */
export async function checkAddress(host: string, port: number, ask: AskForWeft = askForWeft): Promise<CheckResult> {
  const name = 'address';
  const address = port === 0 ? host : `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
  const refusal = await tryToListen(host, port);
  if (refusal === null) {
    return { name, outcome: 'ok', detail: port === 0 ? `${host}, any free port` : `${address} is free` };
  }
  const version = errnoOf(refusal) === 'EADDRINUSE' ? await ask(host, port) : null;
  if (version !== null) return { name, outcome: 'ok', detail: `${address}: Weft ${version} is running here` };
  const { message, where = '', hint = '' } = listenError(refusal, host, port);
  return { name, outcome: 'failed', detail: `${message} (${where})`, hint };
}

function tryToListen(host: string, port: number): Promise<unknown> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen(port, host, () => {
      server.close(() => {
        resolve(null);
      });
    });
  });
}

const ASK_TIMEOUT_MS = 2_000;
/** What stands for all addresses of a machine is no address to connect to. */
const REACHABLE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

async function askForWeft(host: string, port: number): Promise<string | null> {
  const reachable = REACHABLE[host] ?? host;
  const authority = `${reachable.includes(':') ? `[${reachable}]` : reachable}:${String(port)}`;
  try {
    const response = await fetch(`http://${authority}/healthz`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    });
    const answer = (await response.json()) as { name?: unknown; version?: unknown } | null;
    return answer?.name === 'weft' && typeof answer.version === 'string' ? answer.version : null;
  } catch {
    return null;
  }
}

/** Runs a check of which any failure is the finding. */
export async function checkBy(name: string, check: () => Promise<string>): Promise<CheckResult> {
  try {
    return { name, outcome: 'ok', detail: await check() };
  } catch (error) {
    return failedBy(name, error);
  }
}

export function failedBy(name: string, error: unknown): CheckResult {
  if (!(error instanceof WeftError)) {
    return { name, outcome: 'failed', detail: error instanceof Error ? error.message : String(error) };
  }
  const { message, where, hint } = error;
  const detail = where === undefined ? message : `${message} (${where})`;
  return { name, outcome: 'failed', detail, ...(hint === undefined ? {} : { hint }) };
}

/** @see Database.migrationState */
export function checkMigrations({
  pending,
  unknown,
}: {
  pending: readonly string[];
  unknown: readonly string[];
}): CheckResult {
  const name = 'migrations';
  if (unknown.length > 0) {
    const hint = 'Run the newer Weft that made them.';
    return { name, outcome: 'failed', detail: `this program does not know ${unknown.join(', ')}`, hint };
  }
  if (pending.length === 0) return { name, outcome: 'ok', detail: 'all have run' };
  return { name, outcome: 'warning', detail: `pending: ${pending.join(', ')}`, hint: '`weft serve` runs them.' };
}

interface LogState {
  head: number;
  applied: number;
  holders: number;
  partitions: number;
}

/** How far the log is applied and whether anybody applies it. */
export async function checkLog(db: Queryable): Promise<CheckResult> {
  const [state] = await db.query<LogState>(
    `SELECT (SELECT pos FROM log_head) AS head, min(applied_pos) AS applied,
            count(*) FILTER (WHERE holder IN (${LIVE_WORKERS}))::int4 AS holders, count(*)::int4 AS partitions FROM partitions`,
  );
  const name = 'event log';
  if (state === undefined)
    return { name, outcome: 'failed', detail: 'is empty of partitions', hint: 'Run the migrations.' };
  const lag = state.head - state.applied;
  const detail = `${String(state.head)} positions, ${String(lag)} not yet applied`;
  if (lag === 0 || state.holders > 0) return { name, outcome: 'ok', detail };
  return { name, outcome: 'warning', detail: `${detail}, no worker`, hint: 'Start `weft serve` or `weft worker`.' };
}

export async function checkDeadLetters(db: Queryable): Promise<CheckResult> {
  const rows = await db.query<{ stage: string; code: string; count: number }>(
    `SELECT stage, code, count(*)::int4 AS count FROM dead_letters WHERE state = 'open' GROUP BY stage, code ORDER BY count DESC LIMIT 5`,
  );
  const name = 'dead letters';
  if (rows.length === 0) return { name, outcome: 'ok', detail: 'none' };
  const detail = rows.map((row) => `${String(row.count)} ${row.stage} ${row.code}`).join(', ');
  const outcome = rows.some((row) => row.stage === 'apply') ? 'warning' : 'ok';
  return { name, outcome, detail };
}

/** Whether what is to be taken back is, or was given up. */
export async function checkRetractions(db: Queryable): Promise<CheckResult> {
  const name = 'reverts';
  const rows = await db.query<{ load: string | null; reason: string | null }>(
    `SELECT r.load_id AS load, r.reason FROM retractions r WHERE r.status = 'failed' AND (r.load_id IS NOT NULL OR EXISTS (
       SELECT FROM retracted_events t JOIN event_log e ON e.pos = t.pos WHERE t.retraction_id = r.id))
     ORDER BY r.created_at LIMIT 5`,
  );
  if (rows.length === 0) return { name, outcome: 'ok', detail: 'none failed' };
  const detail = rows
    .map(({ load, reason }) => `${load === null ? 'of a webhook replay' : `load ${load}`}: ${reason ?? 'failed'}`)
    .join('; ');
  const hint = 'Remove the cause, then run `weft load revert` or the replay again.';
  return { name, outcome: 'warning', detail, hint };
}

/** Whether what was to change who is who is done, or was given up; as of the newest of each kind. */
export async function checkRevisions(db: Queryable): Promise<CheckResult> {
  const name = 'identities';
  const rows = await db.query<{ id: string; kind: string; code: string | null; message: string | null }>(
    `SELECT r.id, r.kind, r.failure ->> 'code' AS code, r.failure ->> 'message' AS message FROM identity_revisions r
     WHERE r.status = 'failed' AND NOT (r.kind = 'rules' AND EXISTS (
       SELECT FROM identity_revisions n WHERE n.kind = 'rules' AND n.status = 'done' AND n.created_at > r.created_at))
       AND NOT (r.kind = 'generic' AND EXISTS (
       SELECT FROM identity_revisions n WHERE n.kind = 'generic' AND n.status = 'done' AND n.created_at > r.created_at
         AND n.input -> 'ids' = r.input -> 'ids'))
       AND r.failure ->> 'code' NOT IN ('NOT_FOUND', 'CONFLICT', 'BAD_REQUEST', 'PAYLOAD_TOO_LARGE')
     ORDER BY r.created_at DESC LIMIT 5`,
  );
  if (rows.length === 0) return { name, outcome: 'ok', detail: 'no revision failed' };
  const detail = rows.map(({ id, kind, code, message }) => `${kind} ${id}: ${code ?? ''} ${message ?? ''}`).join('; ');
  const hint =
    "The worker's log says why. Remove the cause, then ask for it again: `weft identity reresolve` for rules.";
  return { name, outcome: 'warning', detail, hint };
}

/** Whether components are contested that are not resolved by the way. */
export async function checkContested(db: Queryable): Promise<CheckResult> {
  const name = 'contested';
  const [row] = await db.query<{ all: number; beyond: number; failing: number; failure: string | null }>(
    `SELECT count(*) AS all, count(*) FILTER (WHERE is_beyond) AS beyond, count(*) FILTER (WHERE failures > 0) AS failing,
            min(failure) AS failure FROM contested_components`,
  );
  const { all = 0, beyond = 0, failing = 0, failure = null } = row ?? {};
  if (beyond === 0 && failing === 0) {
    return { name, outcome: 'ok', detail: all === 0 ? 'none' : `${String(all)} components, resolved by the way` };
  }
  const reason = failure === null ? '' : ` (${failure})`;
  return {
    name,
    outcome: 'warning',
    detail: `${String(all)} components: ${String(beyond)} have too much evidence, ${String(failing)} fail${reason}`,
    hint: 'Block the values that many people share, or lower the limits of their namespaces.',
  };
}

/** Whether there are more values that count for nobody, or did until lately, than processes know, or some whose events are not moved. */
export async function checkSharedValues(db: Queryable, bound = MAX_KNOWN_VALUES): Promise<CheckResult> {
  const name = 'shared values';
  const [row] = await db.query<{ all: number; generic: number; put_off: number }>(
    `SELECT count(*) AS all, count(*) FILTER (WHERE is_generic) AS generic,
            count(*) FILTER (WHERE is_stale AND look_at > 0) AS put_off FROM generic_values`,
  );
  const { all = 0, generic = 0, put_off: putOff = 0 } = row ?? {};
  const detail = `${String(generic)} count for nobody, ${String(all - generic)} did`;
  if (putOff > 0) {
    return {
      name,
      outcome: 'warning',
      detail: `${detail}: moving the events of ${String(putOff)} was given up, and is tried again within an hour`,
      hint: "The worker's log says why. Until then decisions wait that concern whom these events name.",
    };
  }
  if (all <= bound) return { name, outcome: 'ok', detail };
  return {
    name,
    outcome: 'warning',
    detail: `${detail}: ${String(all - bound)} more than are known at once`,
    hint: 'Events of processes that lag behind may not be moved to values that count again. They are forgotten a day after.',
  };
}

/** Whether events of webhooks are missing because a replay that took them back was interrupted. */
export async function checkReplays(db: Queryable): Promise<CheckResult> {
  const name = 'webhook replays';
  const rows = await db.query<{ key: string; count: number }>(
    `SELECT s.key, count(*) AS count FROM webhook_deliveries d JOIN sources s ON s.id = d.source_id
     WHERE d.taken_back_by IS NOT NULL GROUP BY s.key ORDER BY s.key LIMIT 5`,
  );
  if (rows.length === 0) return { name, outcome: 'ok', detail: 'none interrupted' };
  const detail = `interrupted; deliveries that wait: ${rows.map(({ key, count }) => `${key} ${String(count)}`).join(', ')}`;
  return {
    name,
    outcome: 'warning',
    detail,
    hint: 'Run `weft webhooks replay <key> --since 1h`, unless one is running.',
  };
}

/** Whether the sources send what they use to, as of the last look of a worker. */
export function checkSources(db: Queryable): Promise<CheckResult> {
  return checkUnusual(db, {
    name: 'sources',
    usual: 'send what they use to',
    open: 'source_anomalies a JOIN sources s ON s.id = a.source_id',
    hint: 'Look at Source.activity and Source.anomalies in GraphQL, and at what sends to them.',
  });
}

/** Whether as many people enter and leave segments as use to, as of the last look of a worker. */
export function checkSegments(db: Queryable): Promise<CheckResult> {
  return checkUnusual(db, {
    name: 'segments',
    usual: 'change as they use to',
    open: 'segment_alerts a JOIN segments s ON s.id = a.segment_id',
    hint: 'Look at weft segment history and weft segment stability, and at what its condition reads.',
  });
}

interface UnusualCheck {
  readonly name: string;
  /** What is said where nothing is unusual. */
  readonly usual: string;
  /** Tables of what is unusual, `a`, and of whose it is, `s`. */
  readonly open: string;
  readonly hint: string;
}

async function checkUnusual(db: Queryable, { name, usual, open, hint }: UnusualCheck): Promise<CheckResult> {
  const rows = await db.query<{ key: string; kind: string; since: number }>(
    `SELECT s.key, a.kind, a.since FROM ${open} WHERE a.ended_at IS NULL ORDER BY a.since LIMIT 5`,
  );
  if (rows.length === 0) return { name, outcome: 'ok', detail: usual };
  const detail = rows
    .map(({ key, kind, since }) => `${key}: ${kind} since ${new Date(since).toISOString()}`)
    .join(', ');
  return { name, outcome: 'warning', detail, hint };
}

/** Whether there is something to tell where addresses are, if any source asks for that. */
export async function checkLocations(db: Queryable): Promise<CheckResult> {
  const name = 'places';
  const rows = await db.query<{ key: string }>(
    `SELECT key FROM sources WHERE enrichment -> 'facts' ? 'location' ORDER BY key LIMIT 5`,
  );
  if (rows.length === 0) return { name, outcome: 'ok', detail: 'no source asks where its events come from' };
  const detail = `no database tells where addresses are, which is asked for by ${rows.map(({ key }) => key).join(', ')}`;
  return { name, outcome: 'warning', detail, hint: 'Set WEFT_GEO_DATABASE to an mmdb file, or ask for it no more.' };
}

/** Whether values of features are as expected, as of the last look of a worker. */
export async function checkExpectations(db: Queryable): Promise<CheckResult> {
  const name = 'expectations';
  const rows = await db.query<{ feature: string; kind: string; value: number; bound: number; since: number }>(
    `SELECT feature, kind, value, bound, since FROM feature_alerts WHERE ended_at IS NULL ORDER BY since LIMIT 5`,
  );
  const missing = await db.query<{ against: string }>(
    `SELECT DISTINCT e.value ->> 'against' AS against FROM feature_views v, jsonb_each(v.definition -> 'expect') e
     WHERE e.value ? 'against' AND NOT EXISTS (SELECT FROM feature_references r WHERE r.name = e.value ->> 'against')
     ORDER BY 1 LIMIT 5`,
  );
  if (rows.length === 0 && missing.length > 0) {
    const names = missing.map(({ against }) => against).join(', ');
    const detail = `views expect features to be as in training sets that are not registered: ${names}`;
    return { name, outcome: 'warning', detail, hint: 'Register them: `weft features reference set <manifest>`.' };
  }
  if (rows.length === 0) return { name, outcome: 'ok', detail: 'features meet those that there are' };
  const detail = rows
    .map(({ feature, kind, value, bound, since }) => {
      const found = `${kind} is ${String(Number(value.toPrecision(4)))}, expected ${String(bound)}`;
      return `${feature}: ${found}, since ${new Date(since).toISOString()}`;
    })
    .join('; ');
  return { name, outcome: 'warning', detail, hint: 'Look at them by `weft features stats`.' };
}

/** Whether served features were what the log gives, wherever that was looked at within a week. */
export async function checkParity(db: Queryable, nowMs: number): Promise<CheckResult> {
  const name = 'features';
  const rows = await db.query<{ feature: string; wrong: number; compared: number }>(
    `SELECT feature, sum(mismatched + missing)::int8 AS wrong, sum(compared)::int8 AS compared FROM feature_parity
     WHERE day >= $1::int8 GROUP BY feature ORDER BY wrong DESC, feature LIMIT 5`,
    [nowMs - 7 * PARITY_DAY_MS],
  );
  const wrong = rows.filter((row) => row.wrong > 0);
  if (rows.length === 0) return { name, outcome: 'ok', detail: 'not compared with the log yet' };
  if (wrong.length === 0) return { name, outcome: 'ok', detail: 'served as the log gives them' };
  const detail = wrong
    .map((row) => `${row.feature}: ${String(row.wrong)} of ${String(row.compared)} values`)
    .join(', ');
  return {
    name,
    outcome: 'warning',
    detail: `not what the log gives: ${detail}`,
    hint: 'Run `weft features parity`, with `--entity <name>` for items, which says whose.',
  };
}

/** Whether values of sealed traits can be sealed and opened. @param secret null: there is none */
export async function checkSealedTraits(db: Queryable, secret: InstallationSecret | null): Promise<CheckResult> {
  const name = 'sealed traits';
  const rows = await db.query<{ trait: string }>(
    `SELECT name AS trait FROM trait_definitions WHERE sealed
     UNION SELECT unnest(resealed) FROM trait_rule_changes WHERE finished_at IS NULL ORDER BY 1 LIMIT 5`,
  );
  const traits = rows.map(({ trait }) => trait).join(', ');
  if (traits === '') return { name, outcome: 'ok', detail: 'none' };
  const hint =
    'Give all processes the secret that the traits were sealed with: WEFT_SECRET, or the file secret in WEFT_DATA_DIR. Without it what brings these traits is not applied, and their values cannot be read.';
  if (secret === null) return { name, outcome: 'failed', detail: `there is no secret for ${traits}`, hint };
  const isOurs = await isStandingSecret(db, secret);
  if (!isOurs) return { name, outcome: 'failed', detail: `this is not the secret for ${traits}`, hint };
  return { name, outcome: 'ok', detail: `the secret for ${traits} is there` };
}

/** Whether the clocks of this machine, of the database and of the log agree; to the minute, which is what matters. */
export async function checkClocks(db: Queryable, clock: Clock): Promise<CheckResult> {
  const name = 'clock';
  const problems = clockProblems(await readClocks(db, clock));
  if (problems.length === 0) return { name, outcome: 'ok', detail: "agrees with the database's" };
  return { name, outcome: 'warning', detail: problems.join('; '), hint: 'Let a time server set the clocks.' };
}
