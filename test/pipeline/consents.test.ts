import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/events/event.model.js';
import type { RevisionInputOf } from '../../src/identity/identity-revision.model.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { anIdentify, aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

let world: World;

beforeAll(async () => {
  world = await createWorld(START_MS);
  await world.engine.services.purposes.apply([
    aPurpose('ads', { categories: { '*': ['Advertising'], crm: ['mailing', 'post'] } }),
    aPurpose('mail', { default: 'granted' }),
    aPurpose('contract', { default: 'not_required' }),
    aPurpose('yearly', { expiresAfterDays: 365 }),
  ]);
  await world.defineSegment('viewers', 'performed("view")', { purposes: ['ads'] });
  await world.defineSegment('mailed', 'performed("view")', { purposes: ['mail'] });
  await world.defineSegment('served', 'performed("view")', { purposes: ['contract'] });
  await world.defineSegment('renewed', 'performed("view")', { purposes: ['yearly'] });
  await world.defineSegment('both', 'performed("view")', { purposes: ['ads', 'mail'] });
  await world.defineSegment('asked', 'performed("view") && consent("ads")');
  await world.defineSegment('refusing', 'performed("view") && !segment("viewers")');
});

afterAll(() => world.close());

const says = (purposes: JsonObject): { context: JsonObject } => ({ context: { consent: { purposes } } });

let people = 0;
/** Somebody new, who has looked at something. */
async function aViewer(): Promise<{ user_id: string }> {
  const who = { user_id: `p${String(people++)}` };
  await world.accept([aTrack('view', who)]);
  return who;
}

/** What the feed says of some segments since a position: `leave viewers by consent at +1`, ms from `fromMs`. */
async function changesSince(seq: number, fromMs: number, ...segments: string[]): Promise<string[]> {
  return (await world.feed())
    .filter((change) => change.seq > seq && segments.includes(change.segment))
    .map(({ kind, segment, cause, at }) => `${kind} ${segment} by ${cause.kind} at +${String(at - fromMs)}`);
}

async function head(): Promise<number> {
  await world.drain();
  return (await world.feed()).at(-1)?.seq ?? 0;
}

describe('a consent', () => {
  it('that is withdrawn has the profile leave what needs it at that event, and the feed says why', async () => {
    const who = await aViewer();
    await world.accept([aTrack('agree', who, says({ ads: 'granted' }))]);
    const seq = await head();
    world.clock.advance(MINUTE_MS);
    const at = world.clock.now();
    await world.accept([aTrack('refuse', who, says({ ads: 'denied' })), aTrack('view', who)]);
    await world.drain();
    expect(await changesSince(seq, at, 'viewers', 'asked', 'refusing', 'both')).toEqual([
      'leave asked by event at +1',
      'leave both by consent at +1',
      'leave viewers by consent at +1',
      'enter refusing by event at +1',
    ]);
    const [batch] = world.batches.slice(-1);
    expect(batch?.changes.map(({ kind }) => kind)).toEqual(['leave', 'leave', 'leave', 'enter']);
  });

  it('runs out at the millisecond that it names, without an event', async () => {
    const who = await aViewer();
    const at = world.clock.now();
    const expiresAt = new Date(at + HOUR_MS + 7).toISOString();
    await world.accept([aTrack('agree', who, says({ ads: { status: 'granted', expiresAt } }))]);
    const seq = await head();
    world.clock.set(at + HOUR_MS + 6);
    await world.drain();
    expect(await changesSince(seq, at, 'viewers', 'asked')).toEqual([]);
    world.clock.advance(1);
    await world.drain();
    expect(await changesSince(seq, at, 'viewers', 'asked')).toEqual([
      `leave asked by timer at +${String(HOUR_MS + 7)}`,
      `leave viewers by consent at +${String(HOUR_MS + 7)}`,
    ]);
  });

  it('that purposes have run out by themselves counts from when it was given', async () => {
    const who = await aViewer();
    const at = world.clock.now();
    await world.accept([aTrack('agree', who, { timestampMs: at - DAY_MS, ...says({ yearly: true }) })]);
    const seq = await head();
    world.clock.advance(364 * DAY_MS - 1);
    await world.drain();
    expect(await changesSince(seq, at, 'renewed')).toEqual([]);
    world.clock.advance(1);
    await world.drain();
    expect(await changesSince(seq, at, 'renewed')).toEqual([`leave renewed by consent at +${String(364 * DAY_MS)}`]);
  });

  it('counts by when it was given: one that arrives late changes nothing that was said since', async () => {
    const who = await aViewer();
    const at = world.clock.now();
    await world.accept([aTrack('refuse', who, { timestampMs: at, ...says({ ads: 'denied', mail: 'denied' }) })]);
    const seq = await head();
    world.clock.advance(MINUTE_MS);
    const late = { timestampMs: at - 1, ...says({ ads: 'granted', mail: 'granted' }) };
    await world.accept([aTrack('agree', who, late)]);
    await world.drain();
    expect(await changesSince(seq, at, 'viewers', 'mailed', 'both')).toEqual([]);
    await world.accept([aTrack('agree', who, { ...late, timestampMs: at + 1 })]);
    await world.drain();
    expect(await changesSince(seq, at, 'viewers', 'mailed', 'both')).toEqual([
      `enter both by event at +${String(MINUTE_MS + 1)}`,
      `enter mailed by event at +${String(MINUTE_MS + 1)}`,
      `enter viewers by event at +${String(MINUTE_MS + 1)}`,
    ]);
  });

  it('that is denied at the instant at which it is granted is denied, whatever comes first, and over merges', async () => {
    const [early, late, other] = [await aViewer(), await aViewer(), await aViewer()];
    const at = world.clock.now();
    // Of events of one instant the message id would decide.
    const yes = (who: { user_id: string }) =>
      aTrack('agree', who, { timestampMs: at, messageId: `z-${who.user_id}`, ...says({ ads: true }) });
    const no = (who: { user_id: string }) =>
      aTrack('refuse', who, { timestampMs: at, messageId: `a-${who.user_id}`, ...says({ ads: false }) });
    await world.accept([yes(early)]);
    await world.accept([no(late), yes(late), yes(other)]);
    await world.drain();
    expect(await segmentsOf(early)).toContain('viewers');
    expect(await segmentsOf(late)).not.toContain('viewers');
    const seq = await head();
    await world.accept([no(early)]);
    await world.drain();
    expect(await changesSince(seq, world.clock.now(), 'viewers')).toEqual(['leave viewers by consent at +1']);
    await revise({ kind: 'merge', input: { profiles: [await profileOf(late), await profileOf(other)] } });
    expect(await segmentsOf(other)).not.toContain('viewers');
    // Without the denial, folded anew, the grant counts that had to give way.
    const sources = await world.db.query<{ id: number }>(`SELECT id FROM sources WHERE key = 'web'`);
    await world.engine.retractions.takeBackMessages({ id: sources[0]?.id ?? 0, key: 'web' }, [`a-${early.user_id}`]);
    await world.drain();
    expect([await segmentsOf(early), await segmentsOf(late)].map((keys) => keys.includes('viewers'))).toEqual([
      true,
      false,
    ]);
  });

  it('comes by categories as the consent tool of its source calls them, and with calls of every kind', async () => {
    const who = await aViewer();
    const seq = await head();
    const at = world.clock.now();
    const prefers = (preferences: JsonObject) => ({ context: { consent: { categoryPreferences: preferences } } });
    await world.accept([aTrack('agree', who, prefers({ Advertising: true }))], { source: 'crm' });
    await world.drain();
    expect(await changesSince(seq, at, 'viewers')).toEqual([]);
    await world.accept([aTrack('agree', who, prefers({ mailing: true, post: true }))], { source: 'crm' });
    await world.drain();
    expect(await changesSince(seq, at, 'viewers')).toEqual(['enter viewers by event at +1']);
    world.clock.advance(MINUTE_MS);
    const joins = { ...anIdentify(who), type: 'group', groupId: 'acme' } as const;
    await world.accept([{ ...joins, ...prefers({ Advertising: false }) }]);
    await world.drain();
    expect((await changesSince(seq, at, 'viewers')).slice(1)).toEqual([
      `leave viewers by consent at +${String(MINUTE_MS + 1)}`,
    ]);
  });

  it('that nobody gave is as the purpose says', async () => {
    const who = await aViewer();
    await world.accept([aTrack('refuse', who, says({ contract: 'denied', ads: 'denied' }))]);
    await world.drain();
    expect(await segmentsOf(who)).toEqual(['mailed', 'refusing', 'served']);
  });

  it('is that of the newest word once profiles turn out to be one, and each its own again once they do not', async () => {
    const [ann, bob] = [await aViewer(), await aViewer()];
    await world.accept([aTrack('agree', ann, says({ ads: 'granted' }))]);
    world.clock.advance(MINUTE_MS);
    await world.accept([aTrack('refuse', bob, says({ ads: 'denied' }))]);
    await world.drain();
    const before = [await segmentsOf(ann), await segmentsOf(bob)];
    expect(before[0]).toContain('viewers');
    const profiles = [await profileOf(ann), await profileOf(bob)];
    const seq = await head();
    await revise({ kind: 'merge', input: { profiles } });
    expect(await segmentsOf(ann)).not.toContain('viewers');
    expect(await changesSince(seq, world.clock.now(), 'viewers')).toEqual(['leave viewers by merge at +1']);
    const [move] = await world.db.query<{ id: string }>('SELECT id FROM identity_moves WHERE from_profile = $1', [
      profiles[1],
    ]);
    await revise({ kind: 'unmerge', input: { move: move?.id ?? '' } });
    expect([await segmentsOf(ann), await segmentsOf(bob)]).toEqual(before);
  });

  it('that is taken back is as if it had never been given', async () => {
    const who = await aViewer();
    await world.accept([aTrack('refuse', who, says({ mail: 'denied' }))]);
    world.clock.advance(MINUTE_MS);
    await world.accept([aTrack('agree', who, { messageId: 'taken-back', ...says({ mail: true, ads: true }) })]);
    await world.drain();
    expect(await segmentsOf(who)).toEqual(['asked', 'both', 'mailed', 'served', 'viewers']);
    const seq = await head();
    const [{ id }] = (await world.db.query<{ id: number }>(`SELECT id FROM sources WHERE key = 'web'`)) as [
      { id: number },
    ];
    await world.engine.retractions.takeBackMessages({ id, key: 'web' }, ['taken-back']);
    await world.drain();
    expect(await segmentsOf(who)).toEqual(['refusing', 'served']);
    expect(await changesSince(seq, world.clock.now(), 'mailed')).toEqual(['leave mailed by revert at +1']);
  });
});

describe('purposes', () => {
  it('that are declared after the events have all that was said of them count', async () => {
    const who = await aViewer();
    await world.accept([
      aTrack('agree', who, says({ research: 'granted' })),
      aTrack('agree', who, { context: { consent: { categoryPreferences: { Statistics: false } } } }),
    ]);
    await world.drain();
    const { purposes } = world.engine.services;
    await purposes.apply([aPurpose('research')]);
    await world.defineSegment('researched', 'performed("view")', { purposes: ['research'] });
    await world.drain();
    expect(await segmentsOf(who)).toContain('researched');
    await purposes.apply([aPurpose('research', { categories: { '*': ['Statistics'] } })]);
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect(await segmentsOf(who)).not.toContain('researched');
  });

  it('that are needed stay, and those that there are not cannot be needed', async () => {
    const { purposes, segments } = world.engine.services;
    await purposes.apply([aPurpose('spare')]);
    const others = ['ads', 'mail', 'contract', 'yearly', 'research', 'spare'].map((key) => aPurpose(key));
    const without = (key: string) => others.filter((purpose) => purpose.key !== key);
    await expect(purposes.apply(without('contract'), { prune: true })).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
      message: 'the purpose contract is needed by segment served',
    });
    const draft = { key: 'new', name: 'new', description: '', tags: [], expression: 'true', purposes: ['add'] };
    await expect(segments.upsert(draft)).rejects.toMatchObject({ code: 'BAD_REQUEST', hint: 'did you mean ads?' });
    await expect(segments.check('consent("add")')).rejects.toMatchObject({
      message: 'unknown purpose "add"; did you mean "ads"?',
    });
    expect(await segments.check('consent("ads")')).toMatchObject({ requires: { purposes: ['ads'] } });
  });

  it('of features are needed by whatever reads these', async () => {
    const who = await aViewer();
    await world.engine.services.features.apply({
      views: [
        {
          name: 'tracked',
          description: '',
          source: null,
          features: [aFeature('views', { view: 'tracked', aggregate: 'count', events: ['view'], type: 'int' })],
          purposes: ['ads'],
        },
      ],
      services: [],
    });
    await world.defineSegment('keen', 'f.views > 0 || traits.always == true');
    await world.drain();
    world.clock.advance(1);
    await world.accept([anIdentify(who, { always: true })]);
    await world.drain();
    expect(await segmentsOf(who)).not.toContain('keen');
    await world.accept([aTrack('agree', who, says({ ads: true }))]);
    await world.drain();
    expect(await segmentsOf(who)).toContain('keen');
    const noLonger = { name: 'tracked', description: '', source: null, features: [] };
    await expect(
      world.engine.services.features.apply({ views: [{ ...noLonger, purposes: ['adds'] }], services: [] }),
    ).rejects.toMatchObject({ code: 'DEFINITION_INVALID', hint: 'did you mean ads?' });
  });

  it('that a segment needs only from its next version on let go of those who do not allow them', async () => {
    const [yes, no] = [await aViewer(), await aViewer()];
    await world.accept([aTrack('agree', yes, says({ ads: true }))]);
    await world.defineSegment('edited', 'performed("view")', { purposes: [] });
    await world.drain();
    expect([await segmentsOf(yes), await segmentsOf(no)].map((keys) => keys.includes('edited'))).toEqual([true, true]);
    const seq = await head();
    await world.defineSegment('edited', 'performed("view")', { purposes: ['ads'] });
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect([await segmentsOf(yes), await segmentsOf(no)].map((keys) => keys.includes('edited'))).toEqual([true, false]);
    expect(new Set((await world.feed()).filter((c) => c.seq > seq).map(({ cause }) => cause.kind))).toEqual(
      new Set(['edit']),
    );
  });
});

async function segmentsOf({ user_id }: { readonly user_id: string }): Promise<string[]> {
  const rows = await world.db.query<{ key: string }>(
    `SELECT s.key FROM identifiers i JOIN memberships m ON m.profile_id = i.profile_id JOIN segments s ON s.id = m.segment_id
     WHERE i.ns = 'user_id' AND i.value = $1 ORDER BY s.key`,
    [user_id],
  );
  return rows.map(({ key }) => key);
}

async function profileOf({ user_id }: { readonly user_id: string }): Promise<string> {
  const [row] = await world.db.query<{ id: string }>(
    `SELECT profile_id AS id FROM identifiers WHERE ns = 'user_id' AND value = $1`,
    [user_id],
  );
  return row?.id ?? '';
}

async function revise(revision: RevisionInputOf): Promise<void> {
  const { revisions } = world.engine.identity;
  const { id } = await revisions.request(revision, { actor: 'test', reason: '' });
  await world.drain();
  expect((await revisions.settled(id, { timeoutMs: 0 })).status).toBe('done');
}
