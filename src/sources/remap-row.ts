import type { JsonObject, JsonValue } from '../events/event.model.js';
import { LetterRefusal, type RemapContext, type RemappedInput } from '../events/remap-letter.model.js';
import { WeftError } from '../platform/errors.js';
import { RowCleaner } from './clean-rows.js';
import { RowMapper, RowRefusal } from './compile-mapping.js';
import type { LoadSettings } from './load.reader.js';
import type { Mapping } from './mapping.model.js';
import { parseMapping } from './parse-mapping.js';
import type { SourceRow } from './row.model.js';

/**
 * Maps a refused row once more, by the mapping of its load or by another, as of the load: the event has the message id,
 * the time and the load that it would have had.
 * @throws LetterRefusal
 */
export function remapRow(
  input: unknown,
  { letter, mapping: text }: RemapContext,
  load: LoadSettings | null,
): RemappedInput {
  if (load === null) throw new LetterRefusal('NO_LOAD', 'its load is not on record');
  if (load.status === 'reverting' || load.status === 'reverted') {
    throw new LetterRefusal('LOAD_REVERTED', 'its load was reverted', 'load the file again');
  }
  const mapping = mappingOf(text ?? load.mapping);
  if (mapping.group !== null) {
    throw new LetterRefusal(
      'GROUPED_ROW',
      'it is one of the rows of a group, and of the others nothing is known here',
      'mend the file or the mapping, and load it with --replace',
    );
  }
  if (!isRecord(input)) throw new LetterRefusal('ROW_MALFORMED', 'it is no row', 'give it a fix that says all columns');
  try {
    const isCsv = mapping.format === 'csv';
    const header = isCsv ? Object.keys(input) : null;
    const mapper = new RowMapper(mapping, header, { fileHash: load.fileHash, timeShiftMs: load.timeShiftMs });
    const asRead: SourceRow = {
      number: letter.rowNumber ?? 0,
      cells: isCsv ? Object.values(input).map(cellText) : null,
      record: isCsv ? null : input,
      fault: null,
    };
    const row = mapping.cleaning.length === 0 ? asRead : new RowCleaner(mapping, header).clean(asRead);
    if (row.invalid !== undefined) throw new LetterRefusal(row.invalid.code, row.invalid.reason);
    if (!mapper.isWanted(row)) throw new LetterRefusal('NOT_WANTED', 'the mapping\'s "when" leaves it out');
    mapper.enter(row);
    return {
      item: mapper.event(row),
      historical: !load.emit,
      receivedAtMs: load.startedAt,
      ...(letter.loadId === null ? undefined : { loadId: letter.loadId }),
    };
  } catch (error) {
    if (error instanceof RowRefusal) throw new LetterRefusal(error.code, error.reason);
    if (error instanceof WeftError) throw new LetterRefusal(error.code, error.message, error.hint);
    throw error;
  }
}

function mappingOf(text: string | null): Mapping {
  if (text === null) {
    throw new LetterRefusal('NO_MAPPING', 'the mapping of its load was not kept', 'say which mapping to use');
  }
  return parseMapping(text, 'mapping');
}

function cellText(value: JsonValue): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function isRecord(input: unknown): input is JsonObject {
  return typeof input === 'object' && input !== null && !Array.isArray(input);
}
