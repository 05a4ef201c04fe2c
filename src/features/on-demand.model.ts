import { WeftError } from '../platform/errors.js';
import { parseInstant, type InstantPolicy } from '../platform/instant.js';
import {
  isItemType,
  type FeatureDefinition,
  type FeatureType,
  type FeatureValue,
  type Item,
  type ItemType,
  type RequestField,
  type RequestValues,
} from './feature.model.js';

/*
 * Features that are computed when they are read, from other features and from what the request says: the same function
 * of the same values online and in training sets.
 *
 * The language that they are written in is that of segments, which know features and which features do not know. So it is
 * handed in, by whoever puts the program together.
 */

/** Times that a request says. */
const TIMES: InstantPolicy = { date: 'utc', time: 'refused' };

/** The names that an expression may read, in an order of their own. */
export interface ExpressionNames {
  /** Types of features, read as `f.name`. */
  readonly features: ReadonlyMap<string, FeatureType>;
  /** Types of what a request says, read as `request.name`. */
  readonly request: ReadonlyMap<string, ItemType>;
}

/** A value of features or of the request, in the order of the names: features first. */
export type ExpressionEvaluation = (values: readonly FeatureValue[]) => unknown;

export interface ExpressionLanguage {
  /**
   * The features that an expression reads, by name.
   *
   * @param type what it has to give
   * @throws WeftError EXPRESSION_INVALID with the place in the text, for what is no expression, or not of this type
   */
  check(expression: string, names: ExpressionNames, type: FeatureType): readonly string[];
  /** Undefined where it has no value, as where a value that it needs is absent. */
  compile(expression: string, names: ExpressionNames): ExpressionEvaluation;
}

/** From values of the inputs and the request; it is valid for as long as all inputs are. */
export type Computation = (inputs: readonly FeatureValue[], request: RequestValues | null) => FeatureValue;

/** Of a feature that is computed on demand; null: it is not. */
export function computationOf(definition: FeatureDefinition, language: ExpressionLanguage | null): Computation | null {
  if (definition.aggregate !== 'on_demand') return null;
  const { expression = '', inputs = [], request: fields = [] } = definition.options ?? {};
  if (language === null) throw new TypeError(`nobody can read the expression of ${definition.name}`);
  const evaluate = language.compile(expression, {
    features: new Map(inputs.map(({ name, type }) => [name, type])),
    request: typesOf(fields),
  });
  return (values, request) => {
    const value = evaluate([...values, ...fields.map((field) => requestValue(field, request))]);
    const isGiven = isOfType(value, definition.type);
    const isUnknown = values.some(({ status }) => status === 'NOT_FOUND');
    return {
      status: isGiven ? 'PRESENT' : isUnknown ? 'NOT_FOUND' : 'NULL_VALUE',
      value: isGiven ? value : null,
      eventTs: values.reduce<number | null>((newest, { eventTs }) => later(newest, eventTs), null),
      validUntil: Math.min(...values.map(({ validUntil }) => validUntil)),
      approximate: values.some(({ approximate }) => approximate),
    };
  };
}

export function typesOf(fields: readonly RequestField[]): Map<string, ItemType> {
  return new Map(fields.map(({ name, type }) => [name, type]));
}

/** All that a feature reads of a request, its inputs' fields too; the same name may be there twice. */
export function requestFieldsOf({ options }: FeatureDefinition): readonly RequestField[] {
  if (options?.request === undefined && options?.inputs === undefined) return [];
  return [...(options.request ?? []), ...(options.inputs ?? []).flatMap(requestFieldsOf)];
}

/** The first of these fields that is absent where a request does not say it; undefined: all have defaults. */
export function neededFieldOf(feature: FeatureDefinition): string | undefined {
  return requestFieldsOf(feature).find((field) => field.default === undefined)?.name;
}

/** Whether the value is one of this type: whole and finite numbers as far as they are exact, times in ms. */
export function isOfType(value: unknown, type: FeatureType): value is Item {
  if (!isItemType(type)) return false;
  if (type === 'string') return typeof value === 'string';
  if (type === 'bool') return typeof value === 'boolean';
  return type === 'double' ? Number.isFinite(value) : Number.isSafeInteger(value);
}

/**
 * What a request says, checked against what features read of requests; undeclared names are refused.
 *
 * @param features those that are asked for
 * @param given values by name; null: nothing is said
 * @throws WeftError BAD_REQUEST
 */
export function readRequestValues(features: readonly FeatureDefinition[], given: unknown): RequestValues | null {
  if (given === null || given === undefined) return null;
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw new WeftError('BAD_REQUEST', 'the request is no object', {
      where: 'request',
      hint: 'give values by name, as {"amount": 59.9}',
    });
  }
  const fields = new Map(features.flatMap(requestFieldsOf).map((field) => [field.name, field.type]));
  const values = new Map<string, Item>();
  for (const [name, value] of Object.entries(given as Readonly<Record<string, unknown>>)) {
    const type = fields.get(name);
    if (type === undefined) throw unread(name.slice(0, 100), [...fields.keys()]);
    if (value === null) continue;
    const plain = type === 'timestamp' && typeof value === 'string' ? parseInstant(value, TIMES) : value;
    if (!isOfType(plain, type)) {
      throw new WeftError('BAD_REQUEST', `request.${name} is not of type ${type}`, {
        where: `request.${name}`,
        hint: type === 'timestamp' ? 'write a time as 2026-01-31T12:00:00Z, or ms since 1970' : `give it as ${type}`,
      });
    }
    values.set(name, plain);
  }
  return values;
}

/** Features without those that read a request, which there is none of where segments are evaluated. */
export function withoutRequests(features: readonly FeatureDefinition[]): FeatureDefinition[] {
  return features.filter((feature) => requestFieldsOf(feature).length === 0);
}

/**
 * What a row of a file says of the request; empty cells say nothing.
 *
 * @param cellOf the cell of a column; undefined: the file has none of this name
 * @throws WeftError BAD_REQUEST for a cell that is not of its field's type
 */
export function requestOfCells(
  fields: readonly RequestField[],
  cellOf: (name: string) => string | undefined,
): RequestValues {
  const values = new Map<string, Item>();
  for (const { name, type } of fields) {
    const text = cellOf(name)?.trim() ?? '';
    if (text === '') continue;
    const value = itemOf(text, type);
    if (!isOfType(value, type)) {
      throw new WeftError('BAD_REQUEST', `"${text.slice(0, 50)}" is not of type ${type}`, {
        where: `labels, column ${name}`,
        hint: `on-demand features read request.${name}: correct the cell, or leave it empty`,
      });
    }
    values.set(name, value);
  }
  return values;
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$/;

function itemOf(text: string, type: ItemType): Item {
  if (type === 'string') return text;
  if (type === 'bool') return text.toLowerCase() === 'true' || (text.toLowerCase() === 'false' ? false : text);
  if (NUMBER.test(text)) return Number(text);
  return type === 'timestamp' ? parseInstant(text, TIMES) : text;
}

function unread(name: string, known: readonly string[]): WeftError {
  const hint = known.length === 0 ? 'leave it out' : `they read ${known.join(', ')}`;
  return new WeftError('BAD_REQUEST', `the features asked for read no request.${name}`, { where: 'request', hint });
}

function requestValue({ name, default: otherwise }: RequestField, request: RequestValues | null): FeatureValue {
  const value = request?.get(name) ?? otherwise ?? null;
  const status = value === null ? 'NOT_FOUND' : 'PRESENT';
  return { status, value, eventTs: null, validUntil: Infinity, approximate: false };
}

function later(a: number | null, b: number | null): number | null {
  return a === null || (b !== null && b > a) ? b : a;
}
