import { WeftError } from './errors.js';

/** `kind` says what the cursor walks over; `version` grows when the meaning of its values changes. */
export interface CursorTag {
  readonly kind: string;
  readonly version: number;
}

type CursorValue = string | number;
type CursorShape = Readonly<Record<string, 'integer' | 'text'>>;
type CursorValues<S extends CursorShape> = { readonly [K in keyof S]: S[K] extends 'integer' ? number : string };

const MAX_CURSOR_LENGTH = 1_024;

/**
 * Cursors that clients keep but do not read: base64url of `kind.version` and the values in the order of the shape.
 * They are not secret and not signed: whoever decodes one checks the values as if the client had typed them.
 */
export class CursorCodec<const S extends CursorShape> {
  readonly #prefix: string;
  readonly #fields: readonly (readonly [string, 'integer' | 'text'])[];

  constructor(tag: CursorTag, shape: S) {
    this.#prefix = `${tag.kind}.${String(tag.version)}`;
    this.#fields = Object.entries(shape);
  }

  encode(values: CursorValues<S>): string {
    const list = this.#fields.map(([name]) => (values as Readonly<Record<string, CursorValue>>)[name]);
    return Buffer.from(JSON.stringify([this.#prefix, ...list])).toString('base64url');
  }

  /** @throws WeftError CURSOR_INVALID for what {@link encode} of the same tag and shape did not make */
  decode(cursor: string, where = 'after'): CursorValues<S> {
    const list = cursor.length <= MAX_CURSOR_LENGTH ? parseList(cursor) : null;
    if (list === null) throw invalid('is not one', where);
    const [prefix, ...values] = list;
    if (prefix !== this.#prefix) throw invalid('belongs to another list, or to another version', where);
    const result: Record<string, CursorValue> = {};
    for (const [i, [name, type]] of this.#fields.entries()) {
      const value = values[i];
      const fits = type === 'integer' ? Number.isSafeInteger(value) : isStorable(value);
      if (!fits) throw invalid('is damaged', where);
      result[name] = value as CursorValue;
    }
    if (values.length !== this.#fields.length) throw invalid('is damaged', where);
    return result as CursorValues<S>;
  }
}

/** No database text holds U+0000, or half of a surrogate pair: nothing that was read from one has them. */
function isStorable(value: unknown): boolean {
  return typeof value === 'string' && !/[\0\p{Surrogate}]/u.test(value);
}

function parseList(cursor: string): unknown[] | null {
  const bytes = Buffer.from(cursor, 'base64url');
  // Buffer.from skips what is not base64; a cursor has one spelling.
  if (bytes.length === 0 || bytes.toString('base64url') !== cursor) return null;
  try {
    const list: unknown = JSON.parse(bytes.toString('utf8'));
    return Array.isArray(list) ? list : null;
  } catch {
    return null;
  }
}

function invalid(problem: string, where: string): WeftError {
  return new WeftError('CURSOR_INVALID', `the cursor ${problem}`, {
    where,
    hint: 'Pass a cursor as it was received from this same list, or none to start at its beginning.',
  });
}
