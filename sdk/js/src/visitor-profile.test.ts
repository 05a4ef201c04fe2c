import { beforeEach, describe, expect, it } from 'vitest';
import { createConsentGate } from './consent-gate.js';
import type { EdgeQuestion } from './edge-client.js';
import type { Profile } from './profile.model.js';
import { createStore } from './storage.js';
import { createVisitor } from './visitor.js';
import { createVisitorProfile } from './visitor-profile.js';

const aProfile = (segments: readonly string[], more: Partial<Profile> = {}): Profile => ({
  known: true,
  degraded: false,
  asOf: '2026-01-01T00:00:00.000Z',
  segments,
  traits: {},
  scores: [],
  ...more,
});

/** Questions wait until the test answers them. */
function world() {
  const store = createStore(null);
  const visitor = createVisitor(store, 'weft:');
  const gate = createConsentGate('granted');
  const questions: (EdgeQuestion & { answer: (answer: Profile | null) => void })[] = [];
  const clock = { nowMs: 1_000_000 };
  const profile = createVisitorProfile({
    ask: (question) =>
      new Promise((resolve) => {
        questions.push({ ...question, answer: resolve });
      }),
    visitor,
    gate,
    store,
    tokenKey: 'weft:token',
    initial: null,
    default: { segments: ['everybody'] },
    deadlineMs: 100,
    refreshMs: 30_000,
    isVisible: () => true,
    now: () => clock.nowMs,
    random: () => 0,
    later: () => () => undefined,
    sleep: () => Promise.resolve(),
  });
  return { profile, questions, gate, clock, store };
}

describe('what is asked about a visitor', () => {
  let made: ReturnType<typeof world>;
  beforeEach(() => {
    made = world();
  });

  it('is asked once for all who want to know at the same time', async () => {
    const { profile, questions } = made;
    const answers = [profile.ask(), profile.ask()];
    expect(questions).toHaveLength(1);
    questions[0]?.answer(aProfile(['vip']));
    expect((await Promise.all(answers)).map(({ segments }) => segments)).toEqual([['vip'], ['vip']]);
    void profile.ask();
    expect(questions).toHaveLength(2);
  });

  it('leaves nothing in the browser of events whose answer comes after the consent was withdrawn', () => {
    const { profile, gate, store } = made;
    gate.set('denied');
    profile.forget();
    profile.sent('token-1');
    expect(store.get('weft:token')).toBeNull();
  });

  it('is asked anew after own events, and what was asked before them does not count any more', async () => {
    const { profile, questions } = made;
    const before = profile.ask();
    profile.sent('token-1');
    const after = profile.ask();
    expect(questions.map((question) => question.after)).toEqual([undefined, 'token-1']);
    questions[1]?.answer(aProfile(['cart_owners']));
    await after;
    questions[0]?.answer(aProfile([]));
    await before;
    expect(profile.watch.current().segments).toEqual(['cart_owners']);
  });

  it('names the last token until an answer counts it, for a minute at most', async () => {
    const { profile, questions, clock } = made;
    profile.sent('token-1');
    const first = profile.ask();
    questions[0]?.answer(aProfile([], { degraded: true }));
    await first;
    const second = profile.ask();
    expect(questions[1]?.after).toBe('token-1');
    questions[1]?.answer(aProfile([]));
    await second;
    void profile.ask();
    expect(questions[2]?.after).toBeUndefined();
    profile.sent('token-2');
    clock.nowMs += 60_000;
    void profile.ask();
    expect(questions.at(-1)?.after).toBeUndefined();
  });

  it('is the default of the caller, else of the client, where no answer comes', async () => {
    const { profile, questions } = made;
    const answers = [profile.ask(), profile.ask({ default: { segments: ['nobody'] } })];
    questions[0]?.answer(null);
    expect((await Promise.all(answers)).map(({ segments }) => segments)).toEqual([['everybody'], ['nobody']]);
  });

  it('is forgotten with the visitor: an answer that was under way is nobody’s', async () => {
    const { profile, questions } = made;
    const answer = profile.ask();
    profile.forget();
    questions[0]?.answer(aProfile(['vip']));
    expect(await answer).toMatchObject({ segments: ['everybody'], degraded: true });
    expect(profile.watch.current().segments).toEqual(['everybody']);
  });

  it('is not asked without consent', async () => {
    const { profile, questions, gate } = made;
    gate.set('denied');
    const identifier = { namespace: 'user_id', value: 'ann', signature: 'any' };
    expect(await profile.ask()).toMatchObject({ segments: ['everybody'] });
    expect(await profile.ask({ identifier })).toMatchObject({ segments: ['everybody'] });
    expect(questions).toEqual([]);
  });
});
