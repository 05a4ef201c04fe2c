import { hash } from 'node:crypto';
import { PRIVATE_PROPERTIES, type IncomingEvent, type JsonObject } from '../../events/event.model.js';
import { present } from './payload-reader.js';
import type { Interaction } from './interaction.model.js';
import type { TextReader } from '../../platform/text-reader.js';

/** Of what was written; longer ones are cut, and `text_length` says how long they were. */
const MAX_TEXT_LENGTH = 4_000;
const MAX_MESSAGE_ID_LENGTH = 200;
/** Of any other value that a network chose. */
const MAX_VALUE_LENGTH = 500;

/**
 * The event of an interaction. What was written is a property, unless it is private: then only what can be said about it
 * stays (length, language, sentiment), and the words themselves only with `keepMessages`, where admins alone see them.
 */
export function eventOf(interaction: Interaction, keepMessages: boolean, reader: TextReader): IncomingEvent {
  const { name, network, direction, isPrivate, occurredAtMs, person } = interaction;
  const text = interaction.text?.replaceAll('\0', '') ?? null;
  const hidden = isPrivate && keepMessages ? hiddenOf(text, interaction.privateProperties) : null;
  const properties: JsonObject = {
    network,
    direction,
    ...bounded(interaction.properties),
    ...(isPrivate ? { is_private: true } : {}),
    ...(text === null ? {} : aboutText(text, interaction.language, reader)),
    ...(text === null || isPrivate ? {} : { text: cut(text, MAX_TEXT_LENGTH) }),
    ...(hidden === null ? {} : { [PRIVATE_PROPERTIES]: hidden }),
  };
  return {
    type: 'track',
    name,
    messageId: boundedId(interaction.id),
    identifiers: person,
    ...(occurredAtMs === null ? {} : { timestampMs: occurredAtMs }),
    properties,
  };
}

/** What is said about a text without repeating it. */
export function aboutText(text: string, stated: string | null, reader: TextReader): JsonObject {
  const { language, sentiment } = reader.read(text, stated);
  return {
    text_length: text.length,
    language,
    sentiment: sentiment === null ? null : { compound: sentiment.compound, label: sentiment.label },
  };
}

/** Cut, and no half of a surrogate pair at the end. */
export function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const end = (text.charCodeAt(maxLength - 1) & 0xfc00) === 0xd800 ? maxLength - 1 : maxLength;
  return text.slice(0, end);
}

function hiddenOf(text: string | null, others: JsonObject | undefined): JsonObject | null {
  const hidden = present({ text: text === null ? null : cut(text, MAX_TEXT_LENGTH), ...bounded(others ?? {}) });
  return Object.keys(hidden).length === 0 ? null : hidden;
}

function bounded(properties: JsonObject): JsonObject {
  const found: JsonObject = {};
  for (const [name, value] of Object.entries(properties)) {
    found[name] = typeof value === 'string' ? cut(value, MAX_VALUE_LENGTH) : value;
  }
  return found;
}

function boundedId(id: string): string {
  return id.length <= MAX_MESSAGE_ID_LENGTH ? id : `sha256:${hash('sha256', id, 'hex')}`;
}
