import { fullFormats } from 'ajv-formats/dist/formats.js';

/** Texts that a format is looked for in; longer ones have none. */
const MAX_LENGTH = 2_048;
/** RFC 5321, section 4.5.3.1: 64 characters, `@`, 255 characters. */
const MAX_EMAIL_LENGTH = 320;

const HOST_LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';

/*
 * Expressions are such that each character can be read in one way only, or a bounded number of times, so that no text
 * takes long.
 */
const EMAIL = new RegExp(`^[a-z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@(?:${HOST_LABEL}\\.){1,10}${HOST_LABEL}$`, 'i');
const HOSTNAME = new RegExp(`^${HOST_LABEL}(?:\\.${HOST_LABEL}){0,126}\\.?$`, 'i');
const URI = /^[a-z][a-z0-9+.-]{0,63}:[^\s<>"{}|\\^`]+$/i;
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const DURATION =
  /^P(?=.)(?:\d{1,9}Y)?(?:\d{1,9}M)?(?:\d{1,9}W)?(?:\d{1,9}D)?(?:T(?=\d)(?:\d{1,9}H)?(?:\d{1,9}M)?(?:\d{1,9}S)?)?$/;

/** The formats of JSON Schema (2020-12 Validation, section 7.3) that plans may ask for. */
export const FORMATS: ReadonlyMap<string, (text: string) => boolean> = new Map<string, (text: string) => boolean>([
  ['date-time', bounded(full('date-time'), 64)],
  ['date', bounded(full('date'), 64)],
  ['time', bounded(full('time'), 64)],
  ['duration', bounded((text) => DURATION.test(text), 100)],
  ['email', bounded((text) => EMAIL.test(text), MAX_EMAIL_LENGTH)],
  ['hostname', bounded((text) => HOSTNAME.test(text), 254)],
  ['ipv4', bounded(full('ipv4'), 64)],
  ['ipv6', bounded(full('ipv6'), 64)],
  ['uri', bounded((text) => URI.test(text), MAX_LENGTH)],
  ['uuid', bounded((text) => UUID.test(text), 64)],
]);

function bounded(test: (text: string) => boolean, maxLength: number): (text: string) => boolean {
  return (text) => text.length <= maxLength && test(text);
}

function full(name: 'date-time' | 'date' | 'time' | 'ipv4' | 'ipv6'): (text: string) => boolean {
  const format: unknown = fullFormats[name];
  const test: unknown = format instanceof RegExp ? format : (format as { validate: unknown }).validate;
  if (test instanceof RegExp) return (text) => test.test(text);
  if (typeof test === 'function') return (text) => (test as (text: string) => unknown)(text) === true;
  throw new TypeError(`the format ${name} is not what it was`);
}
