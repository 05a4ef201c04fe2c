import { isAscii, isUtf8 } from 'node:buffer';

import { WeftError } from '../platform/errors.js';

/**
 * Stands in decoded text for a byte sequence that is not valid UTF-8. A lone surrogate, because no valid UTF-8 decodes
 * to one: its presence is proof, wherever the chunk borders fell.
 */
export const INVALID_MARK = '\uDC80';

export const ENCODINGS = ['utf-8', 'windows-1252'] as const;
export type Encoding = (typeof ENCODINGS)[number];

const LONE_REPLACEMENT = '\uFFFD';
const NEWLINE = 0x0a;
const QUESTION_MARK = 0x3f;
/** By which a byte order mark or another kind of file is known. */
const HEAD_BYTES = 4;

/**
 * Bytes of a stream to text, chunk by chunk. The text does not depend on how the bytes were cut into chunks, except
 * that the number of marks within one invalid sequence may.
 */
export class TextDecoderStream {
  /** Whether {@link INVALID_MARK} has ever been written; lets readers skip the search for it. */
  sawInvalid = false;
  readonly #encoding: Encoding;
  readonly #lenient = new TextDecoder('utf-8', { ignoreBOM: true });
  /** The first bytes of a character that the last chunk did not complete, at most 3. */
  #rest: Buffer = Buffer.alloc(0);
  #atStart = true;

  constructor(encoding: Encoding) {
    this.#encoding = encoding;
  }

  /** @throws WeftError BAD_REQUEST for a file whose first bytes are not those of a text in this encoding. */
  write(chunk: Uint8Array): string {
    let bytes = this.#rest.length === 0 ? bufferOf(chunk) : Buffer.concat([this.#rest, chunk]);
    if (this.#atStart) {
      if (bytes.length < HEAD_BYTES) {
        this.#rest = bytes;
        return '';
      }
      this.#atStart = false;
      bytes = checkHead(bytes, this.#encoding);
    }
    if (this.#encoding === 'windows-1252') {
      this.#rest = Buffer.alloc(0);
      return decodeWindows1252(bytes);
    }
    const cut = completeLength(bytes);
    this.#rest = cut === bytes.length ? Buffer.alloc(0) : bytes.subarray(cut);
    return this.#decode(cut === bytes.length ? bytes : bytes.subarray(0, cut));
  }

  end(): string {
    const bytes = this.#atStart ? checkHead(this.#rest, this.#encoding) : this.#rest;
    this.#rest = Buffer.alloc(0);
    return this.#encoding === 'windows-1252' ? decodeWindows1252(bytes) : this.#decode(bytes);
  }

  #decode(bytes: Buffer): string {
    if (isAscii(bytes)) return bytes.toString('latin1');
    if (isUtf8(bytes)) return bytes.toString('utf8');
    this.sawInvalid = true;
    let text = '';
    for (let from = 0; from < bytes.length;) {
      const newline = bytes.indexOf(NEWLINE, from);
      const to = newline === -1 ? bytes.length : newline + 1;
      const line = bytes.subarray(from, to);
      text += isUtf8(line)
        ? line.toString('utf8')
        : this.#lenient.decode(line).replaceAll(LONE_REPLACEMENT, INVALID_MARK);
      from = to;
    }
    return text;
  }
}

/** Bytes 0x80 to 0x9F, in which it differs from ISO 8859-1 (WHATWG Encoding, index windows-1252). */
const WINDOWS_1252_HIGH =
  '\u20AC\x81\u201A\u0192\u201E\u2026\u2020\u2021\u02C6\u2030\u0160\u2039\u0152\x8D\u017D\x8F' +
  '\x90\u2018\u2019\u201C\u201D\u2022\u2013\u2014\u02DC\u2122\u0161\u203A\u0153\x9D\u017E\u0178';
const C1_CONTROLS = /[\x80-\x9F]/g;

/** By hand, because the TextDecoder of some Node 20 releases takes windows-1252 for ISO 8859-1. */
function decodeWindows1252(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(C1_CONTROLS, (control) => WINDOWS_1252_HIGH.charAt(control.charCodeAt(0) - 0x80));
}

/** Text to bytes of an encoding; what windows-1252 has no byte for becomes `?`. */
export function encodeText(text: string, encoding: Encoding): Buffer {
  if (encoding === 'utf-8') return Buffer.from(text);
  return Buffer.from(
    Array.from(text, (char) => {
      const code = char.codePointAt(0) ?? 0;
      if (code < 0x80 || (code >= 0xa0 && code <= 0xff)) return code;
      const high = WINDOWS_1252_HIGH.indexOf(char);
      return high === -1 ? QUESTION_MARK : 0x80 + high;
    }),
  );
}

/** Returns the bytes without a byte order mark of UTF-8. */
function checkHead(bytes: Buffer, encoding: Encoding): Buffer {
  const [a = -1, b = -1, c = -1, d = -1] = bytes;
  // A mark, or letters of which every other byte is 0.
  const isLittle = (a === 0xff && b === 0xfe) || (a > 0 && b === 0 && c > 0 && d === 0);
  if (isLittle || (a === 0xfe && b === 0xff) || (a === 0 && b > 0 && c === 0 && d > 0)) {
    const name = isLittle ? 'UTF-16LE' : 'UTF-16BE';
    throw wrongHead(`the file is ${name}`, `convert it to UTF-8, for example: iconv -f ${name} -t UTF-8`);
  }
  const magic = bytes.subarray(0, HEAD_BYTES).toString('latin1');
  if (magic === 'PK\x03\x04') throw wrongHead('the file is a ZIP archive or a workbook', 'save it as CSV in UTF-8');
  if (a !== 0xef || b !== 0xbb || c !== 0xbf) return bytes;
  if (encoding !== 'utf-8') {
    const hint = `leave "encoding: ${encoding}" out of the mapping`;
    throw wrongHead('the file begins with the byte order mark of UTF-8', hint);
  }
  return bytes.subarray(3);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function wrongHead(message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { where: 'byte 0', hint });
}

/** Length without a multi-byte character that the end of the chunk cut off (RFC 3629 §3). */
function completeLength(bytes: Buffer): number {
  const end = bytes.length;
  for (let back = 1; back <= 3 && back <= end; back++) {
    const byte = bytes[end - back] ?? 0;
    if (byte < 0x80) return end;
    if (byte >= 0xc0) {
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return needed > back ? end - back : end;
    }
  }
  return end;
}
