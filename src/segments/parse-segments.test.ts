import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { parseSegments } from './parse-segments.js';

describe('a file of segments', () => {
  it('says of each its condition, and whether it is to be active', () => {
    const yaml = `
segments:
  - key: keen
    name: Keen visitors
    description: Viewed a lot.
    tags: [web]
    edge: true
    purposes: [mail, ads, mail]
    applies_to: everybody
    expression: |
      count("view", "1h") >= 3
  - { key: later, expression: f.orders > 0, active: false }
`;
    expect(parseSegments(yaml, 'segments.yaml')).toEqual([
      {
        key: 'keen',
        name: 'Keen visitors',
        description: 'Viewed a lot.',
        tags: ['web'],
        expression: 'count("view", "1h") >= 3',
        active: true,
        edge: true,
        purposes: ['ads', 'mail'],
      },
      {
        key: 'later',
        name: 'later',
        description: '',
        tags: [],
        expression: 'f.orders > 0',
        active: false,
        edge: false,
        purposes: [],
      },
    ]);
  });

  it('may define none', () => {
    expect(parseSegments('segments: []', 'segments.yaml')).toEqual([]);
  });

  it('tells all of its faults at once, with their places', () => {
    const yaml = `segments:
  - { key: Keen, expression: 'true' }
  - { key: a, expresion: 'true' }
  - { key: b, expression: 'true', active: yes }
  - { key: b, expression: 'true', tags: web }
`;
    let fault: unknown;
    try {
      parseSegments(yaml, 's.yaml');
    } catch (error) {
      fault = error;
    }
    expect(fault).toBeInstanceOf(WeftError);
    const { message, code } = fault as WeftError;
    expect(code).toBe('DEFINITION_INVALID');
    expect(message.split('\n').map((line) => line.split(';')[0])).toEqual([
      's.yaml:2:12: a segment needs a key, and "Keen" is none',
      's.yaml:3:15: a segment has no field "expresion"',
      's.yaml:3:5: the segment has no expression',
      's.yaml:4:43: active must be true or false',
      's.yaml:5:12: the key b is taken',
      's.yaml:5:41: tags must be a list',
    ]);
    expect(message).toContain('did you mean "expression"?');
  });

  it('is what the segments of the demo are in', async () => {
    const path = new URL('../../seeds/segments.yaml', import.meta.url);
    const segments = parseSegments(await readFile(path, 'utf8'), 'segments.yaml');
    expect(segments.length).toBeGreaterThan(8);
    expect(segments.every((segment) => segment.active)).toBe(true);
  });
});
