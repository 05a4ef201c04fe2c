import { Agent, request } from 'node:http';

/** Posts JSON over connections that are kept open. */
export class HttpCalls {
  readonly #agent: Agent;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(maxSockets: number, key: string) {
    this.#agent = new Agent({ keepAlive: true, maxSockets });
    this.#headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  }

  /** The body of the answer. @throws Error unless it is 200 */
  post(url: string, body: Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = { ...this.#headers, 'content-length': body.length };
      const call = request(url, { method: 'POST', agent: this.#agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => (text += part));
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`${url} answered ${String(response.statusCode)}: ${text}`));
        });
      });
      call.on('error', reject);
      call.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
