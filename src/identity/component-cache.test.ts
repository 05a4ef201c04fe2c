import { describe, expect, it } from 'vitest';
import { anIdentifier, seen } from '../../test/support/identity-builders.js';
import { ComponentCache } from './component-cache.js';
import { ComponentReplay } from './component-replay.js';
import { addMember, newComponent, trimWritten, type Component } from './component.model.js';
import { evidenceKey } from './evidence.model.js';
import { DEFAULT_IDENTITY_RULES } from './identity-rules.model.js';

function aComponent(...names: string[]): Component {
  const component = newComponent(anIdentifier(names[0] ?? '').id, false);
  for (const identifier of names.map(anIdentifier)) {
    const { id: componentId } = component;
    addMember(component, { ...identifier, componentId, profileId: 'p', firstPos: 1, firstAt: 0, founded: null });
  }
  return component;
}

/** On one day after another, each time with another cookie. */
function giveEvidence(component: Component, days: number): void {
  component.replay ??= new ComponentReplay(DEFAULT_IDENTITY_RULES);
  for (let day = 0; day < days; day++) {
    const row = seen(day * 24, 'email:a@x.org', `anonymous_id:c${String(day)}`);
    component.replay.add(row);
    component.written.set(evidenceKey(row), row);
  }
}

describe('components in memory', () => {
  it('count with all of their evidence, as it is after each batch', () => {
    const cache = new ComponentCache(1_000);
    const component = aComponent('email:a@x.org', 'anonymous_id:c0');
    cache.add(component);
    cache.release();
    const alone = cache.size;
    giveEvidence(component, 100);
    cache.pin(component);
    cache.release();
    // A row and a new identifier each, and the row as it was written.
    expect(cache.size).toBeGreaterThanOrEqual(alone + 300);
  });

  it('make room where the evidence of others grows', () => {
    const cache = new ComponentCache(400);
    const [first, second] = [aComponent('email:b@x.org'), aComponent('email:a@x.org')];
    cache.add(first);
    cache.add(second);
    cache.release();
    expect(cache.of(anIdentifier('email:b@x.org').id)).toBe(first);
    giveEvidence(second, 132);
    cache.pin(second);
    cache.release();
    expect(cache.of(anIdentifier('email:b@x.org').id)).toBeUndefined();
    expect(cache.of(anIdentifier('email:a@x.org').id)).toBe(second);
  });

  it('go where one alone is larger than all may be, but not before its batch has ended', () => {
    const cache = new ComponentCache(100);
    const component = aComponent('email:a@x.org');
    cache.add(component);
    giveEvidence(component, 100);
    expect(cache.of(anIdentifier('email:a@x.org').id)).toBe(component);
    cache.release();
    expect(cache.of(anIdentifier('email:a@x.org').id)).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  it('remember a bounded number of written rows, and that these are not all', () => {
    const component = aComponent('email:a@x.org');
    component.isWrittenAll = true;
    giveEvidence(component, 250);
    trimWritten(component);
    expect([component.written.size, component.isWrittenAll]).toEqual([250, true]);
    giveEvidence(component, 300);
    trimWritten(component);
    expect([component.written.size, component.isWrittenAll]).toEqual([256, false]);
  });
});
