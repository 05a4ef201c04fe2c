import { WeftError } from '../platform/errors.js';
import { ExpectationCheck } from './check-expectations.js';
import type { LoadExpectation, LoadFinding } from './load-expectation.model.js';
import type { LoadFile } from './load-file.js';
import { findingText } from './load-report.js';
import type { LoadRecord } from './load.store.js';
import type { SourceRow } from './row.model.js';
import { scanUnits, type Scanning } from './scan-units.js';

/**
 * Reads a file once to see whether it is as expected, if anything is expected that stops a load. What is sent cannot be
 * taken back by the way, so nothing is before that is known.
 * @param begun the load of this file that is there, which may have been begun when something else was expected
 * @throws WeftError BAD_REQUEST with all that is not met
 */
export async function demandExpected(
  scanning: Scanning,
  file: LoadFile,
  expectations: readonly LoadExpectation[],
  begun: Pick<LoadRecord, 'id'> | null,
): Promise<void> {
  const stopping = expectations.filter(({ otherwise }) => otherwise === 'stop');
  if (stopping.length === 0) return;
  let isFormer: (row: SourceRow) => boolean = () => false;
  const check = new ExpectationCheck(stopping, (row) => isFormer(row));
  await scanUnits(scanning, file, (unit, mapper) => {
    isFormer = (row) => mapper.formerPlace(row) !== null;
    check.add(unit);
  });
  const found = check.findings(true);
  if (found.length > 0) throw notAsExpected(file, found, begun);
}

function notAsExpected(file: LoadFile, found: readonly LoadFinding[], begun: Pick<LoadRecord, 'id'> | null): WeftError {
  const lines = found.map((finding) => `\n  ${findingText(finding)}`).join('');
  const left = begun === null ? 'nothing of it was loaded' : 'nothing more of it was loaded than before';
  const ways =
    'mend the file, or what is expected; with otherwise: warn (on_load: warn in a view) it is loaded all the same';
  return new WeftError('BAD_REQUEST', `the file is not as expected, and ${left}:${lines}`, {
    where: file.name,
    hint:
      begun === null
        ? ways
        : `${ways}; what is loaded of it stays, unless it is reverted: weft load revert ${begun.id}`,
  });
}
