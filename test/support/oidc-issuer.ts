import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export async function aSigningKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly location?: string;
}

/** An OpenID Connect issuer on loopback, as far as those who check its tokens see it. */
export class OidcIssuer {
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** What is answered instead of what is right; by path. */
  readonly answers = new Map<string, Answer>();
  published: SigningKey[];
  #server: Server | null = null;

  private constructor(
    readonly url: string,
    key: SigningKey,
  ) {
    this.published = [key];
  }

  static async start(key: SigningKey): Promise<OidcIssuer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const issuer = new OidcIssuer(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, key);
    issuer.#serve(server);
    return issuer;
  }

  /** Nobody answers at its address any more. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  async restart(): Promise<void> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(Number(new URL(this.url).port), '127.0.0.1', resolve));
    this.#serve(server);
  }

  #serve(server: Server): void {
    this.#server = server;
    server.on('request', (request, response) => {
      const path = request.url ?? '';
      this.asked.push(path);
      const { status, body, location } = this.answers.get(path) ?? this.#answer(path);
      const headers = { 'content-type': 'application/json', ...(location === undefined ? {} : { location }) };
      response.writeHead(status, headers).end(body);
    });
  }

  #answer(path: string): Answer {
    if (path === '/.well-known/openid-configuration') {
      return { status: 200, body: JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys` }) };
    }
    if (path !== '/keys') return { status: 404, body: '{}' };
    return { status: 200, body: JSON.stringify({ keys: this.published.map(({ publicJwk }) => publicJwk) }) };
  }
}

/** A token with what the test says, signed by the key. */
export function sign(claims: JWTPayload, { kid, alg, privateKey }: SigningKey, header: object = {}): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, kid, typ: 'at+jwt', ...header }).sign(privateKey);
}
