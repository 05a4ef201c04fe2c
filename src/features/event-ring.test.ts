import { describe, expect, it } from 'vitest';
import { AGGREGATE_RULES } from './aggregate.model.js';
import { FeatureSet } from './feature-set.model.js';
import type { Aggregate, FeatureDefinition, FeatureEvent, FeatureOptions, FeatureValue } from './feature.model.js';
import { streamOf, streamsOf } from './stream.model.js';

const MINUTE = 60_000;
const DAY = 86_400_000;
const START = Date.UTC(2026, 9, 15);

function feature(
  aggregate: Aggregate,
  options: FeatureOptions = {},
  more: Partial<FeatureDefinition> = {},
): FeatureDefinition {
  return {
    name: 'f',
    view: 'web',
    description: '',
    aggregate,
    events: options.steps?.map(({ event }) => event) ?? [],
    source: null,
    where: null,
    value: null,
    windowMs: null,
    unitMs: MINUTE,
    limit: 16,
    type: AGGREGATE_RULES[aggregate].typeOf('string', options),
    options,
    ...more,
  };
}

/** @param happened names and minutes since the start, as `page@5` */
function valueOf(definition: FeatureDefinition, happened: string, atMinute = 10_000): FeatureValue {
  const ids = new Map(streamsOf([definition]).map(({ key }) => [key, 1]));
  const set = FeatureSet.compile([definition], ids, new Map());
  const state = set.empty();
  for (const [i, text] of happened.split(' ').entries()) {
    const [name = '', minute] = text.split('@');
    const event: FeatureEvent = {
      type: 'track',
      name,
      sourceId: 1,
      messageId: String(i),
      occurredAt: START + Number(minute) * MINUTE,
      properties: {},
      traits: {},
      context: {},
    };
    set.apply(state, event);
  }
  return set.value(set.decode(set.encode(state)), 0, START + atMinute * MINUTE);
}

const steps = ['view', 'cart', 'order'].map((event) => ({ event, where: null }));

describe('a ring of recent events', () => {
  it('gives the latest events as tokens, which are places in the definition, newest last', () => {
    const definition = feature('last_events', { others: true }, { events: ['view', 'cart'], limit: 3 });
    expect(valueOf(definition, 'cart@1 search@2 view@3 cart@4').value).toEqual([0, 1, 2]);
    expect(valueOf({ ...definition, options: {} }, 'cart@1 search@2 view@3 cart@4').value).toEqual([2, 1, 2]);
  });

  it('puts events of one millisecond in the order of their tokens or steps', () => {
    const definition = feature('last_events', {}, { events: ['view', 'cart'], limit: 3 });
    expect(valueOf(definition, 'cart@1 view@1').value).toEqual([1, 2]);
    expect(valueOf(feature('funnel', { steps, withinMs: DAY }), 'order@1 cart@1 view@1').value).toBe(3);
  });

  it('begins a session with the event that comes the whole gap later', () => {
    const gapMs = 30 * MINUTE;
    expect(valueOf(feature('session_count', { gapMs }), 'a@0 a@29 a@59').value).toBe(2);
    expect(valueOf(feature('session_depth', { gapMs }), 'a@0 a@40 a@41').value).toBe(2);
    expect(valueOf(feature('session_depth', { gapMs, of: 'mean' }), 'a@0 a@40 a@41').value).toBe(1.5);
    expect(valueOf(feature('session_entropy', { gapMs }), 'a@0 a@40 a@80 a@120').value).toBe(2);
    expect(valueOf(feature('session_entropy', { gapMs }), 'a@0 a@1 a@2').value).toBe(0);
    expect(valueOf(feature('session_duration', { gapMs }), 'a@0 a@40 a@52').value).toBe(12);
    expect(valueOf(feature('session_duration', { gapMs, of: 'mean' }), 'a@0 a@40 a@52').value).toBe(6);
  });

  it('measures the times between events, of which there has to be one', () => {
    const of = (name: FeatureOptions['of'], happened: string): FeatureValue =>
      valueOf(feature('inter_event', name === undefined ? {} : { of: name }), happened);
    expect(of(undefined, 'a@0 a@10 a@14').value).toBe(7);
    expect(of('last', 'a@0 a@10 a@14').value).toBe(4);
    expect(of('min', 'a@0 a@3 a@14').value).toBe(3);
    expect(of('stddev', 'a@0 a@10 a@14').value).toBeCloseTo(3, 12);
    expect(of('stddev', 'a@0 a@10').value).toBe(0);
    for (const name of ['mean', 'stddev'] as const) {
      expect(of(name, 'a@0')).toMatchObject({ status: 'NULL_VALUE', eventTs: START });
    }
  });

  it('follows a funnel from the best of its beginnings, to the very end of the time for it', () => {
    const definition = feature('funnel', { steps, withinMs: 60 * MINUTE });
    expect(valueOf(definition, 'view@0 cart@10 order@60').value).toBe(3);
    expect(valueOf(definition, 'view@0 cart@10 order@61').value).toBe(2);
    expect(valueOf(definition, 'view@0 cart@10 view@20 order@61').value).toBe(2);
    expect(valueOf(definition, 'view@0 view@5 cart@10 order@61').value).toBe(3);
    expect(valueOf(definition, 'cart@0 order@1').value).toBe(0);
    expect(valueOf(definition, 'view@0 order@1').value).toBe(1);
  });

  it('falls back in a funnel when the beginning leaves the window', () => {
    const definition = feature('funnel', { steps, withinMs: DAY }, { windowMs: 60 * MINUTE });
    const value = valueOf(definition, 'view@0 view@5 cart@10', 20);
    expect([value.value, value.validUntil]).toEqual([2, START + 65 * MINUTE]);
  });

  it('says that it is approximate only where what it forgot could matter', () => {
    const narrow = { limit: 4, events: ['a'] };
    const gapMs = 30 * MINUTE;
    const isApproximate = (definition: FeatureDefinition, happened: string): boolean =>
      valueOf(definition, happened, 100).approximate;
    const count = feature('session_count', { gapMs }, narrow);
    expect(isApproximate(count, 'a@1 a@2 a@3 a@4')).toBe(false);
    expect(isApproximate(count, 'a@1 a@2 a@3 a@4 a@5')).toBe(true);
    expect(isApproximate({ ...count, windowMs: 98 * MINUTE }, 'a@1 a@2 a@3 a@4 a@5')).toBe(false);
    const depth = feature('session_depth', { gapMs }, narrow);
    expect(isApproximate(depth, 'a@1 a@2 a@3 a@4 a@5')).toBe(true);
    expect(isApproximate(depth, 'a@1 a@2 a@3 a@4 a@50')).toBe(false);
    const funnel = feature('funnel', { steps, withinMs: DAY }, { limit: 4 });
    expect(isApproximate(funnel, 'view@1 view@2 view@3 cart@4 order@5')).toBe(false);
    expect(isApproximate(funnel, 'view@1 view@2 view@3 view@4 cart@5')).toBe(true);
  });

  it('is shared by features of the same events, and tokens are part of what it is', () => {
    const shared = [
      feature('session_count', { gapMs: MINUTE }, { limit: 100 }),
      feature('session_depth', { gapMs: DAY, of: 'mean' }, { limit: 128, windowMs: DAY }),
      feature('inter_event', {}, { limit: 65 }),
    ];
    expect(streamsOf(shared)).toHaveLength(1);
    const tokens = (events: readonly string[]): string => streamOf(feature('last_events', {}, { events })).key;
    expect(tokens(['a', 'b'])).not.toBe(tokens(['b', 'a']));
  });
});
