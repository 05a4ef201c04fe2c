import type { YamlValue } from '../platform/yaml-file.js';
import type { AggregateField } from './aggregate.model.js';
import type { FeatureOptions } from './feature.model.js';
import { parseValuePath } from './value-path.js';

const MAX_PATH_LENGTH = 1_000;

/** A field that some aggregates take. */
interface FieldForm {
  /** How messages name it. */
  readonly what: string;
  /** How it may be written. */
  readonly example: string;
  /** Reads it as an option. Left out: it has a place of its own in a definition. Notes what is wrong with it. */
  read?(item: YamlValue): FeatureOptions;
}

/** How the fields that only some aggregates take are written. To add one, add a row. */
export const FIELD_FORMS: { readonly [F in AggregateField]: FieldForm } = {
  value: { what: 'a value', example: 'the path of a property, as in value: properties.total' },
  window: { what: 'a window', example: 'how far back events count, as in window: 7d' },
  type: { what: 'a type', example: 'the type of the value, as in type: string' },
  unit: { what: 'a unit', example: 'what is counted in, as in unit: 1d' },
  limit: { what: 'a limit', example: 'how many are kept at most, as in limit: 10' },
};

/** The path of a value in an event; undefined if there is none, or none that is right. */
export function readPath(path: YamlValue | undefined, what: string): string | undefined {
  const text = path?.text(what, MAX_PATH_LENGTH);
  if (path === undefined || text === undefined) return undefined;
  try {
    parseValuePath(text);
    return text;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return path.problem(error.message, 'name one value of the event');
  }
}
