import { createHmac } from 'node:crypto';

/**
 * The signature with which a browser may ask about an identifier that can be guessed, such as a customer number:
 * `<expiry>.<base64url(HMAC-SHA256)>` over `weft-edge-v1`, namespace, value and expiry, one a line.
 *
 * @param signingSecret of the edge key, `weft_s_…`. It never leaves the server.
 * @param ttlSeconds how long the signature holds, seconds
 * @param nowMs for tests
 * @throws RangeError where the time to live is not a positive number, or a line break would let one text stand for two
 */
export function signIdentifier(
  signingSecret: string,
  namespace: string,
  value: string,
  ttlSeconds: number,
  nowMs: number = Date.now(),
): string {
  if (!(ttlSeconds > 0)) throw new RangeError('ttlSeconds must be more than 0');
  if (/[\r\n]/.test(namespace + value)) throw new RangeError('an identifier has no line breaks');
  const expiry = String(Math.floor(nowMs / 1_000 + ttlSeconds));
  const message = `weft-edge-v1\n${namespace}\n${value}\n${expiry}`;
  return `${expiry}.${createHmac('sha256', signingSecret).update(message).digest('base64url')}`;
}
