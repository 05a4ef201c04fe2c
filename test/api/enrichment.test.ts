import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Enrichers } from '../../src/enrichment/enrichers.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { findTexts } from '../support/find-texts.js';
import { readLog } from '../support/tracking-server.js';

const PHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1';
const LAPTOP = 'Mozilla/5.0 (X11; Linux x86_64; rv:129.0) Gecko/20100101 Firefox/129.0';
const PAGE = { url: 'https://shop.example.org/?utm_source=news', referrer: 'https://www.google.com/' };
const UPDATE = `mutation ($key: String!, $enrichment: SourceEnrichmentInput) {
  updateSource(key: $key, enrichment: $enrichment) {
    ... on Source { enrichment { facts internalDomains } }
    ... on Failure { code message where hint }
  }
}`;

let world: ApiWorld;
/** Of the source `web`, a page in a browser, and of `till`, a server. */
const keys = { web: '', till: '' };

beforeAll(async () => {
  world = await createApiWorld({ enrichers: new Enrichers() });
  for (const key of ['web', 'till'] as const) {
    const source = await world.services.sources.ensure({ key, kind: 'http', authenticated: key === 'till' });
    keys[key] = (await world.services.keys.create({ name: key, scopes: ['ingest'], sourceId: source.id })).secret;
    await world.data(UPDATE, { key, enrichment: { facts: ['DEVICE', 'REFERRER'] } });
  }
});
afterAll(() => world.close());

async function send(source: 'web' | 'till', call: object, userAgent = LAPTOP): Promise<void> {
  const response = await fetch(`${world.url}/v1/track`, {
    method: 'POST',
    headers: { 'user-agent': userAgent },
    body: JSON.stringify({ writeKey: keys[source], userId: 'ann', event: 'x', ...call }),
  });
  expect(response.status).toBe(200);
}

/** What is kept of the event that is sent by this. */
async function kept(sending: () => Promise<unknown>) {
  const { pos } = await world.engine.log.head();
  await sending();
  const [event] = await readLog(world.engine.log, pos);
  return { context: event?.context, enriched: event?.context['enriched'] };
}

describe('enrichment', () => {
  it('is switched on for a source, off again, and told', async () => {
    const off = { updateSource: { enrichment: null } };
    const enrichment = { facts: ['REFERRER', 'DEVICE', 'DEVICE'], internalDomains: ['WWW.Example.com', 'example.com'] };
    await world.services.sources.ensure({ key: 'other', kind: 'http' });
    expect(await world.data(UPDATE, { key: 'other', enrichment })).toEqual({
      updateSource: { enrichment: { facts: ['DEVICE', 'REFERRER'], internalDomains: ['example.com'] } },
    });
    expect(await world.data(UPDATE, { key: 'other' })).not.toEqual(off);
    expect(await world.data(UPDATE, { key: 'other', enrichment: null })).toEqual(off);
  });

  it('is refused with what is wrong', async () => {
    await world.services.sources.ensure({ key: 'hook', kind: 'webhook' });
    const answers = [
      await world.data(UPDATE, { key: 'web', enrichment: { facts: [] } }),
      await world.data(UPDATE, { key: 'web', enrichment: { facts: ['DEVICE'], internalDomains: ['https://a.org'] } }),
      await world.data(UPDATE, { key: 'hook', enrichment: { facts: ['DEVICE'] } }),
    ];
    expect(answers).toMatchObject([
      { updateSource: { code: 'BAD_REQUEST', where: 'enrichment.facts' } },
      { updateSource: { where: 'enrichment.internalDomains', hint: 'write it like shop.example.org' } },
      { updateSource: { where: 'enrichment', message: 'events of webhooks are not enriched' } },
    ]);
  });

  it('reads the user agent that a call names, else that of the connection of a browser, and none of a server', async () => {
    const mobile = { device: { type: 'mobile' }, os: { name: 'iOS' } };
    expect((await kept(() => send('web', { context: { userAgent: PHONE } }))).enriched).toMatchObject(mobile);
    expect((await kept(() => send('web', {}, PHONE))).enriched).toMatchObject(mobile);
    expect((await kept(() => send('till', { context: { userAgent: PHONE } }, 'node'))).enriched).toMatchObject(mobile);
    expect((await kept(() => send('till', {}, 'node'))).enriched).toBeUndefined();
  });

  it('tells where the visitor came from', async () => {
    const { enriched } = await kept(() => send('web', { context: { page: PAGE } }));
    expect(enriched).toMatchObject({ referrer: { kind: 'campaign', name: 'Google' }, campaign: { source: 'news' } });
  });

  it('is not what a sender says that it is', async () => {
    const forged = { enriched: { bot: false, location: { country: 'XX' } } };
    expect((await kept(() => send('till', { context: forged }))).context).toEqual({});
    expect((await kept(() => send('web', { context: forged }, 'curl/8'))).enriched).toEqual({
      bot: true,
      device: { type: 'bot' },
    });
  });

  it('is left out of an event that would be too large with it, which is taken', async () => {
    const { enriched, context } = await kept(() =>
      send('web', { properties: { text: 'x'.repeat(32_400) }, context: { userAgent: PHONE } }),
    );
    expect(enriched).toBeUndefined();
    expect(context).toEqual({ userAgent: PHONE });
  });

  it('can be read by features and segments', async () => {
    const { views } = parseFeatures(
      `views:
      - name: devices
        features:
          - { name: on_phone, aggregate: count, events: [seen], where: 'context.enriched.device.type == "mobile"' }
          - { name: systems, aggregate: count, events: [seen], by: context.enriched.os.name }
          - { name: campaign, aggregate: last, events: [seen], value: context.enriched.campaign.source, type: string }`,
      'features.yaml',
    );
    await world.engine.services.features.apply({ views, services: [] });
    await world.defineSegment('mobile', 'f.on_phone >= 2');
    for (const userAgent of [PHONE, LAPTOP, PHONE]) {
      await send('web', { userId: 'eve', event: 'seen', context: { page: PAGE } }, userAgent);
    }
    await world.drain();
    const { profile } = await world.data<{ profile: { features: unknown; segments: unknown } }>(
      `{ profile(identifier: { namespace: "user_id", value: "eve" }) {
        features(names: ["on_phone", "systems", "campaign"]) { name value }
        segments { segment { key } }
      } }`,
    );
    expect(profile).toMatchObject({
      features: [
        { name: 'on_phone', value: 2 },
        { name: 'systems', value: { iOS: 2, Linux: 1 } },
        { name: 'campaign', value: 'news' },
      ],
    });
    expect(JSON.stringify(profile.segments)).toContain('mobile');
  });

  it('keeps the address of nobody, whatever door it comes by and whatever becomes of the event', async () => {
    const ip = '203.0.113.77';
    const context = { ip };
    await send('web', { context });
    await world.data(`mutation ($events: [EventInput!]!) { ingest(source: "web", events: $events) { __typename } }`, {
      events: [
        { type: 'TRACK', name: 'y', identifiers: [{ namespace: 'user_id', value: 'ann' }], context },
        { type: 'TRACK', identifiers: [{ namespace: 'user_id', value: 'ann' }], context },
      ],
    });
    await world.accept([
      { type: 'track', name: 'z', identifiers: [{ ns: 'user_id', value: 'ann' }], context },
      { type: 'track', name: '', identifiers: [{ ns: 'user_id', value: 'ann' }], context },
    ]);
    await world.drain();
    expect(await findTexts(world.db, [ip])).toEqual([]);
  });
});
