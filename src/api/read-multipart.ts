import { WeftError } from '../platform/errors.js';

/** Of one part. */
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_PREAMBLE_BYTES = 64 * 1024;
const CRLF = '\r\n';

/**
 * The parts of a `multipart/form-data` body (RFC 7578, RFC 2046 §5.1), read as it comes, each within its own bound.
 * @param contentType of the request
 * @param maxBytes of each part that may be there, by name
 * @throws WeftError BAD_REQUEST; PAYLOAD_TOO_LARGE as soon as a part is larger than it may be
 */
export async function readMultipart(
  body: AsyncIterable<Uint8Array>,
  contentType: string,
  maxBytes: Readonly<Record<string, number>>,
): Promise<ReadonlyMap<string, Buffer>> {
  const reader = new MultipartReader(boundaryOf(contentType), maxBytes);
  for await (const chunk of body) reader.take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  return reader.finish();
}

function boundaryOf(contentType: string): string {
  const [, quoted, plain] =
    /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary !== undefined) return boundary;
  throw refused('the body is not multipart/form-data', 'send it as curl -F does, with a boundary in Content-Type');
}

/** Before the first part, in the head of a part, in what it holds, or behind the last one. */
type Place = 'preamble' | 'head' | 'content' | 'end';

class MultipartReader {
  readonly #delimiter: Buffer;
  readonly #maxBytes: Readonly<Record<string, number>>;
  readonly #parts = new Map<string, Buffer>();
  /** What is not read yet. The first delimiter may be at the very beginning, without a line before it. */
  #rest: Buffer = Buffer.from(CRLF);
  #place: Place = 'preamble';
  #name = '';
  #content: Buffer[] = [];
  #size = 0;

  constructor(boundary: string, maxBytes: Readonly<Record<string, number>>) {
    this.#delimiter = Buffer.from(`${CRLF}--${boundary}`, 'latin1');
    this.#maxBytes = maxBytes;
  }

  take(chunk: Buffer): void {
    // What comes behind the last part means nothing.
    if (this.#place === 'end') return;
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#step());
  }

  finish(): ReadonlyMap<string, Buffer> {
    if (this.#place === 'end') return this.#parts;
    throw refused('the body ends before its last boundary', 'send all of it');
  }

  /** False: more has to come first. */
  #step(): boolean {
    switch (this.#place) {
      case 'preamble':
      case 'content':
        return this.#readContent();
      case 'head':
        return this.#readHead();
      case 'end':
        return false;
    }
  }

  #readContent(): boolean {
    const at = this.#rest.indexOf(this.#delimiter);
    if (at < 0) {
      // The end may be the beginning of a delimiter.
      this.#keep(Math.max(0, this.#rest.length - this.#delimiter.length + 1));
      return false;
    }
    this.#keep(at);
    if (this.#place === 'content') {
      this.#parts.set(this.#name, Buffer.concat(this.#content));
      this.#content = [];
    }
    this.#size = 0;
    this.#rest = this.#rest.subarray(this.#delimiter.length);
    this.#place = 'head';
    return true;
  }

  /** Takes the next bytes as what the part holds. */
  #keep(bytes: number): void {
    if (bytes === 0) return;
    this.#size += bytes;
    const isPart = this.#place === 'content';
    const most = isPart ? (this.#maxBytes[this.#name] ?? 0) : MAX_PREAMBLE_BYTES;
    if (this.#size > most) {
      throw new WeftError('PAYLOAD_TOO_LARGE', `${isPart ? this.#name : 'what stands before the parts'} is too large`, {
        where: isPart ? this.#name : 'body',
        hint: `at most ${String(most)} bytes are taken`,
      });
    }
    if (isPart) this.#content.push(this.#rest.subarray(0, bytes));
    this.#rest = this.#rest.subarray(bytes);
  }

  #readHead(): boolean {
    if (this.#rest.length < 2) return false;
    if (this.#rest.subarray(0, 2).toString('latin1') === '--') {
      this.#place = 'end';
      this.#rest = Buffer.alloc(0);
      return false;
    }
    const end = this.#rest.indexOf(CRLF + CRLF);
    if (end < 0 || end > MAX_HEADER_BYTES) {
      if (this.#rest.length <= MAX_HEADER_BYTES) return false;
      throw refused('the head of a part does not end', 'end it with an empty line');
    }
    this.#name = this.#nameIn(this.#rest.subarray(0, end).toString('utf8'));
    this.#rest = this.#rest.subarray(end + 2 * CRLF.length);
    this.#place = 'content';
    return true;
  }

  #nameIn(head: string): string {
    const [, name] = /^content-disposition:\s*form-data\s*;(?:.*;)?\s*name="([^"\r\n]{1,200})"/im.exec(head) ?? [];
    const known = Object.keys(this.#maxBytes).join(', ');
    if (name === undefined) throw refused('a part has no name', `name it in Content-Disposition: ${known}`);
    if (!Object.hasOwn(this.#maxBytes, name)) throw refused(`there is no part ${name}`, `the parts are ${known}`);
    if (this.#parts.has(name)) throw refused(`${name} is there twice`, 'send it once');
    return name;
  }
}

function refused(message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { where: 'body', hint });
}
