import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseIdentityRules } from '../../src/identity/parse-identity-rules.js';
import type { IdentityRuleSet } from '../../src/identity/identity-rules.model.js';
import type { IdentityRulesPreview } from '../../src/identity/rules-preview.model.js';
import { differenceOf, whoIsWho } from '../support/who-is-who.js';
import { anIdentify, createWorld, MINUTE_MS, START_MS, type World } from '../support/world.js';

let world: World;

/** The same at each run. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return Math.floor((state / 0x8000_0000) * below);
  };
}

/** People who share browsers and addresses, over some days, so that every kind of rule has something to say. */
beforeAll(async () => {
  world = await createWorld(START_MS, { limits: { maxRevisionComponents: 5 } });
  const random = randomOf(7);
  for (let i = 0; i < 160; i++) {
    world.clock.advance(random(4) * 2 * 60 * MINUTE_MS);
    const crowd = random(20);
    const any = (most: number): string => `${String(crowd)}-${String(random(most))}`;
    const named = {
      ...(random(3) === 0 ? {} : { user_id: `u${any(2)}` }),
      ...(random(2) === 0 ? {} : { email: `m${any(4)}@example.org` }),
      ...(random(2) === 0 ? {} : { anonymous_id: `c${any(4)}` }),
      ...(random(3) === 0 ? { loyalty_card: `l${any(3)}` } : {}),
    };
    if (Object.keys(named).length > 0) await world.accept([anIdentify(named)]);
  }
  await world.drain();
});

afterAll(() => world.close());

const rulesOf = (text: string): IdentityRuleSet => parseIdentityRules(`identity: ${text}`, 'identity.yaml').rules;

async function everything(): Promise<unknown> {
  const tables = ['identifiers', 'profiles', 'evidence', 'identity_rules', 'identity_revisions', 'identity_moves'];
  return Promise.all(
    tables.map((table) => world.db.query(`SELECT to_jsonb(t)::text AS row FROM ${table} t ORDER BY 1`)),
  );
}

function preview(rules: IdentityRuleSet | null): Promise<IdentityRulesPreview> {
  return world.engine.identity.rulesPreviews.preview(rules, { place: null, maxExamined: 10_000 });
}

async function apply(rules: IdentityRuleSet) {
  const change = await world.engine.services.identityRules.apply(rules, {
    by: 'a test',
    isDryRun: false,
    reresolve: { actor: 'a test', reason: '' },
  });
  await world.drain();
  const { revisions } = world.engine.identity;
  return change.revisionId === null ? null : revisions.get(change.revisionId);
}

async function reresolveAll() {
  const { revisions } = world.engine.identity;
  const { id } = await revisions.request({ kind: 'rules', input: {} }, { actor: 'a test', reason: '' });
  await world.drain();
  return revisions.get(id);
}

describe('a preview of rules of who is who', () => {
  const CHANGES = [
    '{ namespaces: { email: { limit: 2 } } }',
    '{ namespaces: { email: { limit: 1 }, user_id: { limit: 2 } } }',
    '{ namespaces: { anonymous_id: { window: 1d, limit: 1 } } }',
    '{ namespaces: { anonymous_id: { window: 2d, limit: 1 } } }',
    '{ namespaces: { email: { may_merge: false } } }',
    '{ namespaces: { anonymous_id: { priority: 95 }, email: { limit: 1 } } }',
    '{ namespaces: { anonymous_id: { shared: isolate } } }',
    '{ namespaces: { anonymous_id: { shared: last_user }, email: { shared: isolate } } }',
    '{ max_identifiers: 3 }',
    '{ max_identifiers: 4, fallback: { unique: true } }',
    '{ fallback: { may_merge: false } }',
    '{}',
    // Values, patterns and mailboxes that are blocked, and that are so no more.
    '{ blocked: { values: [l1-0, l1-1, l2-1] } }',
    `{ blocked: { patterns: [{ namespace: user_id, pattern: 'u\\d+-0' }, 'l4-.*'], mailboxes: [m7-1, m8-2] } }`,
    '{}',
    `{ namespaces: { email: { limit: 2 } }, blocked: { patterns: ['c1.-0'], mailboxes: [m7-1, m7-2, m9-0] } }`,
    '{ namespaces: { anonymous_id: { priority: 95 } } }',
    '{ blocked: { values: [c3-1] }, namespaces: { anonymous_id: { priority: 95 } } }',
    '{}',
  ];

  it('says exactly what resolving anew then does, whatever the change, and nobody is missed', async () => {
    const seen = { split: 0, merged: 0, added: 0, spared: 0, blocked: 0 };
    for (const text of CHANGES) {
      const rules = rulesOf(text);
      const before = await whoIsWho(world);
      const told = await preview(rules);
      const revision = await apply(rules);
      const after = await whoIsWho(world);
      expect(told, text).toMatchObject({ ...differenceOf(before, after), place: null, contested: 0 });
      expect(revision, text).toMatchObject({ status: 'done' });
      // What falls apart because of blocked values is looked at twice, and those that are put back are moves, too.
      if (!told.causes.some((cause) => cause.startsWith('blocked'))) {
        const result = { moved: told.identifiersMoved, resolved: told.examined };
        expect(revision, text).toMatchObject({ stepsDone: told.looked, result });
      }
      for (const { kind, from, to, count } of told.examples) {
        const left = [...before].filter(([id, profile]) => profile === from && after.get(id) !== profile);
        const arrived = left.filter(([id]) =>
          to === null ? ![...before.values()].includes(after.get(id) ?? '') : after.get(id) === to,
        );
        expect(arrived.length, text).toBeGreaterThanOrEqual(count);
        expect(kind, text).toBe([...after.values()].includes(from) ? 'split' : 'merge');
      }
      // Of those whom the change did not reach nobody would have come out otherwise.
      expect((await reresolveAll()).result, text).toMatchObject({ moved: 0 });
      seen.split += told.profilesSplit;
      seen.merged += told.profilesMerged;
      seen.added += told.profilesAdded;
      seen.spared += told.looked - told.examined;
      seen.blocked += told.valuesUncounted;
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(10);
  });

  it('writes nothing', async () => {
    const before = await everything();
    const told = await preview(rulesOf('{ namespaces: { email: { limit: 1 } } }'));
    expect(told.identifiersMoved).toBeGreaterThan(0);
    expect(await everything()).toEqual(before);
  });

  it('comes to the same in parts, each of which says where the next begins', async () => {
    const rules = rulesOf('{ namespaces: { email: { limit: 1 } } }');
    const whole = await preview(rules);
    expect(whole.componentsTotal).toBe(whole.looked);
    let place: string | null = null;
    let [moved, examined, looked, parts] = [0, 0, 0, 0];
    do {
      const part: IdentityRulesPreview = await world.engine.identity.rulesPreviews.preview(rules, {
        place,
        maxExamined: 3,
      });
      expect(part.examined).toBeLessThanOrEqual(3);
      expect(part.componentsTotal ?? Infinity).toBeGreaterThanOrEqual(part.looked);
      moved += part.identifiersMoved;
      examined += part.examined;
      looked += part.looked;
      ({ place } = part);
      parts++;
    } while (place !== null);
    expect(parts).toBeGreaterThan(2);
    expect({ moved, examined, looked }).toEqual({
      moved: whole.identifiersMoved,
      examined: whole.examined,
      looked: whole.looked,
    });
  });

  it('says of a change of what is accepted that it concerns nobody who is there', async () => {
    const told = await preview(rulesOf('{ email: { gmail: true }, default_region: GB }'));
    expect(told).toMatchObject({ causes: [], examined: 0, looked: 0, componentsTotal: 0, identifiersMoved: 0 });
    expect(told).toMatchObject({ place: null, warnings: [] });
    expect(told.changes).toHaveLength(2);
  });

  it('without rules, says what resolving everybody anew would do by those in force', async () => {
    await world.engine.services.identityRules.apply(rulesOf('{ namespaces: { email: { limit: 1 } } }'), {
      by: 'a test',
      isDryRun: false,
    });
    const before = await whoIsWho(world);
    const told = await preview(null);
    expect(told.identifiersMoved).toBeGreaterThan(0);
    expect((await reresolveAll()).result).toMatchObject({ moved: told.identifiersMoved });
    expect(told).toMatchObject(differenceOf(before, await whoIsWho(world)));
  });

  it('can be followed by resolving anew those whom a change since a version reaches, which another process goes on with', async () => {
    const { identityRules } = world.engine.services;
    const { current } = await identityRules.apply(rulesOf('{ max_identifiers: 3 }'), { by: 'a test', isDryRun: false });
    const { revisions } = world.engine.identity;
    const input = { since: current.rules.version - 1 };
    const { id } = await revisions.request({ kind: 'rules', input }, { actor: 'a test', reason: '' });
    while ((await revisions.get(id)).stepsDone === 0) await world.engine.worker.runOnce();
    await world.engine.worker.stop();
    await (await world.another()).worker.drain();
    const { status, result } = await revisions.get(id);
    expect(status).toBe('done');
    expect(result?.moved).toBeGreaterThan(0);
    await expect(
      revisions.request({ kind: 'rules', input: { since: 999 } }, { actor: 'a test', reason: '' }),
    ).rejects.toMatchObject({ code: 'NOT_FOUND', where: 'version' });
  });
});
