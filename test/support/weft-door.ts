import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { freePort } from './free-port.js';

/** What stands between a site and Weft: passes requests on, or takes them and says nothing. */
export interface WeftDoor {
  readonly url: string;
  /** `silent`: never answers; `shut`: nothing listens. */
  set(state: 'open' | 'silent' | 'shut'): Promise<void>;
  /** Paths of the requests that came since the last call, in order. */
  takeRequests(): string[];
  /** The body of the last request that was passed on. */
  readonly lastBody: string;
  close(): Promise<void>;
}

export async function openWeftDoor(weftUrl: string): Promise<WeftDoor> {
  const port = await freePort();
  let paths: string[] = [];
  let isSilent = false;
  let lastBody = '';
  const handle = (incoming: IncomingMessage, answer: ServerResponse): void => {
    paths.push(new URL(incoming.url ?? '/', weftUrl).pathname);
    if (isSilent) return;
    const { method, headers } = incoming;
    const passed = request(new URL(incoming.url ?? '/', weftUrl), { method, headers }, (answered) => {
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    lastBody = '';
    incoming.setEncoding('utf8').on('data', (text: string) => (lastBody += text));
    incoming.pipe(passed);
  };
  let server = createServer(handle);
  const listen = async (): Promise<void> => {
    server = createServer(handle).listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  await listen();
  return {
    url: `http://127.0.0.1:${String(port)}`,
    set: async (state) => {
      isSilent = state === 'silent';
      await stop();
      if (state !== 'shut') await listen();
    },
    takeRequests: () => {
      const taken = paths;
      paths = [];
      return taken;
    },
    get lastBody() {
      return lastBody;
    },
    close: stop,
  };
}
