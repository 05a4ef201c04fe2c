import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ABSENT } from './expression-values.js';
import { distanceKm, isInBox } from './geo.js';

const latitude = fc.double({ min: -90, max: 90, noNaN: true });
const longitude = fc.double({ min: -180, max: 180, noNaN: true });

/** By the angle between two vectors (atan2 of cross and dot product), another formula for the same. */
function byVectors(lat: number, lon: number, lat0: number, lon0: number): number {
  const vector = (a: number, b: number): [number, number, number] => {
    const [phi, lambda] = [(a * Math.PI) / 180, (b * Math.PI) / 180];
    return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
  };
  const [[ax, ay, az], [bx, by, bz]] = [vector(lat, lon), vector(lat0, lon0)];
  const cross = Math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx);
  return 6_371.008_8 * Math.atan2(cross, ax * bx + ay * by + az * bz);
}

describe('a distance', () => {
  it('is the length of the arc between two places', () => {
    fc.assert(
      fc.property(latitude, longitude, latitude, longitude, (lat, lon, lat0, lon0) => {
        expect(distanceKm(lat, lon, lat0, lon0)).toBeCloseTo(byVectors(lat, lon, lat0, lon0), 3);
      }),
    );
  });

  it.each([
    ['Paris to London', [48.8566, 2.3522, 51.5074, -0.1278], 344],
    ['over the 180th meridian', [0, 179.5, 0, -179.5], 111],
    ['pole to pole', [90, 0, -90, 17], 20_015],
    ['opposite sides of the equator', [0, 0, 0, 180], 20_015],
    ['a place to itself', [48.8566, 2.3522, 48.8566, 2.3522], 0],
  ] as const)('%s', (_, [lat, lon, lat0, lon0], km) => {
    expect(Math.round(Number(distanceKm(lat, lon, lat0, lon0)))).toBe(km);
  });

  it('is unknown where one of them is no place', () => {
    for (const wrong of [91, -90.5, NaN, Infinity]) {
      expect(distanceKm(wrong, 0, 0, 0)).toBe(ABSENT);
      expect(isInBox(wrong, 0, -1, -1, 1, 1)).toBe(ABSENT);
    }
    expect(distanceKm(0, 180.1, 0, 0)).toBe(ABSENT);
  });
});

describe('a box', () => {
  it('has its edges, and may lie over the 180th meridian', () => {
    expect(isInBox(47, 5, 47, 5, 55, 15)).toBe(true);
    expect(isInBox(55, 15, 47, 5, 55, 15)).toBe(true);
    expect(isInBox(55.1, 15, 47, 5, 55, 15)).toBe(false);
    expect(isInBox(-17, 179, -20, 177, -15, -178)).toBe(true);
    expect(isInBox(-17, -179, -20, 177, -15, -178)).toBe(true);
    expect(isInBox(-17, 0, -20, 177, -15, -178)).toBe(false);
  });
});
