import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyRequest } from 'fastify';
import { browserScript } from '../../../../scripts/build-sdk.js';
import type { Weft, WeftOptions } from '../../src/weft.js';

/** What the pages of the shop have as globals. */
export interface InPage {
  readonly weft: Weft;
}

/** A site whose pages load the client by a script tag. */
export interface Shop {
  readonly url: string;
  /** Cookies of the requests for pages, newest last. */
  readonly cookies: (string | undefined)[];
  close(): Promise<void>;
}

export interface ShopOptions {
  /** For the client; read anew for each page. */
  readonly client: () => WeftOptions & {
    /** Begins with what the page has as `window.state`. */
    readonly takesState?: boolean;
  };
  /** The page; default: an empty one with the client in it. */
  /** Default: a free one. */
  readonly port?: number;
  readonly render?: (client: string, request: FastifyRequest) => Promise<string>;
}

/** Pages at `/` and `/other`; `/plain` has no client. */
export async function startShop({ client, render, port = 0 }: ShopOptions): Promise<Shop> {
  const script = await browserScript();
  const cookies: (string | undefined)[] = [];
  const app = Fastify({ forceCloseConnections: true });
  const page = async (request: FastifyRequest): Promise<string> => {
    cookies.push(request.headers.cookie);
    const { takesState = false, ...options } = client();
    const initial = takesState ? ', initial: window.state' : '';
    const start = `<script src="/weft.js"></script>
      <script>window.weft = Weft.createWeft({ ...${JSON.stringify(options)}${initial} })</script>`;
    return render === undefined ? `<!doctype html><title>Shop</title>${start}` : render(start, request);
  };
  app.get('/weft.js', (_request, reply) => reply.type('text/javascript').send(script));
  for (const path of ['/', '/other']) {
    app.get(path, async (request, reply) => reply.type('text/html').send(await page(request)));
  }
  app.get('/plain', (_request, reply) => reply.type('text/html').send('<!doctype html><title>Plain</title>'));
  await app.listen({ host: '127.0.0.1', port });
  const { port: found } = app.server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${String(found)}`, cookies, close: () => app.close() };
}
