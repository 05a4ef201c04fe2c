import { createSecretKey, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { DeadLetterReader } from '../../src/events/dead-letter.reader.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { FORMAT_SEALED, NO_SEALER } from '../../src/events/event-seal.model.js';
import { readBesideErasures } from '../../src/events/beside-erasures.reader.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { NO_ERASING } from '../../src/create-erasing.js';
import { hashId } from '../../src/platform/ids.js';
import type { Transaction } from '../../src/platform/postgres.js';
import { KeyVault } from '../../src/privacy/key-vault.js';
import { sealBytes } from '../../src/privacy/sealed-bytes.js';
import { openCopies } from '../support/open-copies.js';
import { readFeed } from '../support/pipeline-state.js';
import { knownOf } from '../support/retraction-builders.js';
import { defineSome, pick, randomFrom, randomLog } from '../support/random-log.js';
import { aTrack, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

describe('a log that is sealed', () => {
  const worlds: World[] = [];

  afterEach(async () => {
    await Promise.all(worlds.splice(0).map((world) => world.close()));
  });

  async function newWorld(sealed: boolean): Promise<World> {
    const world = await createWorld(START_MS, { sealed });
    worlds.push(world);
    await world.accept([], { source: 'web' });
    return world;
  }

  const formats = async ({ db }: World): Promise<number[]> =>
    (await db.query<{ format: number }>('SELECT DISTINCT get_byte(payload, 0) AS format FROM event_log')).map(
      ({ format }) => format,
    );

  it('gives what a plain one gives, live, by backfill and by reading it', async () => {
    const log = randomLog(randomFrom(77), {
      steps: 25,
      maxEventsPerStep: 8,
      advancesMs: [0, MINUTE_MS, HOUR_MS],
      historicalShare: 0.2,
      people: 6,
    });
    const [sealed, plain] = [await newWorld(true), await newWorld(false)];
    for (const world of [sealed, plain]) {
      for (const [i, { advanceMs, historical, events }] of log.entries()) {
        world.clock.advance(advanceMs);
        await world.accept(events, { historical });
        if (i % 4 === 0) await world.drain();
      }
      await world.drain();
      await defineSome(world);
      await world.drain();
    }
    expect(await knownOf(sealed)).toEqual(await knownOf(plain));
    expect(await readFeed(sealed.db)).toEqual(await readFeed(plain.db));
    expect(await formats(sealed)).toEqual([FORMAT_SEALED]);
    expect(await formats(plain)).toEqual([0]);
  });

  it('is read by other processes with the keys, and stops those without them', async () => {
    const world = await newWorld(true);
    await world.accept([aTrack('view', { user_id: 'u1' }, { messageId: 'm1' })]);
    const readBy = (vault: KeyVault | null) =>
      world.db.transaction(async (tx) => {
        const found: string[] = [];
        const groups = [{ anchorIds: [hashId('user_id', 'u1')], untilMs: Number.MAX_SAFE_INTEGER }];
        const options = { toPos: 10, order: 'occurred' as const, onDamaged: () => found.push('damaged') };
        for await (const page of new EventHistoryReader(vault ?? undefined).read(tx, groups, options)) {
          found.push(...page.map(({ event }) => event.messageId));
        }
        return found;
      });
    const another = world.keyDatabase === null ? null : new KeyVault(world.keyDatabase, world.secret);
    expect(await readBy(another)).toEqual(['m1']);
    await expect(readBy(null)).rejects.toMatchObject({ code: 'NOT_CONFIGURED' });
    await world.db.query('UPDATE event_log SET payload = set_byte(payload, 20, get_byte(payload, 20) # 255)');
    expect(await readBy(another)).toEqual(['damaged']);
  });

  it('goes on without what was sealed by keys that are destroyed', async () => {
    const world = await newWorld(true);
    const { vault } = world;
    await world.accept([aTrack('view', { user_id: 'u1' }), aTrack('view', { user_id: 'u2' })]);
    await vault?.destroy([hashId('user_id', 'u1')]);
    await world.drain();
    expect(await world.db.query('SELECT value FROM identifiers')).toEqual([{ value: 'u2' }]);
    expect(await world.db.query('SELECT FROM dead_letters')).toEqual([]);
    await world.accept([aTrack('view', { user_id: 'u1' })]);
    await world.drain();
    expect(await world.db.query('SELECT value FROM identifiers ORDER BY 1')).toEqual([
      { value: 'u1' },
      { value: 'u2' },
    ]);
  });

  it('is read again where others were erased since its snapshot whom events of those who stay named', async () => {
    const world = await newWorld(true);
    const shared = { email: 'family@example.org' };
    await world.accept([
      aTrack('view', { user_id: 'eve', ...shared }, { messageId: 'of eve' }),
      aTrack('view', { user_id: 'bob', ...shared }, { messageId: 'of bob' }),
    ]);
    await world.drain();
    const groups = [{ anchorIds: [hashId('user_id', 'eve')], untilMs: Number.MAX_SAFE_INTEGER }];
    const options = { toPos: 10, order: 'occurred', onDamaged: () => expect.unreachable() } as const;
    const reads: string[][] = [];
    const read = async (tx: Transaction, onUnreadable: () => void): Promise<number> => {
      const found: string[] = [];
      reads.push(found);
      if (reads.length === 1) {
        const identifier = { ns: 'user_id', value: 'bob' };
        const { id } = await world.engine.erasures.request({ identifier }, { reason: '', actor: 'test' });
        await world.drain();
        expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', rewritten: 1 });
      }
      for await (const page of new EventHistoryReader(world.vault ?? undefined).read(tx, groups, {
        ...options,
        onUnreadable,
      })) {
        found.push(...page.map(({ event }) => event.messageId));
      }
      return found.length;
    };
    expect(await readBesideErasures(world.db, read, { timeoutMs: MINUTE_MS })).toBe(1);
    expect(reads).toEqual([[], ['of eve']]);
    await world.vault?.destroy([hashId('user_id', 'eve')]);
    // What cannot be read for another reason stays so.
    expect(await readBesideErasures(world.db, read, { timeoutMs: MINUTE_MS })).toBe(0);
    expect(reads).toHaveLength(3);
  });

  it('is sealed afterwards where it was not', async () => {
    const world = await newWorld(true);
    const plain = await world.engineOn(world.db, {}, { erasing: NO_ERASING });
    const events = Array.from({ length: 1_100 }, (_, i) => aTrack('view', { user_id: `u${String(i % 50)}` }));
    await plain.accept.accept({ id: 1, key: 'web' }, events, { historical: false });
    expect(await formats(world)).toEqual([0]);
    await world.drain();
    expect(await formats(world)).toEqual([FORMAT_SEALED]);
    const found = await world.engine.log.readByAnchors([hashId('user_id', 'u7')], { limit: 100 });
    expect(found).toHaveLength(22);
  });

  it('has the inputs of dead letters sealed, too, and of those from before', async () => {
    const world = await newWorld(true);
    const nobody = (words: string): IncomingEvent => ({ ...aTrack(words, {}), messageId: `of ${words}` });
    const lettersOf = async (sealer = world.engine.sealer) =>
      (await new DeadLetterReader(world.db, sealer).page({}, null, 10)).map(({ payload }) => payload);
    const stored = async () =>
      world.db.query<{ id: number; anchor_id: string | null; payload: Buffer }>(
        'SELECT id, seal_id AS anchor_id, payload FROM dead_letters ORDER BY id',
      );
    const plain = await world.engineOn(world.db, {}, { erasing: NO_ERASING });
    await plain.accept.accept({ id: 1, key: 'web' }, [nobody('before')], { historical: false });
    await world.accept([nobody('later'), nobody('last')]);
    expect((await stored()).map(({ anchor_id: id }) => id === null)).toEqual([true, false, false]);
    await world.drain();
    const rows = await stored();
    expect(rows.map(({ payload }) => payload[0])).toEqual([FORMAT_SEALED, FORMAT_SEALED, FORMAT_SEALED]);
    expect(new Set(rows.map(({ anchor_id: id }) => id)).size).toBe(3);
    expect(Buffer.concat(rows.map(({ payload }) => payload)).toString('latin1')).not.toMatch(/before|later|last/);
    const texts = await lettersOf();
    for (const [i, words] of ['last', 'later', 'before'].entries()) expect(texts[i]).toContain(`"name":"${words}"`);
    await expect(lettersOf(NO_SEALER)).rejects.toMatchObject({ code: 'NOT_CONFIGURED' });
    await world.vault?.destroy([rows[1]?.anchor_id ?? '']);
    expect((await lettersOf())[1]).toBe('null');
  });

  it('seals the letter of an event with the keys of all whom the event names', async () => {
    const world = await createWorld(START_MS, { sealed: true, observers: { poisoned: () => undefined } });
    worlds.push(world);
    await world.accept([aTrack('view', { user_id: 'u1' })]);
    await world.db.query(`UPDATE event_log SET payload = '\\x00ff'`);
    await world.drain();
    const [letter] = await world.db.query<{ id: string }>('SELECT seal_id AS id FROM dead_letters');
    expect(letter?.id).toBe(hashId('user_id', 'u1'));
    await world.engine.deadLetters.insert(world.db, [
      {
        ...{ sourceId: 1, stage: 'apply', code: 'INTERNAL', reason: 'of a test', receivedAt: START_MS, pos: 77 },
        namedIds: ['u1', 'u2'].map((value) => hashId('user_id', value)),
        payload: '"what it said"',
      },
    ]);
    const inputs = async () =>
      (await new DeadLetterReader(world.db, world.engine.sealer).page({}, null, 10)).map(({ payload }) => payload);
    expect((await inputs())[0]).toBe('"what it said"');
    await world.vault?.destroy([hashId('user_id', 'u2')]);
    expect((await inputs())[0]).toBe('null');
  });

  it('keeps letters whose keys were lost when somebody is erased, but not those whose keys an erasure destroyed', async () => {
    const world = await newWorld(true);
    const refused = (of: string): IncomingEvent => ({ ...aTrack(of, {}), messageId: `letter of ${of}` });
    await world.accept([aTrack('view', { user_id: 'ann' }), refused('lost'), refused('destroyed')]);
    await world.drain();
    const letters = await world.db.query<{ key: string }>('SELECT seal_id AS key FROM dead_letters ORDER BY id');
    // The process died between destroying the key and deleting the letter.
    await world.vault?.destroyOfLetters([letters[1]?.key ?? '']);
    await world.keyDatabase?.query('DELETE FROM sealing_keys');
    world.vault?.forget();
    const identifier = { ns: 'user_id', value: 'ann' };
    const { id } = await world.engine.erasures.request({ identifier }, { reason: '', actor: 'test' });
    await world.drain();
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', letters: 1 });
    expect(await world.db.query('SELECT seal_id AS key FROM dead_letters')).toEqual([letters[0]]);
  });

  it('is sealed anew where it was with the key of the anchor alone', async () => {
    const world = await newWorld(true);
    const { keyDatabase, secret, vault } = world;
    if (keyDatabase === null || vault === null) throw new Error('a sealed world has keys');
    const [ann, both, lost] = ['ann', 'both', 'lost'].map((value) => hashId('user_id', value));
    await world.accept([
      aTrack('view', { user_id: 'ann' }),
      aTrack('view', { user_id: 'both', email: 'both@example.org' }),
      aTrack('view', { user_id: 'lost' }),
    ]);
    // As versions before did: by a key that is kept under the id of the anchor.
    const wrappingKey = createSecretKey(secret.derive('data-keys'));
    const rows = await world.db.query<{ pos: number; anchor_id: string; payload: Buffer }>(
      'SELECT pos, anchor_id, payload FROM event_log ORDER BY pos',
    );
    const former: Buffer[] = [];
    for (const { pos, anchor_id: id, payload } of await vault.open(rows)) {
      const key = randomBytes(32);
      if (id !== lost) {
        const wrapped = sealBytes(wrappingKey, Buffer.from([1]), key, Buffer.from(id));
        await keyDatabase.query('INSERT INTO data_keys VALUES ($1, $2)', [id, wrapped]);
      }
      const sealed = sealBytes(createSecretKey(key), Buffer.from([1]), payload);
      await world.db.query('UPDATE event_log SET payload = $2 WHERE pos = $1', [pos, sealed]);
      former.push(sealed);
    }
    await keyDatabase.query('DELETE FROM sealing_keys');
    vault.forget();
    const another = await world.another();
    await another.worker.drain();
    const now = await world.db.query<{ anchor_id: string; payload: Buffer }>(
      'SELECT anchor_id, payload FROM event_log ORDER BY pos',
    );
    // The one whose key was lost is as it was.
    expect(now.map(({ payload }) => payload[0])).toEqual([FORMAT_SEALED, FORMAT_SEALED, 1]);
    expect(now[2]?.payload.equals(former[2] ?? Buffer.alloc(0))).toBe(true);
    expect((await vault.open(now)).map(({ anchor_id: id }) => id)).toEqual([ann, both]);
    await vault.destroy([hashId('email', 'both@example.org')]);
    expect((await vault.open(now)).map(({ anchor_id: id }) => id)).toEqual([ann]);
    // Its copy is from before.
    expect(await vault.open([{ anchor_id: both ?? '', payload: former[1] ?? Buffer.alloc(0) }])).toHaveLength(1);
    await vault.destroy([both ?? '']);
    expect(await vault.open([{ anchor_id: both ?? '', payload: former[1] ?? Buffer.alloc(0) }])).toEqual([]);
  });

  it('opens exactly what names nobody whose key was destroyed, whoever sealed it', async () => {
    const world = await newWorld(true);
    const { keyDatabase, secret } = world;
    if (keyDatabase === null) throw new Error('a sealed world has keys');
    const ids = Array.from({ length: 12 }, (_, i) => hashId('email', String(i)));
    const random = randomFrom(5);
    const vaults = Array.from({ length: 3 }, () => new KeyVault(keyDatabase, secret, { maxCachedKeys: 8 }));
    const anyVault = () => pick(random, vaults);
    const copies: { anchor_id: string; namedIds: string[]; payload: Buffer; text: string; isGone: boolean }[] = [];
    for (let round = 0; round < 60; round++) {
      const named = Array.from({ length: 8 }, () =>
        Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(random, ids)),
      );
      const plain = named.map((namedIds, i) => ({ namedIds, payload: Buffer.from(`\0${String(round)} ${String(i)}`) }));
      const sealed = await anyVault().seal(plain);
      for (const [i, { namedIds, payload }] of plain.entries()) {
        const copy = { anchor_id: namedIds[0] ?? '', namedIds, payload: sealed[i] ?? Buffer.alloc(0) };
        copies.push({ ...copy, text: payload.toString(), isGone: false });
      }
      if (random() < 0.3) {
        const gone = [pick(random, ids), pick(random, ids)];
        await anyVault().destroy(gone);
        for (const copy of copies) if (copy.namedIds.some((id) => gone.includes(id))) copy.isGone = true;
      }
      const some = copies.filter(() => random() < 0.2);
      const reader = anyVault();
      // Others hear of what was destroyed, as from the list of the erased.
      reader.forget();
      const opened = await reader.open(some);
      expect(opened.map(({ payload }) => payload.toString())).toEqual(
        some.filter(({ isGone }) => !isGone).map(({ text }) => text),
      );
    }
    const left = await openCopies(keyDatabase, secret, copies);
    expect(left).toEqual(copies.filter(({ isGone }) => !isGone).map(({ text }) => text));
    expect(left.length).toBeGreaterThan(0);
    expect(copies.filter(({ isGone }) => isGone).length).toBeGreaterThan(50);
    const names = await keyDatabase.query<{ name: string }>('SELECT name FROM sealing_keys');
    expect(names.filter(({ name }) => ids.includes(name))).toEqual([]);
  });

  it('is sealed with a key that another process destroyed only where the append is refused', async () => {
    const world = await newWorld(true);
    const { keyDatabase, secret, vault } = world;
    if (keyDatabase === null || vault === null) throw new Error('a sealed world has keys');
    const stale = new KeyVault(keyDatabase, secret);
    const payload = { namedIds: [hashId('user_id', 'u1')], payload: Buffer.from('\0x') };
    await stale.seal([payload]);
    await vault.destroy(payload.namedIds);
    const opens = async (sealed: readonly Buffer[]) =>
      (await new KeyVault(keyDatabase, secret).open(sealed.map((each) => ({ anchor_id: '', payload: each })))).length;
    expect(await opens(await stale.seal([payload], { mayRemember: true }))).toBe(0);
    expect(await opens(await stale.seal([payload]))).toBe(1);
    expect(await opens(await stale.seal([payload], { mayRemember: true }))).toBe(1);
  });

  it('has one key for each identifier, whoever comes first', async () => {
    const world = await newWorld(true);
    const { keyDatabase, secret } = world;
    if (keyDatabase === null) throw new Error('a sealed world has keys');
    const vaults = Array.from({ length: 4 }, () => new KeyVault(keyDatabase, secret));
    const payloads = somePayloads(300);
    const sealed = await Promise.all(vaults.map((vault) => vault.seal(payloads)));
    for (const each of sealed) {
      const rows = payloads.map(({ anchor_id }, i) => ({ anchor_id, payload: each[i] ?? Buffer.alloc(0) }));
      const opened = await (vaults[0] as KeyVault).open(rows);
      expect(opened.map(({ payload }) => payload.toString())).toEqual(
        payloads.map(({ payload }) => payload.toString()),
      );
    }
    expect(await keyDatabase.query('SELECT FROM sealing_keys')).toHaveLength(300);
  });

  it('seals and opens what more people sent than it remembers keys of', async () => {
    const world = await newWorld(true);
    const { keyDatabase, secret } = world;
    if (keyDatabase === null) throw new Error('a sealed world has keys');
    const vault = new KeyVault(keyDatabase, secret, { maxCachedKeys: 2 });
    const payloads = somePayloads(5);
    // The first is remembered when the others come, and pushed out by them.
    await vault.seal(payloads.slice(0, 1));
    const sealed = await vault.seal(payloads);
    const rows = payloads.map(({ anchor_id }, i) => ({ anchor_id, payload: sealed[i] ?? Buffer.alloc(0) }));
    await vault.open(rows.slice(0, 1));
    expect((await vault.open(rows)).map(({ payload }) => payload)).toEqual(payloads.map(({ payload }) => payload));
  });
});

function somePayloads(count: number): { anchor_id: string; namedIds: string[]; payload: Buffer }[] {
  return Array.from({ length: count }, (_, i) => {
    const id = hashId('user_id', String(i));
    return { anchor_id: id, namedIds: [id], payload: Buffer.from(`\0${String(i)}`) };
  });
}
