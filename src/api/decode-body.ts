import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { WeftError } from '../platform/errors.js';

const gunzipAsync = promisify(gunzip);

/**
 * The JSON object in a request body. Gzip is told by its magic bytes (RFC 1952 §2.3.1), because clients label it in
 * every way there is, or not at all.
 *
 * @param maxBytes of the body as it comes and, if compressed, of what it expands to.
 * @throws WeftError PAYLOAD_TOO_LARGE, BAD_REQUEST
 */
export async function decodeBody(body: Buffer, maxBytes: number): Promise<Record<string, unknown>> {
  const value = parse(await plainBody(body, maxBytes));
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new WeftError('BAD_REQUEST', 'the body is not a JSON object', { where: 'body', hint: 'send one JSON object' });
}

/**
 * The body itself, or what it expands to if it is gzip.
 * @throws WeftError PAYLOAD_TOO_LARGE, BAD_REQUEST
 */
export async function plainBody(body: Buffer, maxBytes: number): Promise<Buffer> {
  const isGzip = body.length > 2 && body[0] === 0x1f && body[1] === 0x8b;
  const plain = isGzip ? await inflate(body, maxBytes) : body;
  if (plain.length > maxBytes) throw tooLarge(maxBytes);
  return plain;
}

async function inflate(body: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await gunzipAsync(body, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw new WeftError('BAD_REQUEST', 'the body starts like gzip but is not', {
      where: 'body',
      hint: 'check the client',
    });
  }
}

function parse(plain: Buffer): unknown {
  // Decoding by TextDecoder's rules would drop a byte order mark; Buffer keeps it.
  const text = plain.toString('utf8', plain[0] === 0xef && plain[1] === 0xbb && plain[2] === 0xbf ? 3 : 0);
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the body, which is personal data.
    throw new WeftError('BAD_REQUEST', 'the body is not JSON', { where: 'body', hint: 'send one JSON object' });
  }
}

function tooLarge(maxBytes: number): WeftError {
  return new WeftError('PAYLOAD_TOO_LARGE', `the body is larger than ${String(maxBytes)} bytes`, {
    where: 'body',
    hint: 'send fewer events at a time',
  });
}
