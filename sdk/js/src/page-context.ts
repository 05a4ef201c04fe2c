import { isBrowser } from './page-signals.js';
import { VERSION } from './version.js';

const LIBRARY = { name: '@weft/js', version: VERSION };

/** Where an event happened, in the form of Segment's `context`; beyond the library nothing outside a browser. */
export function pageContext(): Record<string, unknown> {
  if (!isBrowser()) return { library: LIBRARY };
  return {
    library: LIBRARY,
    locale: navigator.language,
    userAgent: navigator.userAgent,
    page: pageProperties(),
    campaign: campaignOf(location.search),
  };
}

/** What a page view says of its page. The fragment stays in the browser. */
export function pageProperties(): Record<string, string> {
  if (!isBrowser()) return {};
  const { origin, pathname, search } = location;
  return {
    path: pathname,
    url: origin + pathname + search,
    search,
    title: document.title,
    referrer: document.referrer,
  };
}

/** `utm_source=mail` becomes `{ source: 'mail' }`; `utm_campaign` is the `name`. */
function campaignOf(search: string): Record<string, string> | undefined {
  let campaign: Record<string, string> | undefined;
  for (const [name, value] of new URLSearchParams(search)) {
    if (name.startsWith('utm_')) (campaign ??= {})[name === 'utm_campaign' ? 'name' : name.slice(4)] = value;
  }
  return campaign;
}
