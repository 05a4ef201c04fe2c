import { isUnguessable, newUuid } from './ids.js';
import { isBrowser } from './page-signals.js';
import type { KeyValueStore } from './storage.js';

export interface CookieOptions {
  /** Default `weft_id`. */
  readonly name?: string;
  /** As `example.com`, to share it with its subdomains; default: this host alone. */
  readonly domain?: string;
  /** Default `/`. */
  readonly path?: string;
  /** Default 390, of the 400 that browsers allow at most. */
  readonly maxAgeDays?: number;
}

/** Who this browser is to Weft. */
export interface Visitor {
  /** Made and kept where there is none. */
  anonymousId(): string;
  /** The anonymous id if there is one. */
  known(): string | null;
  userId(): string | undefined;
  setUserId(userId: string): void;
  /** Forgets both ids, in the browser too. */
  forget(): void;
}

/** The name of the cookie that holds the anonymous id, unless another is given. */
export const COOKIE_NAME = 'weft_id';

/**
 * The anonymous id is a UUID in a cookie of the site, which its server can read; where cookies are blocked or there is no
 * document, it is in the store. It is read anew each time, since another tab may have changed it.
 */
export function createVisitor(store: KeyValueStore, prefix: string, cookie: CookieOptions = {}): Visitor {
  const { name = COOKIE_NAME, domain, path = '/', maxAgeDays = 390 } = cookie;
  const idKey = `${prefix}id`;
  const userKey = `${prefix}user`;

  const writeCookie = (value: string, days: number): void => {
    if (!isBrowser()) return;
    const shared = domain === undefined ? '' : `; domain=${domain}`;
    const secure = location.protocol === 'https:' ? '; secure' : '';
    document.cookie = `${name}=${value}; path=${path}; max-age=${days * 86_400}; samesite=lax${shared}${secure}`;
  };
  const read = (): string | null => {
    const found = readCookie(isBrowser() ? document.cookie : null, name) ?? store.get(idKey);
    return found !== null && isUnguessable(found) ? found : null;
  };

  return {
    anonymousId: () => {
      const found = read();
      if (found !== null) return found;
      const id = newUuid();
      writeCookie(id, maxAgeDays);
      if (read() !== id) store.set(idKey, id);
      return id;
    },
    known: read,
    userId: () => store.get(userKey) ?? undefined,
    setUserId: (userId) => store.set(userKey, userId),
    forget: () => {
      writeCookie('', 0);
      store.remove(idKey);
      store.remove(userKey);
    },
  };
}

/** The value of a cookie in a `Cookie` header or `document.cookie`; null where there is none. */
export function readCookie(header: string | null | undefined, name: string): string | null {
  for (const part of header?.split(';') ?? []) {
    const [key, value] = part.split('=');
    if (key?.trim() === name && value !== undefined) return value.trim();
  }
  return null;
}
