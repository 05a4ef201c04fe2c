import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import { newId } from '../../platform/ids.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import type { Database } from '../../platform/postgres.js';
import type { SourceService } from '../source.service.js';
import { checkWebhookOptions } from './check-webhook-options.js';
import { secretPurpose } from './open-webhook.js';
import { replayDeliveries, type DeliveryReplay, type ReplayCounts } from './replay-deliveries.js';
import { withReplayLock } from './replay-lock.js';
import type { WebhookDeliveryStore, DeliverySummary } from './webhook-delivery.store.js';
import type { WebhookReceiver } from './webhook-receiver.js';
import {
  WEBHOOK_LIMITS,
  type SecretPurpose,
  type Webhook,
  type WebhookAdapterKey,
  type WebhookOptions,
} from './webhook.model.js';
import type { ListedWebhook, SealedSecret, StoredWebhook, WebhookStore } from './webhook.store.js';

const VERIFY_TOKEN_BYTES = 24;
const REPLAY_PAGE = 100;
const MAX_OVERLAP_MS = 30 * 24 * 60 * 60 * 1_000;

export interface WebhookServiceDependencies {
  readonly db: Pick<Database, 'session'>;
  readonly store: WebhookStore;
  readonly deliveries: WebhookDeliveryStore;
  readonly sources: Pick<SourceService, 'ensure'>;
  readonly receiver: WebhookReceiver;
  readonly secret: InstallationSecret;
  readonly clock: Clock;
  readonly randomBytes: (count: number) => Buffer;
  readonly onSweptEarly: (deliveries: number) => void;
  /** Deliveries that are replayed together; default 100. */
  readonly replayPageSize?: number;
}

export interface NewWebhook {
  readonly key: string;
  readonly adapter: WebhookAdapterKey;
  readonly options: WebhookOptions;
  /** What the sender signs with; absent only for `json` without a signature. */
  readonly secret?: string;
  /** `meta`: what the handshake names; made where it is absent. */
  readonly verifyToken?: string;
}

export interface CreatedWebhook {
  readonly webhook: Webhook;
  /** `meta`: what to tell the network; null where the caller knows it, or there is none. */
  readonly verifyToken: string | null;
}

export interface WebhookDetails {
  readonly webhook: Webhook;
  readonly secrets: readonly Pick<SealedSecret, 'purpose' | 'createdAt' | 'expiresAt'>[];
  /** Of the deliveries that are still kept. */
  readonly kept: DeliverySummary;
}

export type ReplayRequest = Pick<DeliveryReplay, 'mode' | 'sinceMs' | 'doors'> & { readonly signal?: AbortSignal };

/** Use cases of whoever runs webhooks. Secrets come in and never go out. */
export class WebhookService {
  constructor(private readonly deps: WebhookServiceDependencies) {}

  /** @throws WeftError BAD_REQUEST, DEFINITION_INVALID, CONFLICT (key is taken), CONFIG_INVALID (nothing to seal with) */
  async create(input: NewWebhook): Promise<CreatedWebhook> {
    const { key, adapter } = input;
    const { store, sources, clock } = this.deps;
    const options = checkWebhookOptions(key, adapter, input.options);
    const needsSecret = adapter !== 'json' || options.hmac != null;
    if (needsSecret) checkSecret(input.secret);
    const isMade = adapter === 'meta' && input.verifyToken === undefined;
    const verifyToken = isMade ? this.deps.randomBytes(VERIFY_TOKEN_BYTES).toString('base64url') : input.verifyToken;
    // Before anything is written: sealing may be impossible.
    this.#seal(0, 'signing', '');
    const source = await sources.ensure({ key, kind: 'webhook' });
    const createdAt = clock.now();
    const webhook: Webhook = { sourceId: source.id, key, adapter, options, createdAt };
    const secrets: SealedSecret[] = [];
    if (needsSecret && input.secret !== undefined) secrets.push(this.#seal(source.id, 'signing', input.secret));
    if (adapter === 'meta' && verifyToken !== undefined) secrets.push(this.#seal(source.id, 'verify', verifyToken));
    if (!(await store.insert(webhook, secrets))) {
      throw new WeftError('CONFLICT', `the webhook ${key} exists already`, {
        where: 'key',
        hint: 'choose another key, or change the one that is there with weft webhooks update or rotate-secret',
      });
    }
    this.deps.receiver.forget(key);
    return { webhook, verifyToken: isMade ? (verifyToken ?? null) : null };
  }

  /** All, by key. */
  async list(): Promise<ListedWebhook[]> {
    return this.deps.store.page(null, null);
  }

  /** By key, those after one. */
  async page(afterKey: string | null, limit: number): Promise<ListedWebhook[]> {
    return this.deps.store.page(afterKey, limit);
  }

  /** @throws WeftError NOT_FOUND */
  async details(key: string): Promise<WebhookDetails> {
    const { secrets, ...webhook } = await this.#find(key);
    const now = this.deps.clock.now();
    return {
      webhook,
      secrets: secrets
        .filter(({ expiresAt }) => expiresAt === null || expiresAt > now)
        .map(({ purpose, createdAt, expiresAt }) => ({ purpose, createdAt, expiresAt })),
      kept: await this.deps.deliveries.summary(webhook.sourceId),
    };
  }

  /** Changes the options that are given. @throws WeftError NOT_FOUND, BAD_REQUEST, DEFINITION_INVALID */
  async update(key: string, changes: Partial<WebhookOptions>): Promise<Webhook> {
    const { secrets: _, ...webhook } = await this.#find(key);
    const options = checkWebhookOptions(key, webhook.adapter, { ...webhook.options, ...changes });
    if ((webhook.options.hmac ?? null) === null && (options.hmac ?? null) !== null) {
      throw new WeftError('BAD_REQUEST', 'this webhook has no secret to check signatures with', {
        where: 'hmac',
        hint: 'make another webhook, with a secret',
      });
    }
    await this.deps.store.setOptions(webhook.sourceId, options);
    this.deps.receiver.forget(key);
    return { ...webhook, options };
  }

  /**
   * Sets a new secret; the one in force is valid beside it for `overlapMs`, so that the sender can be told in peace.
   * @throws WeftError NOT_FOUND, BAD_REQUEST
   */
  async rotateSecret(key: string, purpose: SecretPurpose, secret: string, overlapMs: number): Promise<void> {
    checkSecret(secret);
    if (!Number.isSafeInteger(overlapMs) || overlapMs < 0 || overlapMs > MAX_OVERLAP_MS) {
      throw new WeftError('BAD_REQUEST', 'the overlap is too long', { where: 'overlap', hint: 'use at most 30d' });
    }
    const { sourceId, adapter, options } = await this.#find(key);
    const hasPurpose = purpose === 'verify' ? adapter === 'meta' : adapter !== 'json' || options.hmac != null;
    if (!hasPurpose) {
      throw new WeftError('BAD_REQUEST', `the webhook ${key} has no such secret`, {
        where: 'key',
        hint: purpose === 'verify' ? 'only the adapter meta has a verify token' : 'its deliveries carry a write key',
      });
    }
    const sealed = this.#seal(sourceId, purpose, secret);
    await this.deps.store.replaceSecret(sourceId, sealed, sealed.createdAt + overlapMs);
    this.deps.receiver.forget(key);
  }

  /**
   * Maps what was delivered since then anew, and hands it to the log as history; first of all, whenever it came, what a
   * replay was at that was interrupted. One at a time of a webhook.
   * @throws WeftError NOT_FOUND; CONFLICT where another replay of it is under way
   */
  async replay(key: string, { mode, sinceMs, doors, signal }: ReplayRequest): Promise<ReplayCounts> {
    const { db, deliveries, receiver, secret, clock, replayPageSize: pageSize = REPLAY_PAGE } = this.deps;
    const webhook = await this.#find(key);
    const run = async (ended: AbortSignal | undefined): Promise<ReplayCounts> => {
      receiver.forget(key);
      const hook = await receiver.open(key);
      if (hook === null) throw noWebhook(key);
      const replay = { hook, mode, sinceMs, doors, replayId: newId(clock.now()), signal: ended };
      return replayDeliveries(replay, { deliveries, receiver, secret, pageSize });
    };
    if (mode === 'check') return run(signal);
    return withReplayLock(db, webhook, (lost) => run(signal === undefined ? lost : AbortSignal.any([signal, lost])));
  }

  /** Deletes what is kept too long, and the oldest of what is too much. */
  async sweep(): Promise<void> {
    const { store, deliveries, clock } = this.deps;
    const now = clock.now();
    await store.deleteExpiredSecrets(now);
    while ((await deliveries.sweepOld(now - WEBHOOK_LIMITS.keepDeliveriesMs)) > 0);
    for (;;) {
      const tooMany = await deliveries.sweepLarge(WEBHOOK_LIMITS.maxKeptBytes);
      if (tooMany === 0) return;
      this.deps.onSweptEarly(tooMany);
    }
  }

  async #find(key: string): Promise<StoredWebhook> {
    const found = await this.deps.store.find(key);
    if (found !== null) return found;
    throw noWebhook(key);
  }

  #seal(sourceId: number, purpose: SecretPurpose, text: string): SealedSecret {
    const sealed = this.deps.secret.seal(secretPurpose(sourceId, purpose), Buffer.from(text));
    return { purpose, sealed, createdAt: this.deps.clock.now(), expiresAt: null };
  }
}

function noWebhook(key: string): WeftError {
  return new WeftError('NOT_FOUND', `there is no webhook ${key.slice(0, 100)}`, {
    where: 'key',
    hint: 'weft webhooks list shows all of them',
  });
}

const MIN_SECRET_LENGTH = 8;

function checkSecret(secret: string | undefined): void {
  const { maxSecretBytes } = WEBHOOK_LIMITS;
  if (secret === undefined || secret === '') {
    throw new WeftError('BAD_REQUEST', 'a webhook needs the secret that its sender signs with', {
      where: 'secret',
      hint: 'give it in a file or on standard input, never on the command line',
    });
  }
  if (secret.length >= MIN_SECRET_LENGTH && Buffer.byteLength(secret) <= maxSecretBytes) return;
  throw new WeftError('BAD_REQUEST', 'the secret is too short or too long', {
    where: 'secret',
    hint: `use ${String(MIN_SECRET_LENGTH)} characters to ${String(maxSecretBytes)} bytes`,
  });
}
