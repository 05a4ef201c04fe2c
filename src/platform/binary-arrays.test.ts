import { describe, expect, it } from 'vitest';
import { boolArray, byteaArray, int2Array, int8Array, textArray, uuidArray } from './binary-arrays.js';

const same = <T>(value: T): T => value;

describe('binary arrays', () => {
  it('lay out header and elements as array_recv reads them', () => {
    expect(int2Array([1, -2], same).toString('hex')).toBe(
      ['00000001', '00000000', '00000015', '00000002', '00000001', '00000002', '0001', '00000002', 'fffe'].join(''),
    );
    expect(byteaArray([Buffer.from('ab'), Buffer.alloc(0)], same).toString('hex')).toBe(
      ['00000001', '00000000', '00000011', '00000002', '00000001', '00000002', '6162', '00000000'].join(''),
    );
    expect(boolArray([true], same).subarray(20).toString('hex')).toBe('0000000101');
    expect(textArray(['é'], same).subarray(20).toString('hex')).toBe('00000002c3a9');
  });

  it('hold every integer that a number holds exactly', () => {
    const values = [0, 1, -1, 2 ** 31, -(2 ** 31), 2 ** 32, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
    const bytes = int8Array(values, same);
    expect(values.map((_, i) => Number(bytes.readBigInt64BE(24 + i * 12)))).toEqual(values);
  });

  it('refuse what is not a UUID', () => {
    expect(uuidArray(['00112233-4455-6677-8899-aabbccddeeff'], same).subarray(24).toString('hex')).toBe(
      '00112233445566778899aabbccddeeff',
    );
    expect(() => uuidArray(['00112233-4455'], same)).toThrow(TypeError);
  });
});
