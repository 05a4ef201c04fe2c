import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Stands before a server and passes requests on, each after a while. */
export interface SlowProxy {
  readonly url: string;
  /** Of the requests so far. */
  readonly methods: string[];
  /** Of requests that begin from now on, ms; Infinity: never. */
  setDelay(delayMs: number): void;
  close(): Promise<void>;
}

export async function startSlowProxy(target: string): Promise<SlowProxy> {
  const methods: string[] = [];
  let delayMs = 0;
  const timers = new Set<NodeJS.Timeout>();
  const server: Server = createServer((incoming, outgoing) => {
    const { method = 'GET', headers, url = '/' } = incoming;
    methods.push(method);
    const pass = (): void => {
      const upstream = httpRequest(new URL(url, target), { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      upstream.on('error', () => outgoing.destroy());
      incoming.pipe(upstream);
    };
    if (delayMs === 0) pass();
    else if (Number.isFinite(delayMs)) timers.add(setTimeout(pass, delayMs));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    methods,
    url: `http://127.0.0.1:${String(port)}`,
    setDelay: (next) => {
      delayMs = next;
    },
    close: async () => {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
