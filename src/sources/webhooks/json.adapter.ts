import { setImmediate } from 'node:timers/promises';
import { WeftError } from '../../platform/errors.js';
import { PRIVATE_PROPERTIES, type IncomingEvent, type JsonObject, type JsonValue } from '../../events/event.model.js';
import { RowMapper, RowRefusal } from '../compile-mapping.js';
import type { Mapping } from '../mapping.model.js';
import { parseMapping } from '../parse-mapping.js';
import { aboutText, cut } from './interaction-event.js';
import { objectOf, ownField } from './payload-reader.js';
import type { TextReader } from '../../platform/text-reader.js';
import type { WebhookOptions } from './webhook.model.js';

const MAX_TEXT_LENGTH = 4_000;

/** Items that are mapped before others get their turn; a text takes up to some 2 ms to read. */
export const ITEMS_PER_TURN = 20;

/** What becomes of one item of a body. */
export type MappedItem =
  | { readonly event: IncomingEvent }
  | { readonly code: string; readonly reason: string; readonly item: JsonValue }
  /** Left out by `when`. */
  | { readonly skipped: true };

/**
 * Items of the body by the same language that files are mapped with. Stateless as seen from outside: each item is mapped
 * within one turn, so that bodies may be mapped beside each other.
 */
export class JsonMapper {
  readonly #mapper: RowMapper;
  readonly #options: WebhookOptions;

  /** @throws WeftError DEFINITION_INVALID */
  constructor(key: string, options: WebhookOptions) {
    const mapping = readMapping(key, options.mapping ?? '');
    checkPrivateText(mapping, options);
    this.#mapper = new RowMapper(mapping, null, { fileHash: '', timeShiftMs: 0 });
    this.#options = options;
  }

  countItems(body: JsonValue): number {
    return Math.max(1, this.#items(body).length);
  }

  async map(body: JsonValue, reader: TextReader): Promise<MappedItem[]> {
    const mapped: MappedItem[] = [];
    for (const [i, item] of this.#items(body).entries()) {
      if (i > 0 && i % ITEMS_PER_TURN === 0) await setImmediate();
      mapped.push(this.#mapOne(item, i + 1, reader));
    }
    return mapped;
  }

  #items(body: JsonValue): readonly JsonValue[] {
    let at: JsonValue | undefined = body;
    for (const step of this.#options.items?.split('.') ?? []) at = ownField(objectOf(at), step);
    if (at === undefined) return [];
    return Array.isArray(at) ? at : [at];
  }

  #mapOne(item: JsonValue, number: number, reader: TextReader): MappedItem {
    const record = objectOf(item);
    if (record === null) return { code: 'ROW_MALFORMED', reason: `item ${String(number)} is not an object`, item };
    const row = { number, cells: null, record, fault: null };
    try {
      if (!this.#mapper.isWanted(row)) return { skipped: true };
      this.#mapper.enter(row);
      return { event: this.#withText(this.#mapper.event(row), reader) };
    } catch (error) {
      if (!(error instanceof RowRefusal)) throw error;
      const reason = this.#options.isPrivate === true ? unquoted(error.reason) : error.reason;
      return { code: error.code, reason: `item ${String(number)}: ${reason}`, item };
    }
  }

  #withText(event: IncomingEvent, reader: TextReader): IncomingEvent {
    const { textProperty, isPrivate = false } = this.#options;
    if (isPrivate) return this.#withoutWords(event, reader);
    const text = textProperty === undefined ? undefined : ownField(event.properties ?? {}, textProperty);
    if (textProperty === undefined || typeof text !== 'string' || text === '') return event;
    const { [textProperty]: _, ...others } = event.properties ?? {};
    const words = { [textProperty]: cut(text, MAX_TEXT_LENGTH) };
    return { ...event, properties: { ...others, ...aboutText(text, null, reader), ...words } };
  }

  /** A private text is taken out whatever it is: a list or an object holds words as well. */
  #withoutWords(event: IncomingEvent, reader: TextReader): IncomingEvent {
    const { textProperty = '', keepMessages } = this.#options;
    const { [textProperty]: text, ...properties } = event.properties ?? {};
    const { [textProperty]: _, ...traits } = event.traits ?? {};
    if (typeof text !== 'string' || text === '') return { ...event, properties, traits };
    const hidden: JsonObject = keepMessages
      ? { [PRIVATE_PROPERTIES]: { [textProperty]: cut(text, MAX_TEXT_LENGTH) } }
      : {};
    return { ...event, properties: { ...properties, ...aboutText(text, null, reader), ...hidden }, traits };
  }
}

/** Which column or expression of the mapping it was, without the value that it quotes. */
function unquoted(reason: string): string {
  return `${/^(?:column )?"[^"]*"/.exec(reason)?.[0] ?? 'a value'} does not fit the mapping`;
}

/** @throws WeftError DEFINITION_INVALID */
function readMapping(key: string, text: string): Mapping {
  const mapping = parseMapping(text);
  const problem = problemOf(mapping, key);
  if (problem === null) return mapping;
  throw new WeftError('DEFINITION_INVALID', `the mapping does not fit a webhook: ${problem[0]}`, {
    where: 'mapping',
    hint: problem[1],
  });
}

/** What is private must be known by name: else nothing would be taken out. @throws WeftError BAD_REQUEST */
function checkPrivateText({ properties }: Mapping, { isPrivate, textProperty }: WebhookOptions): void {
  if (isPrivate !== true || properties.some(({ name }) => name === textProperty)) return;
  const what = textProperty === undefined ? 'is needed for a private text' : 'is no property of the mapping';
  throw new WeftError('BAD_REQUEST', `textProperty: ${what}`, {
    where: 'textProperty',
    hint: `name the property that holds the message: one of ${properties.map(({ name }) => name).join(', ') || '(none)'}`,
  });
}

function problemOf(mapping: Mapping, key: string): readonly [what: string, hint: string] | null {
  if (mapping.from !== null) return ['it reads rows of a database', 'leave "from" out, and write "format: jsonl"'];
  if (mapping.format !== 'jsonl') return [`its format is ${mapping.format}`, 'write "format: jsonl"'];
  if (mapping.source !== key) return [`its source is ${mapping.source}`, `write "source: ${key}"`];
  if (mapping.cleaning.length > 0 || mapping.dedupe !== null) {
    return ['it cleans rows', 'leave "clean" and "dedupe" out: they are for files'];
  }
  if (mapping.group !== null) return ['it groups rows', 'leave "group" out: each item of a body is one event'];
  if (mapping.identifiers.some(({ value }) => value.kind === 'row')) {
    return ['it names somebody by the number of a row', 'name a field: bodies have no rows'];
  }
  if (mapping.key === null) {
    return ['it has no key', 'add "key", as in \'{id}\': a delivery that comes again must make the same event'];
  }
  return null;
}
