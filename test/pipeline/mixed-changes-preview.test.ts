import { afterEach, describe, expect, it } from 'vitest';
import { applyRules, ASKER, rulesOf } from '../support/blocked-world.js';
import { pick, randomFrom } from '../support/random-log.js';
import { differenceOf, whoIsWho } from '../support/who-is-who.js';
import { anIdentify, createWorld, START_MS, type World } from '../support/world.js';

const HISTORIES = Number(process.env['WEFT_TEST_HISTORIES'] ?? 1);
const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 3);
const SEEDS = Array.from({ length: HISTORIES }, (_, i) => SEED + i);
const CHANGES = 8;
const CROWDS = 12;

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** People of some crowds who share cards, accounts and browsers. */
async function crowdedWorld(random: () => number): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxRevisionComponents: 5 } });
  worlds.push(world);
  const below = (most: number): number => Math.floor(random() * most);
  for (let i = 0; i < 120; i++) {
    const crowd = below(CROWDS);
    const any = (most: number): string => `${String(crowd)}-${String(below(most))}`;
    const named = {
      ...(below(3) === 0 ? {} : { user_id: `u${any(2)}` }),
      ...(below(2) === 0 ? {} : { email: `m${any(4)}@example.org` }),
      ...(below(2) === 0 ? {} : { anonymous_id: `c${any(4)}` }),
      ...(below(3) === 0 ? { loyalty_card: `l${any(3)}` } : {}),
    };
    if (Object.keys(named).length > 0) await world.accept([anIdentify(named, {}, { messageId: `m${String(i)}` })]);
  }
  await world.drain();
  return world;
}

/** Rules of which each blocks some values that those before do not, and the other way round. */
function mixedRules(random: () => number): string {
  const below = (most: number): number => Math.floor(random() * most);
  const blocked = Array.from({ length: below(14) }, () =>
    pick(random, [
      `l${String(below(CROWDS))}-${String(below(3))}`,
      `u${String(below(CROWDS))}-${String(below(2))}`,
      `c${String(below(CROWDS))}-${String(below(4))}`,
    ]),
  );
  return `{ namespaces: { email: { limit: ${String(1 + below(3))} } }, blocked: { values: [${blocked.join(', ')}] } }`;
}

/** By `WEFT_TEST_HISTORIES` more of them, from `WEFT_TEST_SEED` on. */
describe('a preview of rules that block some values and let go of others', () => {
  it.each(SEEDS)(
    'says exactly who then stands for whom, of which nothing is left to be resolved (seed %i)',
    async (seed) => {
      const random = randomFrom(seed);
      const world = await crowdedWorld(random);
      for (let i = 0; i < CHANGES; i++) {
        const text = mixedRules(random);
        const before = await whoIsWho(world);
        const told = await world.engine.identity.rulesPreviews.preview(rulesOf(text), {
          place: null,
          maxExamined: 10_000,
        });
        await applyRules(world, text);
        expect(told, `change ${String(i)}: ${text}`).toMatchObject(differenceOf(before, await whoIsWho(world)));
        const { id } = await world.engine.identity.revisions.request({ kind: 'rules', input: {} }, ASKER);
        await world.drain();
        expect((await world.engine.identity.revisions.get(id)).result, text).toMatchObject({ moved: 0 });
      }
    },
    240_000,
  );
});
