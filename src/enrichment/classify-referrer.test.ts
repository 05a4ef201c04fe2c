import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../events/event.model.js';
import { classifyReferrer } from './classify-referrer.js';

const SHOP = 'https://www.shop.example.org/shoes';

function cameFrom(page: JsonObject, more: { context?: JsonObject; internalDomains?: readonly string[] } = {}) {
  const event = { type: 'track', properties: {}, context: { page, ...more.context }, occurredAt: 0 } as const;
  return classifyReferrer(event, more.internalDomains ?? []);
}

const kindOf = (referrer: string): unknown => cameFrom({ url: SHOP, referrer })?.['referrer'];

describe('the referrer of an event', () => {
  it.each([
    ['https://www.google.com/', { kind: 'search', host: 'google.com', name: 'Google' }],
    ['https://www.google.co.uk/search?q=shoes', { kind: 'search', host: 'google.co.uk', name: 'Google' }],
    ['https://uk.search.yahoo.com/search?p=x', { kind: 'search', host: 'uk.search.yahoo.com', name: 'Yahoo' }],
    [
      'android-app://com.google.android.googlequicksearchbox/',
      { kind: 'search', host: 'com.google.android.googlequicksearchbox', name: 'Google' },
    ],
    ['https://l.facebook.com/l.php?u=x', { kind: 'social', host: 'l.facebook.com', name: 'Facebook' }],
    ['https://t.co/abc', { kind: 'social', host: 't.co', name: 'X' }],
    ['https://de.pinterest.com/pin/1', { kind: 'social', host: 'de.pinterest.com', name: 'Pinterest' }],
    ['https://mail.google.com/mail/u/0/', { kind: 'email', host: 'mail.google.com', name: 'Gmail' }],
    ['https://docs.google.com/document/d/1', { kind: 'other', host: 'docs.google.com' }],
    ['https://notfacebook.com/', { kind: 'other', host: 'notfacebook.com' }],
    ['https://shop.example.org/', { kind: 'internal', host: 'shop.example.org' }],
    ['https://example.org/blog/ann@example.org', { kind: 'internal', host: 'example.org' }],
    ['https://evil-example.org/', { kind: 'other', host: 'evil-example.org' }],
    ['', { kind: 'direct' }],
    ['about:blank', { kind: 'direct' }],
    ['no address', { kind: 'direct' }],
  ])('%s is told by its host alone', (referrer, expected) => {
    expect(kindOf(referrer)).toEqual(expected);
  });

  it('is internal for domains that are declared, and for all below them', () => {
    const page = { url: SHOP, referrer: 'https://pay.example.com/done' };
    expect(cameFrom(page)).toMatchObject({ referrer: { kind: 'other' } });
    expect(cameFrom(page, { internalDomains: ['example.com'] })).toMatchObject({ referrer: { kind: 'internal' } });
  });

  it('is a campaign where the address of the page says so, whatever the referrer', () => {
    const url = `${SHOP}?utm_source=news&utm_medium=email&utm_campaign=Spring+Sale&gclid=abc-person`;
    const found = cameFrom({ url, referrer: 'https://www.google.com/' });
    expect(found).toEqual({
      referrer: { kind: 'campaign', host: 'google.com', name: 'Google' },
      campaign: { source: 'news', medium: 'email', name: 'Spring Sale', click_id: 'gclid' },
    });
  });

  it('is one of a click id that is paid for, and not of one that every link has', () => {
    const referrer = 'https://www.facebook.com/';
    expect(cameFrom({ url: `${SHOP}?gclid=1`, referrer })).toMatchObject({ referrer: { kind: 'campaign' } });
    expect(cameFrom({ url: `${SHOP}?fbclid=1`, referrer })).toMatchObject({
      referrer: { kind: 'social' },
      campaign: { click_id: 'fbclid' },
    });
  });

  it('is a campaign where the client has read it already', () => {
    const found = cameFrom({ url: SHOP }, { context: { campaign: { name: 'spring', source: 'news' } } });
    expect(found).toMatchObject({ referrer: { kind: 'campaign' }, campaign: { name: 'spring', source: 'news' } });
  });

  it('is not told of events without a page', () => {
    expect(cameFrom({})).toBeNull();
    expect(classifyReferrer({ type: 'track', properties: {}, context: {}, occurredAt: 0 }, [])).toBeNull();
  });

  it('is read of the properties of a page call', () => {
    const properties = { url: SHOP, referrer: 'https://duckduckgo.com/' };
    const event = { type: 'page', properties, context: {}, occurredAt: 0 } as const;
    expect(classifyReferrer(event, [])).toMatchObject({ referrer: { kind: 'search', name: 'DuckDuckGo' } });
  });
});
