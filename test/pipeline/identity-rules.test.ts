import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import type { RawIdentifier } from '../../src/events/event.model.js';
import { formsOf } from '../../src/identity/identifier-forms.model.js';
import { parseIdentityRules } from '../../src/identity/parse-identity-rules.js';
import { IdentityRulesReader } from '../../src/identity/identity-rules.reader.js';
import { anIdentify, aTrack, createWorld, type World } from '../support/world.js';

const BY = { by: 'a test', isDryRun: false } as const;

function rulesOf(text: string) {
  return parseIdentityRules(`identity: ${text}`, 'identity.yaml').rules;
}

describe('rules of who is who that change', () => {
  let world: World;
  let other: Engine;

  beforeAll(async () => {
    world = await createWorld();
    other = await world.another();
  });
  afterAll(() => world.close());

  /** Identifiers, by the profile that they stand for now. */
  async function people(...values: string[]): Promise<string[][]> {
    const rows = await world.db.query<{ value: string; id: string }>(
      'SELECT value, profile_id AS id FROM identifiers WHERE value = ANY ($1) ORDER BY value',
      [values],
    );
    const groups = new Map<string, string[]>();
    for (const { value, id } of rows) groups.set(id, [...(groups.get(id) ?? []), value]);
    return [...groups.values()].sort((a, b) => (a.join() < b.join() ? -1 : 1));
  }

  async function web() {
    const [source] = await world.db.query<{ id: number }>(`SELECT id FROM sources WHERE key = 'web'`);
    return { id: source?.id ?? 0, key: 'web' };
  }

  async function erase(identifier: RawIdentifier): Promise<void> {
    const { erasures } = world.engine;
    const { id } = await erasures.request({ identifier }, { reason: '', actor: 'a test' });
    await world.drain();
    await erasures.done(id, { signal: AbortSignal.timeout(60_000) });
  }

  /** Message ids of the events that name this value. */
  async function messagesOf(value: string): Promise<string[]> {
    const rows = await world.db.query<{ id: string }>(
      `SELECT e.message_id AS id FROM evidence e JOIN identifiers i ON i.id = e.anchor_id WHERE i.value = $1`,
      [value],
    );
    return rows.map(({ id }) => id);
  }

  it('are the built-in ones, version 1, until somebody applies others', async () => {
    const versions = await new IdentityRulesReader(world.db).versions(null, 10);
    expect(versions).toMatchObject([{ rules: { version: 1 }, appliedAt: null, appliedBy: null }]);
  });

  it('change nothing in a dry run, and nothing where they say what holds already', async () => {
    const service = world.engine.services.identityRules;
    const gmail = rulesOf('{ email: { gmail: true } }');
    const dry = await service.apply(gmail, { by: 'a test', isDryRun: true });
    expect(dry).toMatchObject({
      changes: ['~ email: gmail false -> true'],
      applied: false,
      current: { rules: { version: 1 } },
    });
    expect(await service.apply(rulesOf('{}'), BY)).toMatchObject({ changes: [], applied: false });
    expect(await new IdentityRulesReader(world.db).current()).toMatchObject({ rules: { version: 1 } });
  });

  it('leave people to be decided on by the forms that they are known by', async () => {
    const { revisions, explanations } = world.engine.identity;
    const service = world.engine.services.identityRules;
    const asker = { actor: 'a test', reason: '' };
    await world.accept([
      anIdentify({ user_id: 'una', email: 'u.na@gmail.com' }),
      anIdentify({ email: 'y.ves@gmail.com' }),
      anIdentify({ user_id: 'yves' }),
      anIdentify({ email: 'wim@blocked.example' }),
    ]);
    await world.drain();
    await service.apply(rulesOf("{ email: { gmail: true }, blocked: { patterns: ['.*@blocked[.]example'] } }"), BY);
    const email = (value: string): RawIdentifier => ({ ns: 'email', value });
    const user = (value: string): RawIdentifier => ({ ns: 'user_id', value });
    const both = [user('yves'), email('Y.ves@gmail.com'), email('wim@blocked.example')];
    await revisions.request({ kind: 'merge', input: { identifiers: both } }, asker);
    await world.drain();
    expect(await people('yves', 'y.ves@gmail.com', 'wim@blocked.example', 'yves@gmail.com')).toEqual([
      ['wim@blocked.example', 'y.ves@gmail.com', 'yves'],
    ]);
    const [una] = await world.db.query<{ id: string }>(`SELECT profile_id AS id FROM identifiers WHERE value = 'una'`);
    const taken = { profile: una?.id ?? '', identifiers: [email('u.na@gmail.com')] };
    await revisions.request({ kind: 'unmerge', input: taken }, asker);
    await world.drain();
    expect(await people('una', 'u.na@gmail.com')).toEqual([['u.na@gmail.com'], ['una']]);
    const idsOf = (raw: RawIdentifier) => formsOf(world.engine.policy, raw).ids;
    expect(await explanations.explain(idsOf(email('u.na@gmail.com')), idsOf(user('una')))).toMatchObject({
      isOne: false,
      obstacles: [{ kind: 'cannot_link' }],
    });
    await service.apply(rulesOf('{}'), BY);
  });

  it('hold for the next event of another process, which has not heard of them', async () => {
    await world.accept([anIdentify({ user_id: 'ann', email: 'a.nn@gmail.com' })]);
    await other.services.identityRules.apply(rulesOf('{ email: { gmail: true } }'), BY);
    const results = await world.accept([
      anIdentify({ user_id: 'ann', email: 'A.N.N@googlemail.com' }),
      aTrack('seen', { email: 'info' }),
    ]);
    expect(results).toMatchObject([{ status: 'accepted' }, { status: 'refused', code: 'NO_IDENTIFIER' }]);
    await world.drain();
    expect(await people('a.nn@gmail.com', 'ann@gmail.com', 'ann')).toEqual([
      ['a.nn@gmail.com', 'ann', 'ann@gmail.com'],
    ]);
  });

  it('take what is sent twice as sent twice, whichever rules it was resolved by', async () => {
    const event = anIdentify({ email: 'b.ob@gmail.com' });
    expect(await world.accept([event])).toMatchObject([{ status: 'accepted' }]);
    await other.services.identityRules.apply(rulesOf('{}'), BY);
    expect(await world.accept([event])).toMatchObject([{ status: 'duplicate' }]);
  });

  it('tell each caller of its own events, though the log takes those of many at once', async () => {
    await other.services.identityRules.apply(rulesOf('{ blocked: { values: [shared] } }'), BY);
    const answers = await Promise.all([
      world.accept([aTrack('seen', { user_id: 'one' }), aTrack('seen', { user_id: 'shared' })]),
      world.accept([aTrack('seen', { user_id: 'shared', email: 'two@example.org' })]),
    ]);
    expect(answers).toMatchObject([
      [{ status: 'accepted' }, { status: 'refused', code: 'NO_IDENTIFIER' }],
      [{ status: 'accepted', dropped: [{ ns: 'user_id', reason: 'blocked' }] }],
    ]);
  });

  it('begin at one place in the log, whoever appends while they change', async () => {
    const sending = Array.from({ length: 30 }, async (_, i) => {
      const engine = i % 2 === 0 ? world.engine : other;
      const events = Array.from({ length: 5 }, (_, j) => aTrack('seen', { user_id: `r${String(i)}-${String(j)}` }));
      if (i % 10 === 5) {
        const region = ['GB', 'FR', 'DE'][Math.floor(i / 10)] ?? 'GB';
        await world.engine.services.identityRules.apply(rulesOf(`{ default_region: ${region} }`), BY);
      }
      return engine.accept.accept(await web(), events, { historical: false });
    });
    const results = (await Promise.all(sending)).flat();
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['accepted']));
    const versions = await world.db.query<{ version: number }>(
      'SELECT rules_version AS version FROM event_log ORDER BY pos',
    );
    const sorted = versions.map(({ version }) => version);
    expect(sorted).toEqual([...sorted].sort((a, b) => a - b));
    expect(sorted.at(-1)).toBeGreaterThan(3);
  });

  it('decide on what new events touch as a whole, and leave alone what nothing touches', async () => {
    await world.engine.services.identityRules.apply(rulesOf('{}'), BY);
    const emails = ['c1@example.org', 'c2@example.org', 'c3@example.org'];
    for (const email of emails) await world.accept([anIdentify({ user_id: 'carla', email })]);
    for (const email of ['d1@example.org', 'd2@example.org'])
      await world.accept([anIdentify({ user_id: 'dora', email })]);
    await world.drain();
    await other.services.identityRules.apply(rulesOf('{ namespaces: { email: { limit: 1 } } }'), BY);
    await world.accept([anIdentify({ user_id: 'carla', anonymous_id: 'cookie' })]);
    await world.drain();
    expect(await people('carla', 'cookie', ...emails)).toEqual([
      ['c1@example.org', 'carla', 'cookie'],
      ['c2@example.org'],
      ['c3@example.org'],
    ]);
    expect(await people('dora', 'd1@example.org', 'd2@example.org')).toEqual([
      ['d1@example.org', 'd2@example.org', 'dora'],
    ]);
  });

  it('let a namespace count only from sources that are sure of whom they name, down to every identifier of an event', async () => {
    await world.engine.services.identityRules.apply(
      rulesOf('{ namespaces: { user_id: { only_from_authenticated: true } } }'),
      BY,
    );
    const event = () => anIdentify({ user_id: 'vera', anonymous_id: 'browser' });
    expect(await world.accept([event(), aTrack('seen', { user_id: 'vera' })])).toMatchObject([
      { status: 'accepted', dropped: [{ ns: 'user_id', reason: 'unauthenticated' }] },
      { status: 'refused', code: 'NO_IDENTIFIER' },
    ]);
    await world.drain();
    expect(await people('vera', 'browser')).toEqual([['browser']]);
    const source = { id: (await world.db.query<{ id: number }>('SELECT id FROM sources'))[0]?.id ?? 0, key: 'web' };
    await other.accept.accept({ ...source, authenticated: true }, [event()], { historical: false });
    await world.drain();
    expect(await people('vera', 'browser')).toEqual([['browser', 'vera']]);
  });

  it('take a browser from those who share it, with what was done in it by nobody in particular, and give it to the last', async () => {
    const service = world.engine.services.identityRules;
    await service.apply(rulesOf('{ namespaces: { anonymous_id: { shared: isolate } } }'), BY);
    const visit = async (...who: Parameters<typeof aTrack>[1][]) => {
      for (const each of who) {
        world.clock.advance(60_000);
        await world.accept([aTrack('view', each)]);
      }
      await world.drain();
    };
    const browser = { anonymous_id: 'family' };
    await visit(browser, { user_id: 'gail', ...browser }, browser);
    expect(await people('family', 'gail')).toEqual([['family', 'gail']]);
    await visit({ user_id: 'hugo', ...browser });
    expect(await people('family', 'gail', 'hugo')).toEqual([['family'], ['gail'], ['hugo']]);
    const [cookie, gail] = world.engine.policy.resolve([
      { ns: 'anonymous_id', value: 'family' },
      { ns: 'user_id', value: 'gail' },
    ]).identifiers;
    if (cookie === undefined || gail === undefined) throw new Error('an identifier is missing');
    expect(await world.engine.identity.explanations.explain([cookie.id], [gail.id])).toMatchObject({
      isOne: false,
      obstacles: [{ kind: 'shared', namespace: 'anonymous_id' }],
    });
    await service.apply(rulesOf('{ namespaces: { anonymous_id: { shared: last_user } } }'), BY);
    await visit({ user_id: 'ida', ...browser });
    expect(await people('family', 'gail', 'hugo', 'ida')).toEqual([['family', 'ida'], ['gail'], ['hugo']]);
    const retract = world.engine.retractions;
    const { id } = await retract.takeBackMessages(await web(), await messagesOf('ida'));
    await world.drain();
    await retract.done(id, { signal: new AbortController().signal });
    expect(await people('family', 'gail', 'hugo')).toEqual([['family', 'hugo'], ['gail']]);
  });

  it('keep those out who were erased under what their identifiers were by former rules', async () => {
    const service = world.engine.services.identityRules;
    await service.apply(rulesOf('{}'), BY);
    await world.accept([aTrack('view', { email: 'er.in@gmail.com' })]);
    await world.drain();
    await erase({ ns: 'email', value: 'er.in@gmail.com' });
    await other.services.identityRules.apply(rulesOf('{ email: { gmail: true } }'), BY);
    expect(
      await world.accept([
        aTrack('view', { email: 'Er.In@googlemail.com' }),
        aTrack('view', { email: 'er.in@gmail.com' }),
      ]),
    ).toMatchObject([{ status: 'accepted' }, { status: 'refused', code: 'SUPPRESSED' }]);
  });

  it('are kept with who applied them and when, the newest first', async () => {
    const reader = new IdentityRulesReader(world.db);
    await other.services.identityRules.apply(rulesOf('{}'), BY);
    const versions = await reader.versions(null, 100);
    expect(versions.map(({ rules }) => rules.version)).toEqual(versions.map((_, i) => versions.length - i));
    expect(versions[0]).toMatchObject({ appliedBy: 'a test', appliedAt: world.clock.now() });
    expect(await reader.version(2)).toMatchObject({ rules: { version: 2, emails: { gmail: true } } });
    expect(await reader.version(999)).toBeNull();
  });
});
