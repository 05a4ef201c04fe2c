import { describe, expect, it } from 'vitest';

import { postgresCell } from './postgres-cell.js';

const TYPES = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int4: 23,
  json: 114,
  uuid: 2950,
  float8: 701,
  timestamp: 1114,
  timestamptz: 1184,
  date: 1082,
  numeric: 1700,
  int4List: 1007,
  textList: 1009,
} as const;

describe('what a value of PostgreSQL becomes in a row', () => {
  it.each([
    ['bool', 't', true],
    ['bool', 'f', false],
    ['int4', '-7', -7],
    ['int8', '9007199254740991', 9007199254740991],
    ['int8', '9007199254740993', '9007199254740993'],
    ['numeric', '10.50', 10.5],
    ['numeric', '1.66666666666666666667', 5 / 3],
    ['numeric', '12345678901234567890', '12345678901234567890'],
    ['numeric', 'NaN', null],
    ['float8', '-Infinity', null],
    ['float8', '1e-300', 1e-300],
    ['timestamptz', '2026-01-31 12:00:00.123456+00', '2026-01-31T12:00:00.123456Z'],
    ['timestamp', '2026-01-31 12:00:00', '2026-01-31T12:00:00'],
    ['date', '2026-01-31', '2026-01-31'],
    ['bytea', '\\x00ff10', 'AP8Q'],
    ['json', '{"a": [1, null]}', { a: [1, null] }],
    ['textList', '{a,"b,c",NULL}', ['a', 'b,c', null]],
    ['int4List', '{1,2}', [1, 2]],
    ['uuid', '018c5a1e-0000-7000-8000-000000000000', '018c5a1e-0000-7000-8000-000000000000'],
  ] as const)('%s %s', (type, text, expected) => {
    expect(postgresCell(TYPES[type])(text)).toEqual(expected);
  });
});
