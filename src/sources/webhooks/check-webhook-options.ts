import { WeftError } from '../../platform/errors.js';
import { JsonMapper } from './json.adapter.js';
import type { HmacOptions, WebhookAdapterKey, WebhookOptions } from './webhook.model.js';

const HEADER = /^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/;
const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,99}$/;
const PATH = /^[^.]{1,100}(\.[^.]{1,100}){0,7}$/;
const MAX_TEXT_LENGTH = 100;
const MAX_TOLERANCE_S = 24 * 60 * 60;

/** @throws WeftError BAD_REQUEST, DEFINITION_INVALID, naming the option */
export function checkWebhookOptions(
  key: string,
  adapter: WebhookAdapterKey,
  { keepMessages, ...json }: WebhookOptions,
): WebhookOptions {
  if (adapter !== 'json') {
    const [foreign] = Object.entries(json).find(([, value]) => (value ?? null) !== null) ?? [];
    if (foreign !== undefined) throw bad(foreign, `${adapter} has no such option`, 'it is for the adapter json');
    return { keepMessages };
  }
  const { mapping, items, hmac = null, textProperty, isPrivate } = json;
  if (mapping === undefined) throw bad('mapping', 'the adapter json needs a mapping', 'docs/social.md has an example');
  if (items !== undefined && !PATH.test(items)) throw bad('items', 'is no path', 'write it as in data.events');
  if (textProperty !== undefined && !NAME.test(textProperty)) {
    throw bad('textProperty', 'is no name of a property', 'name one of the properties of the mapping');
  }
  const options: WebhookOptions = {
    keepMessages,
    mapping,
    hmac: hmac === null ? null : checkHmacOptions(hmac),
    ...(items === undefined ? {} : { items }),
    ...(textProperty === undefined ? {} : { textProperty }),
    ...(isPrivate === undefined ? {} : { isPrivate }),
  };
  // Compiles the mapping, and says what is wrong with it.
  new JsonMapper(key, options);
  return options;
}

function checkHmacOptions(hmac: HmacOptions): HmacOptions {
  const { algorithm, encoding, prefix, signedContent, toleranceS } = hmac;
  const header = hmac.header.toLowerCase();
  const timestampHeader = hmac.timestampHeader?.toLowerCase() ?? null;
  if (!HEADER.test(header)) throw bad('header', 'is no name of a header', 'write it as in x-signature');
  if (timestampHeader !== null && !HEADER.test(timestampHeader)) {
    throw bad('timestampHeader', 'is no name of a header', 'write it as in x-timestamp');
  }
  if (!isOneOf(algorithm, ['sha256', 'sha512'])) {
    const hint = 'use sha256 or sha512; SHA-1 is no longer safe and is not offered';
    throw bad('algorithm', 'cannot be used for signatures', hint);
  }
  if (!isOneOf(encoding, ['hex', 'base64'])) throw bad('encoding', 'is not known', 'use hex or base64');
  if (prefix.length > MAX_TEXT_LENGTH) throw bad('prefix', 'is too long', `use at most ${String(MAX_TEXT_LENGTH)}`);
  if (signedContent.length > MAX_TEXT_LENGTH || signedContent.split('{body}').length !== 2) {
    throw bad('signedContent', 'must name the body once', 'write it as in {timestamp}.{body}');
  }
  if (signedContent.includes('{timestamp}') !== (timestampHeader !== null)) {
    const hint =
      'a time that is not signed proves nothing: name its header, and {timestamp} in what is signed, or neither';
    throw bad('signedContent', 'and the header of the time do not go together', hint);
  }
  if (!Number.isInteger(toleranceS) || toleranceS < 1 || toleranceS > MAX_TOLERANCE_S) {
    throw bad('toleranceS', 'must be 1 to 86400 seconds', 'most senders mean 300');
  }
  return { header, algorithm, encoding, prefix, timestampHeader, signedContent, toleranceS };
}

function isOneOf(value: string, allowed: readonly string[]): boolean {
  return allowed.includes(value);
}

function bad(where: string, what: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', `${where}: ${what}`, { where, hint });
}
