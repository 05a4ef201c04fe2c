import type { EnrichableEvent } from '../events/enrichment.model.js';
import type { JsonObject, JsonValue } from '../events/event.model.js';
import { knownReferrer } from './known-referrers.js';

/** Of an address, in UTF-16 units; what is behind is not looked at. */
const MAX_URL_LENGTH = 2_048;
/** Of a value of a campaign. */
const MAX_VALUE_LENGTH = 100;
const MAX_HOST_LENGTH = 100;

/** What a campaign is called in the query of a page's address, by what `context.campaign` of Segment's clients calls it. */
const CAMPAIGN_PARAMETERS = [
  ['name', 'utm_campaign'],
  ['source', 'utm_source'],
  ['medium', 'utm_medium'],
  ['term', 'utm_term'],
  ['content', 'utm_content'],
] as const;

/** Parameters that networks add when somebody clicks on an advertisement. Only that they are there is kept. */
const PAID_CLICK_IDS = [
  ...['gclid', 'gbraid', 'wbraid', 'dclid', 'msclkid', 'ttclid', 'twclid', 'li_fat_id', 'yclid', 'epik', 'ScCid'],
  'rdt_cid',
];
/** Added to links of all kinds, paid for or not. */
const CLICK_IDS = [...PAID_CLICK_IDS, 'fbclid'];

/**
 * Where a visitor came from: `campaign` where the page's address says so, else by the referrer `internal`, `search`,
 * `social`, `email` or `other`, and `direct` where there is none. Of the referrer only its host is kept, as its path may
 * hold personal data; of click ids only which there was.
 *
 * @param internalDomains domains whose pages are one's own, beside that of the page
 * @returns null where the event names no page
 */
export function classifyReferrer(event: EnrichableEvent, internalDomains: readonly string[]): JsonObject | null {
  const page = objectAt(event.context, 'page');
  const own = event.type === 'page' ? event.properties : undefined;
  const pageUrl = urlOf(textAt(page, 'url') ?? textAt(own, 'url'));
  const referrer = textAt(page, 'referrer') ?? textAt(own, 'referrer');
  if (pageUrl === null && (referrer === undefined || referrer === '')) return null;
  const campaign = campaignOf(pageUrl, objectAt(event.context, 'campaign'));
  const came = cameFrom(urlOf(referrer), pageUrl, internalDomains);
  const { click_id: clickId, ...named } = campaign;
  const isCampaign = Object.keys(named).length > 0 || (typeof clickId === 'string' && PAID_CLICK_IDS.includes(clickId));
  return {
    referrer: isCampaign ? { ...came, kind: 'campaign' } : came,
    ...(Object.keys(campaign).length === 0 ? {} : { campaign }),
  };
}

function cameFrom(referrer: URL | null, page: URL | null, internalDomains: readonly string[]): JsonObject {
  const host = referrer === null ? '' : bareHost(referrer);
  if (host === '') return { kind: 'direct' };
  const shown = host.slice(0, MAX_HOST_LENGTH);
  const isOwn = page !== null && areRelated(host, bareHost(page));
  if (isOwn || internalDomains.some((domain) => isWithin(host, domain))) return { kind: 'internal', host: shown };
  const known = knownReferrer(host);
  return known === undefined ? { kind: 'other', host: shown } : { kind: known.kind, host: shown, name: known.name };
}

/** Of one site: the same, or one below the other. */
function areRelated(a: string, b: string): boolean {
  return b !== '' && (isWithin(a, b) || isWithin(b, a));
}

function isWithin(host: string, domain: string): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}

function bareHost({ hostname }: URL): string {
  const host = hostname.toLowerCase().replace(/\.$/, '');
  return host.startsWith('www.') ? host.slice(4) : host;
}

function campaignOf(page: URL | null, given: JsonObject | undefined): JsonObject {
  const query = page?.searchParams;
  const campaign: JsonObject = {};
  for (const [name, parameter] of CAMPAIGN_PARAMETERS) {
    const value = query?.get(parameter) ?? textAt(given, name);
    if (value !== undefined && value.trim() !== '') campaign[name] = value.trim().slice(0, MAX_VALUE_LENGTH);
  }
  const clickId = CLICK_IDS.find((parameter) => query?.has(parameter) === true);
  return clickId === undefined ? campaign : { ...campaign, click_id: clickId };
}

function urlOf(text: string | undefined): URL | null {
  if (text === undefined || text === '') return null;
  const cut = text.slice(0, MAX_URL_LENGTH);
  return URL.canParse(cut) ? new URL(cut) : null;
}

function objectAt(object: JsonObject, name: string): JsonObject | undefined {
  const value = object[name];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
}

function textAt(object: JsonObject | undefined, name: string): string | undefined {
  const value: JsonValue | undefined = object?.[name];
  return typeof value === 'string' ? value : undefined;
}
