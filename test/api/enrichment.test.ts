import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Enrichers } from '../../src/enrichment/enrichers.js';
import { GeoDatabase } from '../../src/enrichment/geo-database.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { loadTextReader } from '../../src/platform/text-reader.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { findTexts } from '../support/find-texts.js';
import { mmdbFile } from '../support/mmdb.js';
import { readLog } from '../support/tracking-server.js';

const PHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1';
const LAPTOP = 'Mozilla/5.0 (X11; Linux x86_64; rv:129.0) Gecko/20100101 Firefox/129.0';
const PAGE = { url: 'https://shop.example.org/?utm_source=news', referrer: 'https://www.google.com/' };
const FACTS = ['DEVICE', 'LOCATION', 'REFERRER', 'LOCAL_TIME'];
const UPDATE = `mutation ($key: String!, $enrichment: SourceEnrichmentInput) {
  updateSource(key: $key, enrichment: $enrichment) {
    ... on Source { enrichment { facts internalDomains zone texts } }
    ... on Failure { code message where hint }
  }
}`;

/** Where nobody lives: for documentation (RFC 5737). */
const BERLIN = '203.0.113.77';
const PLACES = {
  '203.0.113.0/24': {
    country: { iso_code: 'DE' },
    city: { names: { en: 'Berlin' } },
    location: { time_zone: 'Europe/Berlin' },
  },
  '127.0.0.0/8': { country: { iso_code: 'FR' }, location: { time_zone: 'Europe/Paris' } },
};

let folder: string;
let places: GeoDatabase;
let world: ApiWorld;
/** Of the source `web`, a page in a browser, and of `till`, a server. */
const keys = { web: '', till: '' };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-places-'));
  const path = join(folder, 'places.mmdb');
  await writeFile(path, mmdbFile(PLACES, new Date('2026-11-20T00:00:00Z')));
  const onError = (error: unknown): void => {
    throw error as Error;
  };
  places = new GeoDatabase({ path, onError });
  world = await createApiWorld({
    enrichers: new Enrichers(places, loadTextReader),
    server: { trustedProxies: ['loopback'] },
  });
  for (const key of ['web', 'till'] as const) {
    const source = await world.services.sources.ensure({ key, kind: 'http', authenticated: key === 'till' });
    keys[key] = (await world.services.keys.create({ name: key, scopes: ['ingest'], sourceId: source.id })).secret;
    await world.data(UPDATE, { key, enrichment: { facts: FACTS } });
  }
});
afterAll(async () => {
  await world.close();
  await places.stop();
  await rm(folder, { recursive: true });
});

async function send(source: 'web' | 'till', call: object, userAgent = LAPTOP, from?: string): Promise<void> {
  const response = await fetch(`${world.url}/v1/track`, {
    method: 'POST',
    headers: { 'user-agent': userAgent, ...(from === undefined ? {} : { 'x-forwarded-for': from }) },
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
      updateSource: {
        enrichment: { facts: ['DEVICE', 'REFERRER'], internalDomains: ['example.com'], zone: null, texts: [] },
      },
    });
    expect(await world.data(UPDATE, { key: 'other' })).not.toEqual(off);
    expect(await world.data(UPDATE, { key: 'other', enrichment: null })).toEqual(off);
  });

  it('is refused with what is wrong', async () => {
    await world.services.sources.ensure({ key: 'hook', kind: 'webhook' });
    const answers = [
      await world.data(UPDATE, { key: 'web', enrichment: { facts: [] } }),
      await world.data(UPDATE, { key: 'web', enrichment: { facts: ['DEVICE'], internalDomains: ['https://a.org'] } }),
      await world.data(UPDATE, { key: 'web', enrichment: { facts: ['LOCAL_TIME'], zone: 'Mars/Olympus' } }),
      await world.data(UPDATE, { key: 'hook', enrichment: { facts: ['DEVICE'] } }),
    ];
    const sentiment = { facts: ['SENTIMENT'], texts: ['review.$private'] };
    answers.push(await world.data(UPDATE, { key: 'web', enrichment: sentiment }));
    answers.push(await world.data(UPDATE, { key: 'web', enrichment: { facts: ['SENTIMENT'] } }));
    expect(answers).toMatchObject([
      { updateSource: { code: 'BAD_REQUEST', where: 'enrichment.facts' } },
      { updateSource: { where: 'enrichment.internalDomains', hint: 'write it like shop.example.org' } },
      { updateSource: { where: 'enrichment.zone', hint: 'write it like Europe/Berlin' } },
      { updateSource: { where: 'enrichment', message: 'events of webhooks are not enriched' } },
      { updateSource: { where: 'enrichment.texts', hint: 'write it like review.text' } },
      { updateSource: { where: 'enrichment.texts', message: 'sentiment needs texts' } },
    ]);
  });

  it('reads the user agent that a call names, else that of the connection of a browser, and none of a server', async () => {
    const mobile = { device: { type: 'mobile' }, os: { name: 'iOS' } };
    expect((await kept(() => send('web', { context: { userAgent: PHONE } }))).enriched).toMatchObject(mobile);
    expect((await kept(() => send('web', {}, PHONE))).enriched).toMatchObject(mobile);
    expect((await kept(() => send('till', { context: { userAgent: PHONE } }, 'node'))).enriched).toMatchObject(mobile);
    expect((await kept(() => send('till', {}, 'node'))).enriched).toBeUndefined();
  });

  it('tells places and local times by the address, that of the connection only of a browser', async () => {
    const timestamp = '2023-11-11T23:30:00.000Z';
    const inBerlin = {
      location: { country: 'DE', city: 'Berlin', zone: 'Europe/Berlin' },
      local: { hour: 0, weekday: 'sun', weekend: true, part: 'night', zone: 'Europe/Berlin' },
    };
    const given = { context: { ip: BERLIN }, timestamp };
    expect((await kept(() => send('till', given))).enriched).toEqual(inBerlin);
    expect((await kept(() => send('web', given))).enriched).toMatchObject(inBerlin);
    expect((await kept(() => send('web', { timestamp }, LAPTOP, BERLIN))).enriched).toMatchObject(inBerlin);
    expect((await kept(() => send('web', {}))).enriched).toMatchObject({ location: { country: 'FR' } });
    expect((await kept(() => send('till', {}))).enriched).toBeUndefined();
  });

  it('tells local times by the zone that the event names, else by the place, else as the source says', async () => {
    const zoneOf = async (source: 'web' | 'till', context: object): Promise<unknown> =>
      ((await kept(() => send(source, { context }))).enriched as { local?: { zone: string } } | undefined)?.local?.zone;
    expect(await zoneOf('till', { timezone: 'Asia/Tokyo', ip: BERLIN })).toBe('Asia/Tokyo');
    expect(await zoneOf('till', { timezone: 'Mars/Olympus', ip: BERLIN })).toBe('Europe/Berlin');
    expect(await zoneOf('till', {})).toBeUndefined();
    await world.data(UPDATE, { key: 'till', enrichment: { facts: ['LOCAL_TIME'], zone: 'America/New_York' } });
    expect(await zoneOf('till', { ip: '198.51.100.1' })).toBe('America/New_York');
    await world.data(UPDATE, { key: 'till', enrichment: { facts: FACTS } });
  });

  it('tells where the visitor came from', async () => {
    const { enriched } = await kept(() => send('web', { context: { page: PAGE } }));
    expect(enriched).toMatchObject({ referrer: { kind: 'campaign', name: 'Google' }, campaign: { source: 'news' } });
  });

  it('tells how an English text sounds, and no other', async () => {
    await world.data(UPDATE, { key: 'till', enrichment: { facts: ['SENTIMENT'], texts: ['review.text', 'comment'] } });
    const comment = 'I really love this wonderful shop, the staff were great.';
    expect((await kept(() => send('till', { properties: { comment } }))).enriched).toMatchObject({
      text: { property: 'comment', language: 'en', sentiment: { label: 'positive' } },
    });
    const text = 'Die Lieferung war leider sehr spät und der Stuhl ist kaputt gegangen.';
    expect((await kept(() => send('till', { properties: { comment, review: { text } } }))).enriched).toEqual({
      text: { property: 'review.text', language: 'de' },
    });
    await world.data(UPDATE, { key: 'till', enrichment: { facts: FACTS } });
  });

  it('is not what a sender says that it is', async () => {
    const forged = { enriched: { bot: false, location: { country: 'XX' } } };
    expect((await kept(() => send('till', { context: forged }))).context).toEqual({});
    const { enriched } = await kept(() => send('web', { context: forged }, 'curl/8'));
    expect(enriched).toMatchObject({ bot: true, device: { type: 'bot' }, location: { country: 'FR' } });
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
    const ip = BERLIN;
    const context = { ip };
    await send('web', { context });
    await send('web', {}, LAPTOP, ip);
    await world.data(UPDATE, { key: 'other', enrichment: null });
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
