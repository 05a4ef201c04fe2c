import { ABSENT, type Value } from './expression-values.js';
import type { GeoExpression } from './segment-expression.model.js';

/** Mean radius of the Earth, km: R1 of the IUGG (H. Moritz, Geodetic Reference System 1980). */
const EARTH_RADIUS_KM = 6_371.008_8;
const MAX_LATITUDE = 90;
const MAX_LONGITUDE = 180;

export function isLatitude(degrees: number): boolean {
  return Math.abs(degrees) <= MAX_LATITUDE;
}

export function isLongitude(degrees: number): boolean {
  return Math.abs(degrees) <= MAX_LONGITUDE;
}

/**
 * Distance of two places along the surface, km, on a sphere: at most 0.6 % off that on the ellipsoid. Latitudes and
 * longitudes are in degrees, WGS 84; where one is out of range there is none.
 * Haversine formula (R. W. Sinnott, Virtues of the haversine, Sky and Telescope 68, 1984).
 */
export function distanceKm(latitude: number, longitude: number, latitude0: number, longitude0: number): Value {
  if (!isPlace(latitude, longitude) || !isPlace(latitude0, longitude0)) return ABSENT;
  const [a, b] = [radians(latitude), radians(latitude0)];
  const haversine =
    Math.sin((b - a) / 2) ** 2 + Math.cos(a) * Math.cos(b) * Math.sin(radians(longitude0 - longitude) / 2) ** 2;
  // Rounding may make it a little more than 1 on opposite sides.
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(haversine)));
}

/** Whether a place is in a box, edges included; where west is more than east, over the 180th meridian. */
export function isInBox(
  latitude: number,
  longitude: number,
  south: number,
  west: number,
  north: number,
  east: number,
): Value {
  if (!isPlace(latitude, longitude) || !isPlace(south, west) || !isPlace(north, east)) return ABSENT;
  const isBetween = west <= east ? longitude >= west && longitude <= east : longitude >= west || longitude <= east;
  return latitude >= south && latitude <= north && isBetween;
}

/** What a condition computes of its arguments, in their order. */
export const GEO_FUNCTIONS: Readonly<Record<GeoExpression['name'], (degrees: readonly number[]) => Value>> = {
  distance_km: ([a = NaN, b = NaN, c = NaN, d = NaN]) => distanceKm(a, b, c, d),
  within_box: ([a = NaN, b = NaN, c = NaN, d = NaN, e = NaN, f = NaN]) => isInBox(a, b, c, d, e, f),
};

/** Not a number is no place either. */
function isPlace(latitude: number, longitude: number): boolean {
  return isLatitude(latitude) && isLongitude(longitude);
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}
