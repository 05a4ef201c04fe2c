import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityStep } from '../../src/identity/identity.step.js';
import { ContestedComponentStore } from '../../src/identity/contested-component.store.js';
import { GenericValueStore } from '../../src/identity/generic-value.store.js';
import { IdentityLinkStore } from '../../src/identity/identity-link.store.js';
import { IdentityStore } from '../../src/identity/identity.store.js';
import { newId } from '../../src/platform/ids.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { anEvent, HOUR_MS, START_MS } from '../support/identity-builders.js';

const MAX_REPLAY_ROWS = 20;

describe('a component with more evidence than is replayed', () => {
  let test: TestDatabase;
  let pos = 0;

  beforeEach(async () => {
    test = await createTestDatabase();
    pos = 0;
  });

  afterEach(async () => {
    await test.drop();
  });

  const aStep = (): IdentityStep =>
    new IdentityStep({
      store: new IdentityStore(),
      links: new IdentityLinkStore(),
      contested: new ContestedComponentStore(),
      generics: new GenericValueStore(),
      rules: DEFAULT_IDENTITY_RULES,
      partitions: 16,
      newId,
      maxReplayRows: MAX_REPLAY_ROWS,
    });

  /** Applies events as one batch; how many found their component contested. */
  async function apply(step: IdentityStep, events: readonly LoggedEvent[]): Promise<number> {
    const contested = await test.database.transaction(async (tx) => {
      const batch = await step.resolve(tx, events, false);
      await step.save(tx, batch);
      return batch.contested;
    });
    step.release();
    return contested;
  }

  const seen = (hours: number, ...names: string[]): LoggedEvent =>
    anEvent({ atMs: START_MS + hours * HOUR_MS, names, pos: ++pos, messageId: `m${String(pos)}` });

  const cookies = (count: number): LoggedEvent[] =>
    Array.from({ length: count }, (_, i) => seen(i, 'email:info@shop.example', `anonymous_id:c${String(i)}`));

  async function profileOf(value: string): Promise<string | undefined> {
    const rows = await test.database.query<{ profile_id: string }>(
      'SELECT profile_id FROM identifiers WHERE value = $1',
      [value],
    );
    return rows[0]?.profile_id;
  }

  it.each([
    ['in memory', false],
    ['read anew', true],
  ])('stands as it is: who comes is by themselves, and nobody moves (%s)', async (_, anew) => {
    let step = aStep();
    expect(await apply(step, cookies(MAX_REPLAY_ROWS))).toBe(0);
    const before = await profileOf('info@shop.example');
    expect(await profileOf('c4')).toBe(before);
    expect(await profileOf('c5')).not.toBe(before);
    if (anew) step = aStep();
    // Months later there would be room for one more; earlier than all others it would push one out.
    const later = [
      seen(5_000, 'email:info@shop.example', 'anonymous_id:later'),
      seen(-1, 'email:info@shop.example', 'anonymous_id:earlier'),
    ];
    expect(await apply(step, later)).toBe(2);
    if (anew) step = aStep();
    expect(await apply(step, [seen(6_000, 'email:info@shop.example', 'anonymous_id:last')])).toBe(1);
    const profiles = await Promise.all(['info@shop.example', 'c4', 'later', 'earlier', 'last'].map(profileOf));
    expect(profiles.slice(0, 2)).toEqual([before, before]);
    expect(new Set(profiles.slice(1)).size).toBe(4);
  });

  it('takes in no other component that meets it', async () => {
    const step = aStep();
    await apply(step, [seen(0, 'user_id:ana', 'phone:+447700900123'), ...cookies(MAX_REPLAY_ROWS + 1)]);
    const [ana, shop] = [await profileOf('ana'), await profileOf('info@shop.example')];
    expect(await apply(step, [seen(100, 'user_id:ana', 'email:info@shop.example')])).toBe(1);
    expect(await apply(aStep(), [seen(101, 'user_id:ana', 'anonymous_id:new')])).toBe(1);
    expect([await profileOf('ana'), await profileOf('info@shop.example')]).toEqual([ana, shop]);
    expect([ana, shop]).not.toContain(await profileOf('new'));
  });
});
