import { createHash, createHmac } from 'node:crypto';

export const AUDIT_KINDS = ['access', 'change'] as const;
/** `access`: personal data was shown. `change`: somebody administered something, or tried to. */
export type AuditKind = (typeof AUDIT_KINDS)[number];

export const ACTOR_KINDS = ['key', 'person', 'user', 'weft'] as const;
/** By an API key, with a token, on the command line, or Weft itself. */
export type ActorKind = (typeof ACTOR_KINDS)[number];

/** Who did it. */
export interface AuditActor {
  readonly kind: ActorKind;
  /** Of the key; `oidc:` and a hash of the subject; the name of the user. */
  readonly id: string;
  /** For people. */
  readonly name: string;
}

/** What happened; never what the data said. */
export interface AuditEvent {
  readonly kind: AuditKind;
  readonly actor: AuditActor;
  /** `Query.profile`, `Mutation.eraseProfile`, `GET /exports/profiles`, `weft keys create`. */
  readonly operation: string;
  /** Fields that were asked for, as `Profile.traits`. */
  readonly fields: readonly string[];
  /** Ids and keys of what was seen or changed: of profiles, sources, keys, …; at most {@link MAX_TARGETS}. */
  readonly targets: readonly string[];
  /** How often, where alike events are gathered. */
  readonly count: number;
  /** `OK`, `MASKED`, or the code of an error. */
  readonly outcome: string;
}

/** An event in its place in the log. */
export interface AuditEntry extends AuditEvent {
  /** From 1 without gaps. */
  readonly seq: number;
  /** ms */
  readonly at: number;
}

export interface StoredAuditEntry extends AuditEntry {
  readonly isKeyed: boolean;
  /** 32 bytes. */
  readonly hash: Buffer;
}

export const MAX_TARGETS = 100;

export const WEFT: AuditActor = { kind: 'weft', id: 'weft', name: 'Weft' };

/** What the first entry is chained to. */
export const GENESIS = Buffer.alloc(32);

/** What the installation's secret derives the key of the chain for. */
export const CHAIN_PURPOSE = 'audit-log';

/** Written by the retention: the chain goes on behind `seq:` and `hash:`, its targets. */
export const EXPIRY_OPERATION = 'audit log expiry';

/**
 * The hash of an entry: of the hash before it and of everything in it, as a JSON list in this order. Whoever changes,
 * removes or inserts one breaks the chain from there on.
 * @param key 32 bytes, for HMAC-SHA-256: without it nobody can make a chain that holds. Null: SHA-256
 */
export function chainHash(key: Buffer | null, before: Buffer, entry: AuditEntry): Buffer {
  const { seq, at, kind, actor, operation, fields, targets, count, outcome } = entry;
  const said = JSON.stringify([
    seq,
    at,
    kind,
    actor.kind,
    actor.id,
    actor.name,
    operation,
    fields,
    targets,
    count,
    outcome,
  ]);
  const hash = key === null ? createHash('sha256') : createHmac('sha256', key);
  return hash.update(before).update(said).digest();
}

/** The place of an entry, to be noted elsewhere: `1042:9f86d081…`. */
export function placeText({ seq, hash }: Pick<StoredAuditEntry, 'seq' | 'hash'>): string {
  return `${String(seq)}:${hash.toString('hex')}`;
}

/** Null for what {@link placeText} did not write. */
export function parsePlace(text: string): { seq: number; hash: Buffer } | null {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  return seq === undefined || hash === undefined ? null : { seq: Number(seq), hash: Buffer.from(hash, 'hex') };
}
