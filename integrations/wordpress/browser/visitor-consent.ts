import type { PageSettings } from './page-settings.js';

/** Of the JavaScript client. */
const ID_COOKIE = 'weft_id';

/** The visitor's anonymous id; null where the browser has none yet. */
export function visitorId(): string | null {
  return cookie(ID_COOKIE);
}

/**
 * Whether the visitor is known to have agreed. The WP Consent API's script may come later than ours: until then its cookie
 * tells.
 */
export function isGranted({ consent, category }: PageSettings): boolean {
  if (consent === 'always') return !hasPrivacySignal();
  if (consent === 'hook') return visitorId() !== null;
  return window.wp_has_consent?.(category) ?? cookie(`wp_consent_${category}`) === 'allow';
}

/** Global Privacy Control or Do Not Track. */
function hasPrivacySignal(): boolean {
  const { globalPrivacyControl, doNotTrack } = navigator as Navigator & { globalPrivacyControl?: boolean };
  return globalPrivacyControl === true || doNotTrack === '1';
}

function cookie(name: string): string | null {
  for (const part of document.cookie.split('; ')) {
    const [key, value] = part.split('=');
    if (key === name && value !== undefined && value !== '') return value;
  }
  return null;
}
