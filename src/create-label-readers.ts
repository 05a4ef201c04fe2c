import { readNamedVariable } from './config.js';
import type { ExportCommandDeps } from './features/export.command.js';
import { openLabels } from './open-labels.js';
import type { Clock } from './platform/clock.js';
import { queryLabels } from './query-labels.js';
import { openWarehouse } from './sources/warehouse/open-warehouse.js';
import type { WarehouseQuery } from './sources/warehouse/warehouse.model.js';

/** What reads labels of training sets that are no CSV file, for the command. */
export function createLabelReaders(
  clock: Clock,
  readVariable: (name: string) => string | undefined = readNamedVariable,
): Pick<ExportCommandDeps, 'openLabels' | 'queryLabels'> {
  const open = (query: WarehouseQuery) => openWarehouse(query, { readVariable, clock });
  return { openLabels, queryLabels: (request) => queryLabels({ clock, open }, request) };
}
