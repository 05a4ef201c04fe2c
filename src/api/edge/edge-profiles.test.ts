import { expect, it } from 'vitest';
import { Metrics } from '../../platform/metrics.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import { EdgeProfiles, type EdgeQuestion } from './edge-profiles.js';

const QUESTION: EdgeQuestion = {
  identifierIds: ['00000000-0000-7000-8000-000000000001'],
  deadlineMs: 2_000,
  onMiss: { segments: [], traits: {} },
  afterPos: null,
  definitions: {
    stored: new Map(),
    traits: [],
    edgeModels: [],
    purposes: new Map(),
    modelPurposes: new Map(),
  } as unknown as ApiDefinitions,
};

it('questions that wait for events take no room from reads, and have a bound of their own', async () => {
  let apply: () => void = () => undefined;
  const applied = new Promise<'published'>((resolve) => (apply = () => resolve('published')));
  const profiles = new EdgeProfiles({
    atHand: () => undefined,
    lastAtHand: () => undefined,
    read: () => Promise.resolve(null),
    readCommitted: () => Promise.resolve(null),
    applied: { isPublished: () => false, until: () => applied },
    scores: { known: () => [], ask: () => Promise.reject(new Error('not asked')) },
    metrics: new Metrics({ defaults: false }),
    onError: () => undefined,
    now: () => 0,
    wallClock: () => 0,
    maxReads: 1,
    maxWaits: 2,
  });
  const waiting = profiles.answer({ ...QUESTION, afterPos: 1 });
  const other = profiles.answer({ ...QUESTION, afterPos: 1 });
  expect(await profiles.answer({ ...QUESTION, afterPos: 1 })).toMatchObject({ degraded: true });
  expect(await profiles.answer(QUESTION)).toMatchObject({ degraded: false });
  apply();
  expect([(await waiting).degraded, (await other).degraded].filter(Boolean).length).toBeLessThanOrEqual(1);
});
