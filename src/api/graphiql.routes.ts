import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { loadPage, PAGE_TYPES, type Encoding, type Page } from './graphiql/page-assets.js';

/**
 * Nothing from elsewhere, no script in the page itself, nobody may frame it. CodeMirror and the menus of GraphiQL set styles
 * of their own; its fonts and icons are part of its style sheet.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self'",
  "font-src 'self' data:",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const ASSETS = '/graphql/assets';
const A_YEAR_S = 31_536_000;

let loading: Promise<Page> | null = null;

/** Once a process, when somebody asks. */
function page(): Promise<Page> {
  loading ??= loadPage(({ hash, name }) => `${ASSETS}/${hash}/${name}`).catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return loading;
}

/** A browser that was pointed at `/graphql` by hand. */
export function wantsPage({ method, headers, url }: FastifyRequest): boolean {
  const { accept = '' } = headers;
  return (
    method === 'GET' && accept.includes('text/html') && url.split('?', 1)[0] === '/graphql' && !url.includes('query=')
  );
}

/** GraphiQL, for whoever comes without a key: it asks for one. */
export async function sendPage(reply: FastifyReply): Promise<FastifyReply> {
  const { html } = await page();
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', CONTENT_SECURITY_POLICY)
    .header('referrer-policy', 'no-referrer')
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'no-cache')
    .header('vary', 'accept')
    .send(html);
}

interface AssetRequest {
  readonly Params: { readonly hash: string; readonly name: string };
}

/** What the page loads. The address holds a hash of the content, so it may be kept for good. */
export const graphiqlRoutes: FastifyPluginAsync = async (app) => {
  app.get<AssetRequest>(`${ASSETS}/:hash/:name`, async (request, reply) => {
    const { hash, name } = request.params;
    const asset = (await page()).assets.get(name);
    if (asset?.hash !== hash) return reply.callNotFound();
    const encoding = encodingFor(request.headers['accept-encoding'] ?? '');
    if (encoding !== 'identity') void reply.header('content-encoding', encoding);
    return reply
      .type(PAGE_TYPES[name.split('.').pop() ?? ''] ?? 'application/octet-stream')
      .header('cache-control', `public, max-age=${String(A_YEAR_S)}, immutable`)
      .header('vary', 'accept-encoding')
      .header('x-content-type-options', 'nosniff')
      .send(asset.bodies[encoding]);
  });
  return Promise.resolve();
};

/** Preference by weight is left out: browsers give none. A weight of 0 is no. */
function encodingFor(accepted: string): Encoding {
  const named = accepted
    .toLowerCase()
    .split(',')
    .map((each) => each.trim().split(/\s*;\s*q=/))
    .filter(([, weight]) => weight === undefined || Number(weight) > 0)
    .map(([name]) => name);
  if (named.includes('br')) return 'br';
  return named.includes('gzip') ? 'gzip' : 'identity';
}
