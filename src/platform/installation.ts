import type { Transaction } from './postgres.js';

/** Keeps others from changing definitions until the transaction ends. */
export async function lockDefinitions(tx: Transaction): Promise<void> {
  await tx.query('SELECT FROM installation FOR UPDATE');
}

/**
 * Makes every process load the definitions anew; returns the new version. The last statement of its transaction, unless
 * the definitions are locked already: every batch reads this row.
 */
export async function touchDefinitions(tx: Transaction): Promise<number> {
  const [row] = await tx.query<{ version: number }>(
    `UPDATE installation SET definitions_version = definitions_version + 1, edited_version = definitions_version + 1
     RETURNING definitions_version AS version`,
  );
  if (row === undefined) throw new Error('the installation has no row');
  return row.version;
}

/** The same where nothing changed but which versions of models answer: what comes of it is told to be the models'. */
export async function touchModels(tx: Transaction): Promise<void> {
  await tx.query('UPDATE installation SET definitions_version = definitions_version + 1');
}

/** Makes every process look at the marks anew. Nobody's membership depends on them. */
export async function touchMarks(tx: Transaction): Promise<void> {
  await tx.query('UPDATE installation SET marks_version = marks_version + 1');
}
