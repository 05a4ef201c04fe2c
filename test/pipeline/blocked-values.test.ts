import { afterEach, describe, expect, it } from 'vitest';
import { MAX_BLOCKED_VALUES } from '../../src/identity/generic-value.model.js';
import {
  applyRules,
  ASKER,
  BLOCKED,
  blockedWorld,
  knownTogether,
  OPEN,
  rulesOf,
  sentBySharers,
  valuesOf,
} from '../support/blocked-world.js';
import { randomFrom, shuffled } from '../support/random-log.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, anIdentify, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(...options: Parameters<typeof blockedWorld>): Promise<World> {
  const world = await blockedWorld(...options);
  worlds.push(world);
  return world;
}

describe('values that are blocked after events have brought them', () => {
  it('count as if they had been blocked from the start once those whom it concerns are resolved, and as if never once they are not', async () => {
    const events = sentBySharers(11, 160);
    const [late, early, never] = [await newWorld({}, { sealed: true }), await newWorld(), await newWorld()];
    for (const world of [late, never]) await applyRules(world, OPEN);
    await applyRules(early, BLOCKED);
    for (const world of [late, early, never]) {
      for (const [i, event] of shuffled(randomFrom(5), events).entries()) {
        await world.accept([event]);
        if (i % 50 === 0) await world.drain();
      }
      await world.drain();
    }
    const revision = await applyRules(late, BLOCKED);
    expect(revision).toMatchObject({ status: 'done', result: { failed: 0, beyondBound: 0 } });
    expect(revision?.result?.moved).toBeGreaterThan(5);
    expect(await valuesOf(late)).toEqual(
      ['desk', 'info@shop0.example', 'info@shop1.example', 'test-0', 'test-1'].map((value) => ({
        ...{ value, isGeneric: true, isBlocked: true, isMoving: false },
      })),
    );
    const [parted, always] = await knownTogether(late, early);
    expect(parted).toEqual(always);
    expect(await strays(late.db)).toEqual([]);

    await applyRules(late, OPEN);
    expect(
      (await valuesOf(late)).filter(({ isGeneric, isBlocked, isMoving }) => isGeneric || isBlocked || isMoving),
    ).toEqual([]);
    const [joined, open] = await knownTogether(late, never);
    expect(joined).toEqual(open);
    expect(await strays(late.db)).toEqual([]);
  });

  it('join nobody else meanwhile, and are gone on with by another process; what carries nothing else stays with them', async () => {
    const world = await newWorld();
    const desk = { loyalty_card: 'desk' };
    await world.accept([
      anIdentify({ ...desk, email: 'a@example.org' }, { plan: 'pro' }),
      aTrack('buy', { ...desk, email: 'b@example.org' }),
      aTrack('view', desk),
    ]);
    await world.drain();
    await applyRules(world, BLOCKED, false);
    await world.accept([aTrack('view', { ...desk, email: 'c@example.org' })]);
    await world.drain();
    const partition = async () => (await knownOf(world)).profiles;
    expect(await partition()).toEqual([
      'email:a@example.org email:b@example.org loyalty_card:desk',
      'email:c@example.org',
    ]);
    const { revisions, generics } = world.engine.identity;
    const { id } = await revisions.request({ kind: 'rules', input: { since: 1 } }, ASKER);
    while ((await valuesOf(world)).length === 0) await world.engine.worker.runOnce();
    await world.engine.worker.stop();
    await (await world.another()).worker.drain();
    expect(await revisions.get(id)).toMatchObject({ status: 'done' });
    expect(await partition()).toEqual(
      ['a', 'b', 'c'].map((name) => `email:${name}@example.org`).concat('loyalty_card:desk'),
    );
    await expect(generics.keep({ ns: 'loyalty_card', value: 'desk' }, ASKER)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      hint: expect.stringContaining('--re-resolve') as string,
    });
  });

  it('count again, once they are blocked no more, in events that come while they are put back, and in those of a process that had not heard of it', async () => {
    const open = '{ namespaces: { email: { limit: 1 } } }';
    const [busy, calm] = [await newWorld(), await newWorld()];
    const named = (user: string, email: string, messageId: string) =>
      aTrack('view', { user_id: user, email: `${email}@example.org` }, { messageId });
    for (const world of [busy, calm]) {
      await applyRules(world, open);
      await world.accept([named('test-1', 'a', 'm1'), named('test-1', 'b', 'm2'), named('u', 'a', 'm3')]);
      await world.drain();
      await applyRules(world, '{ namespaces: { email: { limit: 1 } }, blocked: { values: [test-1] } }', world === busy);
    }
    const unaware = await busy.another();
    await unaware.definitions.current();
    for (const { engine } of [busy, calm]) {
      await engine.services.identityRules.apply(rulesOf(open), { by: 'a test', isDryRun: false });
    }
    await unaware.definitions.current();
    await busy.engine.identity.revisions.request({ kind: 'rules', input: {} }, ASKER);
    while ((await valuesOf(busy)).every(({ isMoving }) => !isMoving)) await busy.engine.worker.runOnce();
    for (const { engine } of [{ engine: unaware }, calm]) {
      await engine.accept.accept({ id: 1, key: 'web' }, [named('test-1', 'c', 'm4')], { historical: false });
    }
    for (const world of [busy, calm]) await world.accept([named('u', 'd', 'm5')]);
    const [late, never] = await knownTogether(busy, calm);
    expect(late).toEqual(never);
    expect(await strays(busy.db)).toEqual([]);
    expect((await valuesOf(busy)).map(({ isMoving }) => isMoving)).toEqual([false]);
  });

  it('are put out and back in as many steps as it takes, of which each leaves what is over to the next', async () => {
    const [stepwise, atOnce] = [await newWorld({ maxReanchoredEvents: 2 }), await newWorld()];
    for (const world of [stepwise, atOnce]) {
      await world.accept(
        ['a', 'a', 'a', 'b', 'b', 'c', 'c'].map((name, i) =>
          aTrack('view', { user_id: 'test-1', email: `${name}@example.org` }, { messageId: `m${String(i)}` }),
        ),
      );
      await world.drain();
    }
    for (const [rules, people] of [
      [BLOCKED, 3],
      [OPEN, 1],
    ] as const) {
      for (const world of [stepwise, atOnce]) {
        expect(await applyRules(world, rules)).toMatchObject({ status: 'done' });
      }
      const [inSteps, inOne] = await knownTogether(stepwise, atOnce);
      expect(inSteps).toEqual(inOne);
      expect(inOne?.profiles).toHaveLength(people);
    }
    expect(await strays(stepwise.db)).toEqual([]);
    // What is left after a step is of the revision that the rules asked for: it is done once all is.
    expect(await stepwise.db.query('SELECT DISTINCT kind FROM identity_revisions')).toEqual([{ kind: 'rules' }]);
  });

  it('are forgotten with the one person whose they were', async () => {
    const world = await newWorld();
    await world.accept(
      ['canary', 'other'].map((name) => anIdentify({ user_id: `test-${name}`, email: `${name}@example.org` })),
    );
    await world.drain();
    await applyRules(world, BLOCKED);
    const [row] = await world.db.query<{ profileId: string }>(
      `SELECT profile_id AS "profileId" FROM identifiers WHERE value = 'canary@example.org'`,
    );
    await world.engine.erasures.request({ profileId: row?.profileId ?? '' }, ASKER);
    await settleGenerics(world);
    expect((await valuesOf(world)).map(({ value }) => value)).toEqual(['test-other']);
  });

  it('count all the same where as many as may be do not, which is said', async () => {
    const world = await newWorld({ maxBlockedValues: 1 });
    await world.accept(
      ['desk', 'till'].flatMap((card) =>
        ['a', 'b'].map((name) => anIdentify({ loyalty_card: card, email: `${name}@${card}.example` })),
      ),
    );
    await world.drain();
    const revision = await applyRules(world, '{ blocked: { values: [desk, till] } }');
    expect(revision).toMatchObject({ status: 'failed', result: { beyondBound: 1 } });
    expect(revision?.failure?.message).toMatch(/^1 blocked values count all the same/);
    expect(await valuesOf(world)).toHaveLength(1);
  });

  it('count all the same beyond 50,000 of them, and of that one nothing is half done', async () => {
    const world = await newWorld();
    const shared = ['desk', 'till'].flatMap((card) =>
      ['a', 'b'].map((name) => anIdentify({ loyalty_card: card, email: `${name}@${card}.example` })),
    );
    await world.accept(shared);
    await world.drain();
    // As if 49,999 had been put out before.
    await world.db.query(
      `INSERT INTO generic_values (value_id, ns, value, is_generic, is_blocked, changed_at)
       SELECT gen_random_uuid(), 'loyalty_card', 'lost-' || n, true, true, $2 FROM generate_series(1, $1) n`,
      [MAX_BLOCKED_VALUES - 1, world.clock.now()],
    );
    const revision = await applyRules(world, `{ blocked: { values: [desk, till], patterns: ['lost-.*'] } }`);
    expect(revision).toMatchObject({
      status: 'failed',
      result: { beyondBound: 1 },
      failure: {
        code: 'PAYLOAD_TOO_LARGE',
        message: '1 blocked values count all the same: at most 50000 that came before they were blocked do not',
        where: 'identity.blocked',
        hint: 'block fewer values, and have those resolved anew whom it concerns',
      },
    });
    const [counted] = await world.db.query<{ count: number }>('SELECT count(*) FROM generic_values WHERE is_blocked');
    expect(counted).toEqual({ count: MAX_BLOCKED_VALUES });
    // The people of the one card are apart, those of the other are one still.
    const known = (await knownTogether(world))[0]?.profiles ?? [];
    const sizes = known.map((named) => named.split(' ').length).sort();
    expect(sizes).toEqual([1, 1, 3]);
    expect(await world.db.query('SELECT FROM generic_values WHERE is_moving OR is_stale')).toEqual([]);
    expect(await strays(world.db)).toEqual([]);
  });
});
