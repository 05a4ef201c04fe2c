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

  /** @throws WeftError BAD_REQUEST for a file that opens with a UTF-16 byte order mark. */
  write(chunk: Buffer): string {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (this.#atStart) {
      if (bytes.length < 3) {
        this.#rest = bytes;
        return '';
      }
      this.#atStart = false;
      bytes = withoutByteOrderMark(bytes);
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
    const bytes = this.#atStart ? withoutByteOrderMark(this.#rest) : this.#rest;
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

function withoutByteOrderMark(bytes: Buffer): Buffer {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw new WeftError('BAD_REQUEST', 'the file is UTF-16', {
      where: 'byte 0',
      hint: 'convert it to UTF-8, for example: iconv -f UTF-16 -t UTF-8',
    });
  }
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
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
