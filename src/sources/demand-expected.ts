import { WeftError } from '../platform/errors.js';
import { ExpectationCheck } from './check-expectations.js';
import type { LoadExpectation, LoadFinding } from './load-expectation.model.js';
import type { LoadFile } from './load-file.js';
import { findingText } from './load-report.js';
import { scanUnits, type Scanning } from './scan-units.js';

/**
 * Reads a file once to see whether it is as expected, if anything is expected that stops a load. What is sent cannot be
 * taken back by the way, so nothing is before that is known.
 * @throws WeftError BAD_REQUEST with all that is not met
 */
export async function demandExpected(
  scanning: Scanning,
  file: LoadFile,
  expectations: readonly LoadExpectation[],
): Promise<void> {
  const stopping = expectations.filter(({ otherwise }) => otherwise === 'stop');
  if (stopping.length === 0) return;
  const check = new ExpectationCheck(stopping);
  await scanUnits(scanning, file, (unit) => {
    check.add(unit);
  });
  const found = check.findings(true);
  if (found.length > 0) throw notAsExpected(file, found);
}

function notAsExpected(file: LoadFile, found: readonly LoadFinding[]): WeftError {
  const lines = found.map((finding) => `\n  ${findingText(finding)}`).join('');
  return new WeftError('BAD_REQUEST', `the file is not as expected, and nothing of it was loaded:${lines}`, {
    where: file.name,
    hint: 'mend the file, or what is expected; with otherwise: warn it is loaded all the same',
  });
}
