import { CHAIN_PURPOSE } from './audit/audit-entry.model.js';
import { AuditLogStore } from './audit/audit-log.store.js';
import { AuditRecorder } from './audit/audit-recorder.js';
import type { Clock } from './platform/clock.js';
import { NO_SECRET, type InstallationSecret } from './platform/installation-secret.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Metrics } from './platform/metrics.js';
import { Periodic } from './platform/periodic.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';

const EXPIRE_EVERY_MS = 60 * 60_000;

export interface AuditParts {
  readonly lifecycle: Lifecycle;
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  readonly metrics: Metrics;
  readonly log: RepeatedLog;
  /** How long entries are kept, ms; 0: for ever. */
  readonly retentionMs: number;
}

export interface Audit {
  readonly recorder: AuditRecorder;
  /** From now on entries go when their time is over. */
  expireInTime(): Promise<void>;
}

/** Null where the installation has no secret: the chain then shows mistakes, but not intent. */
export function auditChainKey(secret: InstallationSecret): Buffer | null {
  return secret === NO_SECRET ? null : secret.derive(CHAIN_PURPOSE);
}

/** Starts what notes who sees and changes what. */
export async function startAudit(parts: AuditParts): Promise<Audit> {
  const { lifecycle, db, clock, secret, metrics, log, retentionMs } = parts;
  const store = new AuditLogStore(db, clock, auditChainKey(secret));
  const lost = metrics.counter('audit_events_lost_total', 'Accesses and changes that the audit log does not have.');
  const recorder = await lifecycle.start(
    'audit log',
    () => {
      const made = new AuditRecorder({
        store,
        clock,
        onError: (error) => {
          log.warn(error, 'the audit log could not be written; it is tried again');
        },
        onLost: (events) => {
          lost.add(events);
        },
      });
      made.start();
      return made;
    },
    { drain: (made) => made.stop() },
  );
  return {
    recorder,
    expireInTime: async () => {
      if (retentionMs === 0) return;
      await lifecycle.start('expiry of the audit log', () => startExpiry(store, parts), {
        drain: (periodic) => periodic.stop(),
      });
    },
  };
}

function startExpiry(store: AuditLogStore, { clock, log, retentionMs }: AuditParts): Periodic {
  const expire = async (): Promise<void> => {
    while ((await store.expire(clock.now() - retentionMs)) > 0);
  };
  const periodic = new Periodic(expire, EXPIRE_EVERY_MS, (error) => {
    log.warn(error, 'old entries of the audit log could not be removed; it is tried again');
  });
  periodic.start();
  void periodic.run();
  return periodic;
}
