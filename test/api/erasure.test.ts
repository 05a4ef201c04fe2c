import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aFeature } from '../support/a-feature.js';
import { anIdentify, aTrack } from '../support/world.js';

const ERASE = `mutation ($input: EraseProfileInput!) { eraseProfile(input: $input) {
  ... on ErasureReceipt { id status reason actor profileId logicalAt } ... on Failure { code where hint } } }`;
const RECEIPT = 'query ($id: ID!) { erasureReceipt(id: $id) { status events profileId logicalAt physicalAt } }';
const EXPORT = `mutation ($input: ExportProfileInput!) { exportProfile(input: $input) {
  ... on ProfileExport { profileId path } ... on Failure { code } } }`;
const LIFT = `mutation ($identifier: IdentifierInput!) { liftSuppression(identifier: $identifier) {
  ... on SuppressionLifted { namespace } ... on Failure { code } } }`;
const ANNA = { namespace: 'email', value: 'anna@example.com' };

interface Exported {
  readonly exportProfile: { readonly profileId: string; readonly path: string };
}

describe('what the API does with all that is known of a person', () => {
  let world: ApiWorld;

  beforeAll(async () => {
    world = await createApiWorld();
    await world.defineFeatures([aFeature('views', { events: ['view'], windowMs: 3_600_000 })]);
    await world.defineSegment('keen', 'count("view", "1h") >= 1');
    await world.accept([
      aTrack('view', { anonymous_id: 'cookie' }, { messageId: 'first' }),
      anIdentify({ anonymous_id: 'cookie', email: ANNA.value }, { plan: 'pro' }, { messageId: 'second' }),
      ...Array.from({ length: 1_100 }, (_, i) =>
        aTrack('view', { anonymous_id: 'cookie' }, { messageId: `v${String(i)}` }),
      ),
      aTrack('view', { anonymous_id: 'somebody else' }),
    ]);
    await world.drain();
  });

  afterAll(async () => {
    expect(world.defects).toEqual([]);
    await world.close();
  });

  const fetchExport = (path: string, key = world.keys.admin) =>
    fetch(`${world.url}${path}`, { headers: { authorization: `Bearer ${key}` } });

  it('exports it as a file that is streamed to administrators', async () => {
    const { exportProfile } = await world.data<Exported>(EXPORT, { input: { identifier: ANNA } });
    const response = await fetchExport(exportProfile.path);
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const file = JSON.parse(await response.text()) as Record<string, { length: number }>;
    expect(file).toMatchObject({
      format: 'weft.profile/1',
      profile: { id: exportProfile.profileId, formerIds: [] },
      traits: [{ name: 'plan', value: 'pro', source: 'web', messageId: 'second', provenance: 'observed' }],
      memberships: [{ segment: 'keen', cause: 'event' }],
      changes: [{ kind: 'enter', segment: 'keen' }],
    });
    expect(file['identifiers']).toEqual(expect.arrayContaining([ANNA, { namespace: 'anonymous_id', value: 'cookie' }]));
    expect(file['features']).toMatchObject([{ name: 'views', value: 1_101 }]);
    expect(new Set((file['events'] as unknown as { messageId: string }[]).map(({ messageId }) => messageId)).size).toBe(
      1_102,
    );
    expect(JSON.stringify(file)).not.toContain('somebody else');
  });

  it('exports nothing to others, and of nobody', async () => {
    const { exportProfile } = await world.data<Exported>(EXPORT, { input: { identifier: ANNA } });
    expect((await fetchExport(exportProfile.path, world.keys.read)).status).toBe(403);
    expect((await fetch(`${world.url}${exportProfile.path}`)).status).toBe(401);
    expect((await fetchExport('/exports/profiles/01900000-0000-7000-8000-000000000000')).status).toBe(404);
    expect((await fetchExport('/exports/profiles/anna')).status).toBe(404);
    expect(await world.data(EXPORT, { input: {} })).toEqual({ exportProfile: { code: 'BAD_REQUEST' } });
  });

  it('erases it, says how far that is, and lets them come back when that is allowed again', async () => {
    const { eraseProfile: receipt } = await world.data<{ eraseProfile: { id: string; profileId: string } }>(ERASE, {
      input: { identifier: ANNA, reason: 'asked by letter' },
    });
    expect(receipt).toMatchObject({ status: 'WAITING', reason: 'asked by letter', logicalAt: null });
    await world.drain();
    expect(await world.data(RECEIPT, { id: receipt.id })).toMatchObject({
      erasureReceipt: { status: 'LOGICAL', events: 1_102, profileId: receipt.profileId, physicalAt: null },
    });
    expect(await world.data('query ($i: IdentifierInput!) { profile(identifier: $i) { id } }', { i: ANNA })).toEqual({
      profile: null,
    });
    expect(await world.data(ERASE, { input: { identifier: ANNA, reason: '' } })).toMatchObject({
      eraseProfile: { code: 'NOT_FOUND' },
    });
    expect(await world.accept([anIdentify({ email: ANNA.value })])).toMatchObject([{ code: 'SUPPRESSED' }]);
    expect(await world.data(LIFT, { identifier: ANNA })).toEqual({ liftSuppression: { namespace: 'email' } });
    expect(await world.data(LIFT, { identifier: ANNA })).toEqual({ liftSuppression: { code: 'NOT_FOUND' } });
    expect(await world.accept([anIdentify({ email: ANNA.value })])).toMatchObject([{ status: 'accepted' }]);
  });
});
