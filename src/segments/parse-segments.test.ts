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
    const none = { exitExpression: null, minDwellMs: null, activeFrom: null, activeUntil: null };
    expect(parseSegments(yaml, 'segments.yaml')).toEqual([
      {
        ...none,
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
        ...none,
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

  it('reads when members leave, how long they stay and when the segment is on', () => {
    const yaml = `segments:
  - key: vip
    expression: f.spend_90d > 1000
    exit: |
      f.spend_90d < 500
    min_dwell: 10m
    active_from: 2026-12-01T00:00:00+01:00
    active_until: "2026-12-24 12:00Z"
`;
    expect(parseSegments(yaml, 's.yaml')).toMatchObject([
      {
        exitExpression: 'f.spend_90d < 500',
        minDwellMs: 600_000,
        activeFrom: Date.UTC(2026, 10, 30, 23),
        activeUntil: Date.UTC(2026, 11, 24, 12),
      },
    ]);
  });

  it('says of each time that is none what to write', () => {
    const yaml = `segments:
  - key: vip
    expression: 'true'
    exit: ''
    min_dwell: 10 minutes
    active_from: 2026-12-01
    active_until: 2026-12-01T00:00:00
  - key: gone
    expression: 'true'
    min_dwell: 366d
    active_from: 2026-12-02T00:00:00Z
    active_until: 2026-12-01T00:00:00Z
`;
    expect(() => parseSegments(yaml, 's.yaml')).toThrow(
      [
        's.yaml:4:11: the exit condition must be a text; quote it if it looks like a number',
        's.yaml:5:16: min_dwell is no duration; write 10m',
        's.yaml:6:18: active_from is no time; write a date, a time and its offset from UTC, as in 2026-12-01T00:00:00+01:00',
        's.yaml:7:19: active_until is no time; write a date, a time and its offset from UTC, as in 2026-12-01T00:00:00+01:00',
        's.yaml:10:16: min_dwell is too long; give at least 1s and at most 365d',
        's.yaml:12:19: the segment would end before it begins; give active_until a time after active_from',
      ].join('\n'),
    );
  });

  it('is what the segments of the demo are in', async () => {
    const path = new URL('../../seeds/segments.yaml', import.meta.url);
    const segments = parseSegments(await readFile(path, 'utf8'), 'segments.yaml');
    expect(segments.length).toBeGreaterThan(8);
    expect(segments.every((segment) => segment.active)).toBe(true);
  });
});
