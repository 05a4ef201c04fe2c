import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { createServer } from 'node:net';
import { WeftError } from '../platform/errors.js';
import { makeFolder } from '../platform/make-folder.js';
import type { Queryable } from '../platform/postgres.js';

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

export async function checkDataDir(dataDir: string): Promise<CheckResult> {
  const name = 'data folder';
  try {
    await makeFolder(dataDir);
    await access(dataDir, constants.W_OK);
    return { name, outcome: 'ok', detail: dataDir };
  } catch {
    return {
      name,
      outcome: 'failed',
      detail: `${dataDir} cannot be written`,
      hint: 'Set WEFT_DATA_DIR to a folder that this user may write.',
    };
  }
}

export async function checkPort(host: string, port: number): Promise<CheckResult> {
  const name = `port ${String(port)}`;
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve({
        name,
        outcome: 'warning',
        detail: 'is taken; that is as it should be while Weft runs here',
        hint: 'Otherwise set WEFT_PORT to a free one.',
      });
    });
    server.listen(port, host, () => {
      server.close(() => {
        resolve({ name, outcome: 'ok', detail: 'is free' });
      });
    });
  });
}

/** Runs a check of which any failure is the finding. */
export async function checkBy(name: string, check: () => Promise<string>): Promise<CheckResult> {
  try {
    return { name, outcome: 'ok', detail: await check() };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const hint = error instanceof WeftError ? error.hint : undefined;
    return { name, outcome: 'failed', detail, ...(hint === undefined ? {} : { hint }) };
  }
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
    `SELECT (SELECT pos FROM log_head) AS head, min(applied_pos) AS applied, count(holder)::int4 AS holders,
            count(*)::int4 AS partitions FROM partitions`,
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
    `SELECT stage, code, count(*)::int4 AS count FROM dead_letters GROUP BY stage, code ORDER BY count DESC LIMIT 5`,
  );
  const name = 'dead letters';
  if (rows.length === 0) return { name, outcome: 'ok', detail: 'none' };
  const detail = rows.map((row) => `${String(row.count)} ${row.stage} ${row.code}`).join(', ');
  const outcome = rows.some((row) => row.stage === 'apply') ? 'warning' : 'ok';
  return { name, outcome, detail };
}
