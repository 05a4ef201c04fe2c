import type { Queryable } from '../platform/postgres.js';
import type { CheckResult } from './doctor.js';

/** Whether the label files that the database tells of are in the folder of this process. */
export async function checkExports(
  db: Queryable,
  { path, isOurs }: { readonly path: string; readonly isOurs: () => Promise<boolean> },
): Promise<CheckResult> {
  const name = 'label files';
  const [row] = await db.query<{ all: number }>('SELECT count(*)::int8 AS all FROM label_files');
  const all = row?.all ?? 0;
  if (all === 0) return { name, outcome: 'ok', detail: 'none' };
  if (await isOurs()) return { name, outcome: 'ok', detail: `${String(all)}, in ${path}` };
  return {
    name,
    outcome: 'warning',
    detail: `${String(all)} are in another folder than ${path}, and erasures wait for it`,
    hint: 'Give this process the WEFT_EXPORTS_DIR of the others, or the folder back; if it is lost: `weft export forget-folder`.',
  };
}
