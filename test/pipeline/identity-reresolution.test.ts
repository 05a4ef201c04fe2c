import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { IdentityRevisionRecord } from '../../src/identity/identity-revision.model.js';
import { parseIdentityRules } from '../../src/identity/parse-identity-rules.js';
import { Pipeline } from '../../src/pipeline.js';
import { checkRevisions } from '../../src/monitoring/doctor.js';
import { hashId, newId, type Uuid } from '../../src/platform/ids.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { anIdentify, createWorld, MINUTE_MS, START_MS, type World } from '../support/world.js';

/* What all rest on changes here by links that nobody decided: as a change of the rules would, for every component. */

const PEOPLE = 7;
const retries: number[] = [];
let world: World;

beforeEach(async () => {
  retries.length = 0;
  world = await createWorld(START_MS, {
    limits: { maxRevisionComponents: 2 },
    observers: { retrying: (_, attempt) => retries.push(attempt) },
  });
  for (let i = 0; i < PEOPLE; i++) {
    world.clock.advance(MINUTE_MS);
    await world.accept([anIdentify({ user_id: `u${String(i)}`, anonymous_id: `c${String(i)}` })]);
  }
  await world.drain();
});

afterEach(() => world.close());

const idOf = (ns: string, value: string): Uuid => hashId(ns, value);

/** Says of everybody that the account is not the cookie's. */
async function keepApart(): Promise<void> {
  await world.db.transaction(async (tx) => {
    await tx.query('UPDATE installation SET has_identity_links = true, definitions_version = definitions_version + 1');
    for (let i = 0; i < PEOPLE; i++) {
      const [u, c] = [`u${String(i)}`, `c${String(i)}`];
      const [a, b] = [
        { id: idOf('user_id', u), ns: 'user_id', value: u },
        { id: idOf('anonymous_id', c), ns: 'anonymous_id', value: c },
      ].sort((x, y) => (x.id < y.id ? -1 : 1));
      await tx.query(
        `INSERT INTO identity_links (id, kind, a_id, b_id, a_ns, a_value, b_ns, b_value, revision_id, created_by, created_at, reason)
         VALUES ($1, 'cannot', $2, $3, $4, $5, $6, $7, $1, 'a test', 0, '')`,
        [newId(0), a?.id, b?.id, a?.ns, a?.value, b?.ns, b?.value],
      );
    }
  });
  world.engine.definitions.invalidate();
}

async function asked(): Promise<() => Promise<IdentityRevisionRecord>> {
  const { revisions } = world.engine.identity;
  const { id } = await revisions.request({ kind: 'rules', input: {} }, { actor: 'a test', reason: 'other rules' });
  return () => revisions.get(id);
}

const profiles = async (): Promise<readonly string[]> => (await knownOf(world)).profiles;

const apart = Array.from({ length: PEOPLE }, (_, i) => [`user_id:u${String(i)}`, `anonymous_id:c${String(i)}`])
  .flat()
  .sort();

describe('resolving all identities anew', () => {
  it('goes by pages of components, tells how far it is, and has events applied in between', async () => {
    await keepApart();
    const revision = await asked();
    const done: number[] = [];
    let next = 0;
    while ((await revision()).status !== 'done') {
      world.clock.advance(MINUTE_MS);
      await world.accept([anIdentify({ user_id: 'u0', email: 'u0@example.com' })]);
      next++;
      await world.engine.worker.runOnce();
      done.push((await revision()).stepsDone);
    }
    await world.drain();
    expect([...new Set(done)].filter((n) => n > 0)).toEqual([2, 4, 6, 7]);
    // The first event of somebody concerned resolves them, as ever.
    expect(await revision()).toMatchObject({ status: 'done', stepsTotal: 7, result: { moved: PEOPLE - 1, failed: 0 } });
    expect(next).toBeGreaterThan(3);
    expect(await profiles()).toEqual(
      apart.map((name) => (name === 'user_id:u0' ? 'email:u0@example.com user_id:u0' : name)).sort(),
    );
    expect(await strays(world.db)).toEqual([]);
  });

  it('has nobody stand still while it looks for those whom a change concerns', async () => {
    for (const email of ['a@example.com', 'b@example.com']) await world.accept([anIdentify({ user_id: 'u3', email })]);
    await world.drain();
    const revise = vi.spyOn(Pipeline.prototype, 'revise');
    const apply = async (text: string) => {
      revise.mockClear();
      const { rules } = parseIdentityRules(`identity: ${text}`, 'identity.yaml');
      const reresolve = { actor: 'a test', reason: '' };
      const change = await world.engine.services.identityRules.apply(rules, {
        by: 'a test',
        isDryRun: false,
        reresolve,
      });
      await world.drain();
      return world.engine.identity.revisions.get(change.revisionId ?? '');
    };
    try {
      expect(await apply('{ namespaces: { email: { limit: 1 } } }')).toMatchObject({
        ...{ status: 'done', stepsDone: PEOPLE, stepsTotal: PEOPLE },
        result: { resolved: 1, moved: 1 },
      });
      expect(revise).toHaveBeenCalledTimes(1);
      expect(await apply('{ namespaces: { email: { limit: 1 }, phone: { limit: 1 } } }')).toMatchObject({
        ...{ status: 'done', stepsDone: PEOPLE, stepsTotal: PEOPLE },
        result: { resolved: 0, moved: 0 },
      });
      expect(revise).not.toHaveBeenCalled();
    } finally {
      revise.mockRestore();
    }
  });

  it('is gone on with by another process where one was killed, and changes nothing the second time', async () => {
    await keepApart();
    const revision = await asked();
    while ((await revision()).stepsDone < 4) await world.engine.worker.runOnce();
    await world.engine.worker.stop();
    const another = await world.another();
    await another.worker.drain();
    expect(await revision()).toMatchObject({ status: 'done', stepsDone: PEOPLE, result: { moved: PEOPLE } });
    expect(await profiles()).toEqual(apart);
    const before = await knownOf(world);
    const { revisions } = another.identity;
    const again = await revisions.request({ kind: 'rules', input: {} }, { actor: 'a test', reason: '' });
    await another.worker.drain();
    expect(await revisions.get(again.id)).toMatchObject({ status: 'done', result: { moved: 0 } });
    expect(await knownOf(world)).toEqual(before);
  });

  it('passes over a component that cannot be resolved, and says so', async () => {
    await keepApart();
    expect(await checkRevisions(world.db)).toMatchObject({ outcome: 'ok' });
    // Evidence that names somebody of another component.
    const broken = idOf('user_id', 'u3');
    await world.db.query(
      `INSERT INTO evidence (anchor_id, set_id, day, occurred_at, source_id, message_id, known_at, identifier_ids)
       VALUES ($1, $2, 1, 1, 1, 'x', 1, ARRAY[$1, $3]::uuid[])`,
      [broken, newId(0), idOf('user_id', 'u4')],
    );
    const revision = await asked();
    for (let i = 0; (await revision()).status !== 'failed'; i++) {
      expect(i).toBeLessThan(200);
      world.clock.advance(MINUTE_MS);
      await world.drain();
    }
    expect(await revision()).toMatchObject({
      stepsDone: PEOPLE,
      result: { moved: PEOPLE - 1, failed: 1 },
      failure: { code: 'INTERNAL', message: '1 components could not be resolved and are as they were' },
    });
    expect(retries.length).toBeGreaterThan(3);
    expect(await profiles()).toEqual(
      [...apart.filter((name) => !name.endsWith('3')), 'anonymous_id:c3 user_id:u3'].sort(),
    );
    const found = await checkRevisions(world.db);
    expect(found).toMatchObject({ outcome: 'warning' });
    expect(found.detail).toContain('1 components could not be resolved');

    await world.db.query(`DELETE FROM evidence WHERE message_id = 'x'`);
    world.clock.advance(MINUTE_MS);
    await asked();
    await world.drain();
    expect(await profiles()).toEqual(apart);
    expect(await checkRevisions(world.db)).toMatchObject({ outcome: 'ok' });
  });
});
