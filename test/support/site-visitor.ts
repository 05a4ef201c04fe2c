/** Somebody at a site, without scripts: keeps cookies, sends forms. */
export interface SiteVisitor {
  readonly cookies: Map<string, string>;
  get(url: string): Promise<Shown>;
  /** Follows no redirect. */
  post(url: string, form: Readonly<Record<string, string>> | URLSearchParams): Promise<Shown>;
}

export interface Shown {
  readonly status: number;
  readonly headers: Headers;
  readonly html: string;
}

export function siteVisitor(cookies: Readonly<Record<string, string>> = {}): SiteVisitor {
  const jar = new Map(Object.entries(cookies));
  const send = async (url: string, init: RequestInit): Promise<Shown> => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { ...init, redirect: 'manual', headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0|expires=[^;]*(?:1970|19[789]\d)/i.test(line) || value === '' || value === 'deleted')
        jar.delete(name);
      else jar.set(name, value);
    }
    return { status: response.status, headers: response.headers, html: await response.text() };
  };
  return {
    cookies: jar,
    get: (url) => send(url, {}),
    post: (url, form) => send(url, { method: 'POST', body: new URLSearchParams(form) }),
  };
}
