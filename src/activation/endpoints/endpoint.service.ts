import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import { isKey } from '../../platform/key.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import { formatInstant } from '../../platform/instant.js';
import { nameHint } from '../../platform/near-names.js';
import type { Database } from '../../platform/postgres.js';
import { ChangeFeedReader } from '../change-feed.reader.js';
import type { ChangeFilterSpec } from '../change-filter.model.js';
import { ChangeFilterReader } from '../change-filter.reader.js';
import type { AddressGuard } from './address-guard.js';
import { checkContent, checkEndpointKey, checkSettings, checkTarget } from './check-endpoint.js';
import type { AttemptOutcome } from './delivery-attempt.model.js';
import type { EndpointClient } from './endpoint-client.js';
import { openTarget, sealSigningSecret, sealTarget, signingSecrets } from './endpoint-secrets.js';
import {
  ENDPOINT_LIMITS,
  type Endpoint,
  type EndpointBacklog,
  type EndpointContent,
  type EndpointSettings,
  type EndpointTarget,
  type FailedDelivery,
} from './endpoint.model.js';
import { EndpointStore, type StoredEndpoint } from './endpoint.store.js';
import { signDelivery, SIGNING_SECRET_BYTES, signingSecretText } from './sign-delivery.js';

export interface EndpointServiceDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  readonly guard: AddressGuard;
  readonly randomBytes: (count: number) => Buffer;
  /** For a request that is no change. */
  readonly clientOf: (target: EndpointTarget) => Pick<EndpointClient, 'post' | 'close'>;
  /** Called when something may be sent now. */
  readonly onChanged: () => void;
}

export interface NewEndpoint extends EndpointTarget {
  readonly key: string;
  readonly filter: ChangeFilterSpec;
  readonly content: EndpointContent;
  readonly settings: EndpointSettings;
  /** Position behind which it begins; null: now. */
  readonly after: number | null;
}

/** An endpoint with what has yet to be delivered, and how many positions of the feed it is behind. */
export interface ListedEndpoint extends Endpoint, EndpointBacklog {
  readonly behind: number;
}

/** What is changed of an endpoint; what is left out stays. */
export type EndpointChanges = Partial<Pick<NewEndpoint, 'url' | 'headers' | 'filter' | 'content' | 'settings'>>;

/** Use cases of whoever runs webhook endpoints. A signing secret is told once, when it is made. */
export class EndpointService {
  readonly #store: EndpointStore;
  readonly #feed: ChangeFeedReader;
  readonly #filters: ChangeFilterReader;

  constructor(private readonly deps: EndpointServiceDependencies) {
    this.#store = new EndpointStore(deps.db);
    this.#feed = new ChangeFeedReader(deps.db);
    this.#filters = new ChangeFilterReader(deps.db);
  }

  /**
   * @throws WeftError BAD_REQUEST, NOT_FOUND (of the filter), DEFINITION_INVALID (the template), CONFLICT (key is taken, or
   *   there are too many), CURSOR_INVALID, NOT_CONFIGURED (nothing to seal with)
   */
  async create(input: NewEndpoint): Promise<{ readonly endpoint: ListedEndpoint; readonly secret: string }> {
    const { clock, secret: installation, guard, randomBytes, onChanged } = this.deps;
    const { key, filter, settings, after } = input;
    checkEndpointKey(key);
    const { target, origin } = checkTarget(input, guard);
    const content = checkContent(input.content);
    checkSettings(settings);
    await this.#filters.resolve(filter);
    const head = await this.#feed.head();
    if (after !== null && (after < 0 || after > head)) {
      throw new WeftError('CURSOR_INVALID', 'the cursor lies beyond the end of the feed', {
        where: 'from',
        hint: 'it comes from another installation',
      });
    }
    if ((await this.#store.count()) >= ENDPOINT_LIMITS.maxEndpoints) {
      throw new WeftError('CONFLICT', `there are ${String(ENDPOINT_LIMITS.maxEndpoints)} endpoints, which is all`, {
        hint: 'remove one: weft endpoints remove',
      });
    }
    const random = randomBytes(SIGNING_SECRET_BYTES);
    const endpoint: StoredEndpoint = {
      ...{ key, origin, filter, content, settings, seq: after ?? head, createdAt: clock.now() },
      ...{ pausedAt: null, pausedBecause: null, failures: 0, retryAt: null, error: null },
      ...{ delivered: 0, deliveredAt: null, formerSecret: null, formerUntil: null },
      target: sealTarget(installation, key, target),
      secret: sealSigningSecret(installation, key, random),
    };
    if (!(await this.#store.insert(endpoint))) {
      throw new WeftError('CONFLICT', `the endpoint ${key} exists already`, {
        where: 'key',
        hint: 'choose another key, or change that one with weft endpoints update',
      });
    }
    onChanged();
    return { endpoint: await this.demand(key), secret: signingSecretText(random) };
  }

  /** By key, those after one. */
  async page(afterKey: string | null, limit: number): Promise<ListedEndpoint[]> {
    return this.#listed(await this.#store.page(afterKey, limit));
  }

  async find(key: string): Promise<ListedEndpoint | null> {
    const found = await this.#find(key);
    if (found === null) return null;
    const [listed = null] = await this.#listed([found]);
    return listed;
  }

  /** @throws WeftError NOT_FOUND */
  async demand(key: string): Promise<ListedEndpoint> {
    const [listed] = await this.#listed([await this.#demand(key)]);
    if (listed === undefined) throw noSuchEndpoint(key, []);
    return listed;
  }

  /** What is under way goes out as before. @throws WeftError NOT_FOUND and those of `create` */
  async update(key: string, { url, headers, filter, content, settings }: EndpointChanges): Promise<ListedEndpoint> {
    const { secret, guard, onChanged } = this.deps;
    const stored = await this.#demand(key);
    const changes: { -readonly [K in keyof StoredEndpoint]?: StoredEndpoint[K] } = {};
    if (url !== undefined || headers !== undefined) {
      const former = openTarget(secret, stored);
      // Headers may be secrets of the former receiver: another origin is not sent them.
      const isElsewhere = url !== undefined && new URL(former.url).origin !== guard.checkUrl(url, 2_000).origin;
      const kept = isElsewhere ? {} : former.headers;
      const { target, origin } = checkTarget({ url: url ?? former.url, headers: headers ?? kept }, guard);
      changes.target = sealTarget(secret, key, target);
      changes.origin = origin;
    }
    if (filter !== undefined) {
      await this.#filters.resolve(filter);
      changes.filter = filter;
    }
    if (content !== undefined) changes.content = checkContent(content);
    if (settings !== undefined) {
      checkSettings(settings);
      changes.settings = settings;
    }
    await this.#store.update(key, changes);
    onChanged();
    return this.demand(key);
  }

  /** Nothing is sent until it is resumed; changes wait in the feed. @throws WeftError NOT_FOUND */
  async pause(key: string): Promise<ListedEndpoint> {
    await this.#demand(key);
    await this.#store.pause(key, this.deps.clock.now());
    return this.demand(key);
  }

  /** Goes on where it was; what waits to be tried again is tried at once. @throws WeftError NOT_FOUND */
  async resume(key: string): Promise<ListedEndpoint> {
    await this.#demand(key);
    await this.#store.resume(key, this.deps.clock.now());
    this.deps.onChanged();
    return this.demand(key);
  }

  /**
   * Makes a new signing secret. Requests are signed by both for `overlapMs`, so that the receiver can change in peace.
   * @throws WeftError NOT_FOUND, BAD_REQUEST
   */
  async rotateSecret(key: string, overlapMs: number): Promise<string> {
    const { secret, clock, randomBytes } = this.deps;
    if (!Number.isSafeInteger(overlapMs) || overlapMs < 0 || overlapMs > ENDPOINT_LIMITS.maxOverlapMs) {
      throw new WeftError('BAD_REQUEST', 'the overlap is too long', { where: 'overlap', hint: 'use at most 30d' });
    }
    await this.#demand(key);
    const random = randomBytes(SIGNING_SECRET_BYTES);
    const until = overlapMs === 0 ? null : clock.now() + overlapMs;
    await this.#store.replaceSecret(key, sealSigningSecret(secret, key, random), until);
    return signingSecretText(random);
  }

  /** With what has yet to be delivered to it. @throws WeftError NOT_FOUND */
  async remove(key: string): Promise<void> {
    await this.#demand(key);
    await this.#store.remove(key);
    this.deps.onChanged();
  }

  /** Changes that were tried in vain, or wait behind such a one, by position. @throws WeftError NOT_FOUND */
  async undelivered(key: string, afterSeq: number, limit: number): Promise<FailedDelivery[]> {
    await this.#demand(key);
    return this.#store.undelivered(key, afterSeq, limit);
  }

  /**
   * Lets changes that were given up be tried again. They come behind later ones of the same profile.
   * @param seqs null: all. Returns how many. @throws WeftError NOT_FOUND
   */
  async replay(key: string, seqs: readonly number[] | null): Promise<number> {
    await this.#demand(key);
    const revived = await this.#store.revive(key, seqs, this.deps.clock.now());
    this.deps.onChanged();
    return revived;
  }

  /** Gives changes up for good that were tried in vain. @param seqs null: all. @throws WeftError NOT_FOUND */
  async discard(key: string, seqs: readonly number[] | null): Promise<number> {
    await this.#demand(key);
    return this.#store.discard(key, seqs);
  }

  /** Sends a signed request that is no change, and says what came of it. @throws WeftError NOT_FOUND */
  async test(key: string): Promise<AttemptOutcome> {
    const { clock, secret, clientOf } = this.deps;
    const endpoint = await this.#demand(key);
    const client = clientOf(openTarget(secret, endpoint));
    const nowMs = clock.now();
    const timestamp = formatInstant(nowMs);
    const body = JSON.stringify({ type: 'endpoint.test', timestamp, data: { endpoint: key } });
    const signed = signDelivery(`${key}-test-${String(nowMs)}`, nowMs, body, signingSecrets(secret, endpoint, nowMs));
    try {
      const signal = new AbortController().signal;
      return await client.post(body, signed, { timeoutMs: endpoint.settings.timeoutMs, nowMs, signal });
    } finally {
      client.close();
    }
  }

  async #listed(endpoints: readonly Endpoint[]): Promise<ListedEndpoint[]> {
    if (endpoints.length === 0) return [];
    const head = await this.#feed.head();
    const backlogs = await this.#store.backlogs(endpoints.map(({ key }) => key));
    return endpoints.map((endpoint) => ({
      ...endpoint,
      ...(backlogs.get(endpoint.key) ?? { waiting: 0, dead: 0 }),
      behind: Math.max(0, head - endpoint.seq),
    }));
  }

  async #find(key: string): Promise<StoredEndpoint | null> {
    return isKey(key) ? this.#store.find(key) : null;
  }

  async #demand(key: string): Promise<StoredEndpoint> {
    const found = await this.#find(key);
    if (found !== null) return found;
    throw noSuchEndpoint(
      key,
      (await this.#store.page(null, ENDPOINT_LIMITS.maxEndpoints)).map((each) => each.key),
    );
  }
}

function noSuchEndpoint(key: string, known: readonly string[]): WeftError {
  return new WeftError('NOT_FOUND', `there is no endpoint ${key.slice(0, 100)}`, {
    where: 'key',
    hint: nameHint(key, known, 'weft endpoints list shows all of them'),
  });
}
