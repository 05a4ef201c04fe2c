import { createWeft, type Profile, type Weft } from '../../../sdk/js/src/weft.js';
import type { PageSettings } from './page-settings.js';
import { rememberSegments } from './segment-memory.js';
import { isGranted, visitorId } from './visitor-consent.js';

/** For an answer that comes too late for this page, but not for the next one. */
const PATIENCE_MS = 2_000;

declare global {
  interface Window {
    /** The client, for scripts of the site. */
    weft?: Weft;
    /** What other consent tools than the WP Consent API call. */
    weftConsent?: (isGranted: boolean) => void;
  }
}

/** Tells Weft of the page and asks it who the visitor is, as far as the visitor has agreed. */
function start(site: PageSettings): void {
  const granted = isGranted(site);
  const weft = createWeft({
    url: site.url,
    consent: granted ? 'granted' : 'pending',
    cookie: site.cookie,
    // Where the visitor was asked, the answer counts more than a setting of the browser.
    honourPrivacySignals: site.consent === 'always',
    ...(site.writeKey === null ? {} : { writeKey: site.writeKey }),
    ...(site.edgeKey === null ? {} : { edgeKey: site.edgeKey }),
  });
  window.weft = weft;
  followConsent(site, weft);
  // First the question: it need not wait for what this page tells.
  window.weftContent?.onNeeded(() => void ask(weft));
  for (const event of site.events) {
    if ('page' in event) weft.page(event.page, event.properties);
    else weft.track(event.track, event.properties);
  }
}

async function ask(weft: Weft): Promise<void> {
  if (weft.consent !== 'granted') return;
  const id = visitorId();
  const profile = await weft.profile({ deadlineMs: PATIENCE_MS });
  const segments = segmentsOf(profile);
  window.weftContent?.decide(segments);
  if (segments === null) return;
  if (id !== null && !profile.degraded) rememberSegments({ id, at: Date.now(), segments });
  document.dispatchEvent(new CustomEvent('weft:segments', { detail: { segments } }));
}

/** Null where nothing is known: an answer that did not come in time. One that is a little old counts. */
function segmentsOf({ degraded, asOf, segments }: Profile): readonly string[] | null {
  return degraded && asOf === null ? null : segments;
}

function followConsent(site: PageSettings, weft: Weft): void {
  const set = (isGrantedNow: boolean): void => {
    weft.setConsent(isGrantedNow ? 'granted' : 'denied');
    if (!isGrantedNow) rememberSegments(null);
  };
  window.weftConsent = set;
  if (site.consent !== 'consent_api') return;
  const look = (): void => {
    if (window.wp_has_consent !== undefined && isGranted(site) !== (weft.consent === 'granted')) set(isGranted(site));
  };
  // The API's own script, then the answer of whoever asks for consent.
  document.addEventListener('DOMContentLoaded', look);
  document.addEventListener('wp_consent_type_defined', look);
  document.addEventListener('wp_listen_for_consent_change', look);
  look();
}

if (window.weftSite !== undefined) start(window.weftSite);
