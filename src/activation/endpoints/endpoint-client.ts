import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { AddressRefused, type AddressGuard } from './address-guard.js';
import { outcomeOfStatus, type AttemptOutcome } from './delivery-attempt.model.js';
import type { EndpointTarget } from './endpoint.model.js';

export interface EndpointClientOptions {
  readonly target: EndpointTarget;
  readonly concurrency: number;
  readonly guard: AddressGuard;
  /** What requests say that they come from. */
  readonly userAgent: string;
}

/** Of an answer; what is longer is not waited for, and its connection not used again. */
const MAX_ANSWER_BYTES = 65_536;

/**
 * Posts to one receiver, over connections of its own that are kept open. Addresses are looked at with each connection,
 * redirects are not followed, and nothing of an answer is kept but its status.
 */
export class EndpointClient {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #guard: AddressGuard;

  constructor({ target, concurrency, guard, userAgent }: EndpointClientOptions) {
    this.#url = new URL(target.url);
    this.#headers = { ...target.headers, 'content-type': 'application/json', 'user-agent': userAgent };
    this.#guard = guard;
    const options = { keepAlive: true, maxSockets: concurrency, maxFreeSockets: concurrency, timeout: 30_000 };
    this.#agent = this.#isPlain ? new HttpAgent(options) : new HttpsAgent(options);
  }

  get #isPlain(): boolean {
    return this.#url.protocol === 'http:';
  }

  /** Never rejects. @param signal ends it at once, as a failure of the receiver */
  async post(
    body: string,
    headers: object,
    { timeoutMs, nowMs, signal }: { readonly timeoutMs: number; readonly nowMs: number; readonly signal: AbortSignal },
  ): Promise<AttemptOutcome> {
    const host = this.#url.hostname.replace(/^\[(.*)\]$/, '$1');
    if (isIP(host) !== 0 && !this.#guard.admits(host, this.#isPlain)) return addressRefused();
    const late = AbortSignal.timeout(timeoutMs);
    const ended = AbortSignal.any([signal, late]);
    // A connection that the receiver closed while it was idle tells nothing of the receiver: once more, on a new one.
    for (let isRepeated = false; ; isRepeated = true) {
      let request: ClientRequest | null = null;
      try {
        const { statusCode = 0, headers: answered } = await this.#send(body, headers, ended, (made) => {
          request = made;
        });
        return outcomeOfStatus(statusCode, answered['retry-after'], nowMs);
      } catch (error) {
        const isStale = (request as ClientRequest | null)?.reusedSocket === true && codeOf(error) === 'ECONNRESET';
        if (isStale && !isRepeated && !ended.aborted) continue;
        if (error instanceof AddressRefused) return addressRefused();
        const reason = late.aborted ? `no answer within ${String(timeoutMs)} ms` : (codeOf(error) ?? 'no connection');
        return { kind: 'down', error: reason, retryAfterMs: null };
      }
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(
    body: string,
    headers: object,
    signal: AbortSignal,
    onRequest: (request: ClientRequest) => void,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const send = this.#isPlain ? httpRequest : httpsRequest;
      const bytes = Buffer.from(body);
      const request = send(this.#url, {
        method: 'POST',
        agent: this.#agent,
        lookup: this.#guard.lookup(this.#isPlain),
        headers: { ...this.#headers, ...headers, 'content-length': bytes.length },
        signal,
      });
      onRequest(request);
      request.on('error', reject);
      request.on('response', (response) => {
        let length = 0;
        response.on('error', reject);
        response.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length <= MAX_ANSWER_BYTES) return;
          resolve(response);
          response.destroy();
        });
        response.on('end', () => {
          resolve(response);
        });
      });
      request.end(bytes);
    });
  }
}

function addressRefused(): AttemptOutcome {
  return { kind: 'down', error: 'its address is one that requests may not go to', retryAfterMs: null };
}

/** Of errors of sockets, names and certificates, in capitals; others may have an address in their text. */
function codeOf(error: unknown): string | null {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,60}$/.test(code) ? code : null;
}
