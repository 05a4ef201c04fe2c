import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: { readonly type?: string; readonly data?: Readonly<Record<string, unknown>> };
  /** As the header says. */
  readonly id: string;
}

/** What a receiver does with a request: a status, or whatever it likes with the answer. */
export type Answer = (request: ReceivedRequest, response: ServerResponse) => number | undefined;

/** Somebody on loopback who takes webhooks. */
export class WebhookEndpointReceiver {
  readonly requests: ReceivedRequest[] = [];
  readonly taken: ReceivedRequest[] = [];
  answer: Answer = () => 204;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const received = {
          ...{ headers: request.headers, text, id: String(request.headers['webhook-id']) },
          body: JSON.parse(text) as ReceivedRequest['body'],
        };
        this.requests.push(received);
        const status = this.answer(received, response);
        if (status === undefined) return;
        if (status < 300) this.taken.push(received);
        response.writeHead(status).end('thanks');
      });
    });
  }

  static async open(): Promise<WebhookEndpointReceiver> {
    const receiver = new WebhookEndpointReceiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}/hooks`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** As a receiver checks it, by the specification alone. @param secret as it was told, `whsec_…` */
export function isSigned({ headers, text, id }: ReceivedRequest, secret: string): boolean {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${String(headers['webhook-timestamp'])}.${text}`);
  return String(headers['webhook-signature'])
    .split(' ')
    .includes(`v1,${mac.digest('base64')}`);
}
