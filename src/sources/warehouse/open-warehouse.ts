import { openBigQueryWarehouse } from './open-bigquery.js';
import { openSnowflakeWarehouse } from './open-snowflake.js';
import { openPostgresWarehouse } from './postgres-warehouse.js';
import type { OpenStore } from './store-client.js';
import type { WarehouseQuery, WarehouseSource } from './warehouse.model.js';

/** @throws WeftError NOT_CONFIGURED where a variable that the query names is not set */
export function openWarehouse(query: WarehouseQuery, deps: OpenStore): WarehouseSource {
  switch (query.kind) {
    case 'postgres':
      return openPostgresWarehouse(query, deps.readVariable);
    case 'bigquery':
      return openBigQueryWarehouse(query, deps);
    case 'snowflake':
      return openSnowflakeWarehouse(query, deps);
  }
}
