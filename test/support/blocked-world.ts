import type { EngineLimits } from '../../src/engine-limits.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { parseIdentityRules } from '../../src/identity/parse-identity-rules.js';
import { defineSome, pick, randomFrom } from './random-log.js';
import { knownOf } from './retraction-builders.js';
import { settleGenerics } from './settle-generics.js';
import { aTrack, anIdentify, createWorld, HOUR_MS, START_MS, type World } from './world.js';

export const ASKER = { actor: 'a test', reason: 'rules' };
export const rulesOf = (text: string) => parseIdentityRules(`identity: ${text}`, 'identity.yaml').rules;
export const OPEN = '{ namespaces: { email: { limit: 3 } } }';
/** A value, a pattern, and a mailbox. */
export const BLOCKED = `{ namespaces: { email: { limit: 3 } }, blocked: { values: [desk], mailboxes: [info],
  patterns: [{ namespace: user_id, pattern: 'test-.*' }] } }`;

export const TILL_IS_BLOCKED = '{ namespaces: { email: { limit: 3 } }, blocked: { values: [till] } }';

/** A world with some features and segments, an hour after its start. */
export async function blockedWorld(
  limits: Partial<EngineLimits> = {},
  options: { readonly sealed?: boolean } = {},
): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxRevisionComponents: 7, ...limits }, ...options });
  await world.accept([], { source: 'web' });
  await defineSome(world);
  world.clock.advance(HOUR_MS);
  return world;
}

/** Applies rules without carrying them out for those who are there; the revision that does, if one was asked for. */
export async function putInForce(world: World, text: string, isReresolving: boolean): Promise<string | null> {
  const asked = { by: 'a test', isDryRun: false, ...(isReresolving ? { reresolve: ASKER } : {}) };
  return (await world.engine.services.identityRules.apply(rulesOf(text), asked)).revisionId;
}

/** Applies rules, and waits until all is as it is to be by them. */
export async function applyRules(world: World, text: string, isReresolving = true) {
  const id = await putInForce(world, text, isReresolving);
  await settleGenerics(world);
  return id === null ? null : world.engine.identity.revisions.get(id);
}

/** People who share desks, test accounts and mailboxes; each event names somebody who is not blocked, too. */
export function sentBySharers(seed: number, count: number): IncomingEvent[] {
  const random = randomFrom(seed);
  const any = (most: number): string => String(Math.floor(random() * most));
  return Array.from({ length: count }, (_, i) => {
    const crowd = any(6);
    const identifiers = {
      [pick(random, ['email', 'anonymous_id'])]: `p${crowd}-${any(3)}@example.org`,
      ...(random() < 0.4 ? { user_id: random() < 0.5 ? `test-${any(2)}` : `u${crowd}` } : {}),
      ...(random() < 0.3 ? { loyalty_card: random() < 0.5 ? 'desk' : `card-${crowd}-${any(2)}` } : {}),
      ...(random() < 0.3 ? { work_email: 'x', email: `info@shop${any(2)}.example` } : {}),
    };
    const at = { messageId: `m${String(i)}`, timestampMs: START_MS + Math.floor(random() * 50) * 60_000 };
    return random() < 0.3
      ? anIdentify(
          identifiers,
          { plan: pick(random, ['pro', 'free']), ...(i % 2 === 0 ? { name: `n${i % 16}`, town: 'Hull' } : {}) },
          at,
        )
      : aTrack(pick(random, ['view', 'buy']), identifiers, { ...at, properties: { total: i } });
  });
}

/** All that is known of some worlds at one instant, but for where it is in the log. */
export async function knownTogether(...some: World[]) {
  const until = Math.max(...some.map(({ clock }) => clock.now()));
  for (const world of some) {
    world.clock.advance(until - world.clock.now());
    await settleGenerics(world);
  }
  return Promise.all(
    some.map(async (world) => {
      const { profiles, traits, features, states, memberships, components } = await knownOf(world);
      return { profiles, traits, features, states, memberships, components };
    }),
  );
}

/** Values that count for nobody, or did. */
export const valuesOf = (world: World) =>
  world.db.query<{ value: string; isGeneric: boolean; isBlocked: boolean; isMoving: boolean }>(
    `SELECT value, is_generic AS "isGeneric", is_blocked AS "isBlocked", is_moving AS "isMoving" FROM generic_values
     ORDER BY value`,
  );
