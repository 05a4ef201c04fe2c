import { WeftError } from '../../platform/errors.js';
import { isKey, KEY_HINT } from '../../platform/key.js';
import type { AddressGuard } from './address-guard.js';
import { ENDPOINT_LIMITS, type EndpointContent, type EndpointSettings, type EndpointTarget } from './endpoint.model.js';
import { parseTemplate } from './payload-template.model.js';
import { PAYLOAD_TEMPLATE_NAMES } from './payload-templates.js';

/** As RFC 9110 §5.6.2 has names, and without what Weft says itself. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~\w-]{1,100}$/;
const OWN_HEADERS = /^(host|connection|content-.*|transfer-encoding|user-agent|webhook-.*|upgrade|te|trailer|expect)$/;
/** Printable, so that no header ends early. */
const HEADER_VALUE = /^[\x20-\x7e]+$/;

/** @throws WeftError BAD_REQUEST */
export function checkEndpointKey(key: string): void {
  if (!isKey(key)) throw refused('an endpoint cannot be called so', 'key', KEY_HINT);
}

/** @throws WeftError BAD_REQUEST. Returns it with names of headers in lower case, and the origin of the URL. */
export function checkTarget(
  { url, headers }: EndpointTarget,
  guard: AddressGuard,
): { readonly target: EndpointTarget; readonly origin: string } {
  const { maxUrlLength, maxHeaders, maxHeaderLength } = ENDPOINT_LIMITS;
  const { origin, href } = guard.checkUrl(url, maxUrlLength);
  const given = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  if (given.length > maxHeaders) {
    throw refused(`${String(given.length)} headers are given`, 'headers', `give at most ${String(maxHeaders)}`);
  }
  for (const [name, value] of given) {
    if (!HEADER_NAME.test(name) || OWN_HEADERS.test(name)) {
      throw refused('a header cannot be called so', 'headers', 'headers such as authorization can be set');
    }
    if (!HEADER_VALUE.test(value) || value.length > maxHeaderLength) {
      const hint = `use printable ASCII characters, at most ${String(maxHeaderLength)}`;
      throw refused(`the value of the header ${name} cannot be sent`, 'headers', hint);
    }
  }
  return { origin, target: { url: href, headers: Object.fromEntries(given) } };
}

/** @throws WeftError BAD_REQUEST, DEFINITION_INVALID (the template). Returns it with the template parsed. */
export function checkContent(content: EndpointContent): EndpointContent {
  const { maxNames } = ENDPOINT_LIMITS;
  for (const where of ['identifiers', 'traits', 'features'] as const) {
    const names = content[where];
    if (names.length > maxNames) throw refused('too many names are given', where, `give at most ${String(maxNames)}`);
    const wrong = names.find((name) => name === '' || name.length > 200 || name.startsWith('$'));
    if (wrong !== undefined) throw refused('there can be no such name', where, 'name what profiles have');
  }
  const { template } = content;
  if (typeof template === 'string') {
    if (!(PAYLOAD_TEMPLATE_NAMES as string[]).includes(template)) {
      const hint = `use ${PAYLOAD_TEMPLATE_NAMES.join(', ')}, or give one of your own`;
      throw refused(`there is no template ${template.slice(0, 100)}`, 'template', hint);
    }
    return content;
  }
  return { ...content, template: template === null ? null : parseTemplate(template) };
}

/** @throws WeftError BAD_REQUEST */
export function checkSettings({ timeoutMs, concurrency, maxAttempts }: EndpointSettings): void {
  const limits = ENDPOINT_LIMITS;
  demandWithin(timeoutMs, 100, limits.maxTimeoutMs, 'timeout', 'a request may take 1 to 60 seconds: 10s');
  demandWithin(concurrency, 1, limits.maxConcurrency, 'concurrency', `use 1 to ${String(limits.maxConcurrency)}`);
  demandWithin(maxAttempts, 1, limits.maxAttempts, 'attempts', `use 1 to ${String(limits.maxAttempts)}`);
}

function demandWithin(value: number, min: number, max: number, where: string, hint: string): void {
  if (!(Number.isInteger(value) && value >= min && value <= max)) throw refused(`${where} cannot be so`, where, hint);
}

function refused(message: string, where: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { where, hint });
}
