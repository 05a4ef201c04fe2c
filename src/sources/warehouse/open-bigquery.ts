import { readFile } from 'node:fs/promises';

import type { BigQuery } from '@google-cloud/bigquery';

import { WeftError } from '../../platform/errors.js';
import { BigQueryWarehouse } from './bigquery-warehouse.js';
import { importClient, type OpenStore } from './store-client.js';
import type { BigQueryQuery } from './warehouse.model.js';

const CLIENT = { package: '@google-cloud/bigquery', version: '8.3.1', store: 'BigQuery' } as const;

const REQUEST_TIMEOUT_MS = 60_000;

/** A key file of a service account, as Google gives it; Weft reads its `type` alone. */
type Credentials = Readonly<Record<string, unknown>>;

/** What Google's client is opened with. */
interface ClientOptions {
  readonly projectId: string;
  readonly timeout: number;
  readonly userAgent: string;
  readonly location?: string;
  readonly credentials?: Credentials;
  readonly apiEndpoint?: string;
}

export function openBigQueryWarehouse(query: BigQueryQuery, deps: OpenStore): BigQueryWarehouse {
  return new BigQueryWarehouse(query, { clock: deps.clock, openClient: () => openClient(query, deps) });
}

/** @throws WeftError NOT_CONFIGURED or CONFIG_INVALID where the client or the credentials are not there */
async function openClient(query: BigQueryQuery, deps: OpenStore): Promise<BigQuery> {
  const credentials = query.credentialsEnv === null ? null : await readCredentials(query.credentialsEnv, deps);
  const { BigQuery: Client } = (await importClient(CLIENT, deps.importPackage)) as {
    BigQuery: new (options: ClientOptions) => BigQuery;
  };
  const { apiEndpoint } = deps;
  return new Client({
    projectId: query.project,
    timeout: REQUEST_TIMEOUT_MS,
    userAgent: 'weft',
    ...(query.location === null ? {} : { location: query.location }),
    ...(credentials === null ? {} : { credentials }),
    ...(apiEndpoint === undefined ? {} : { apiEndpoint }),
  });
}

/** The variable holds a path, and neither that nor what is in the file is told. */
async function readCredentials(name: string, { readVariable }: OpenStore): Promise<Credentials> {
  const path = readVariable(name)?.trim() ?? '';
  if (path === '') {
    throw new WeftError('NOT_CONFIGURED', 'the environment variable that "from" names is not set', {
      where: name,
      hint: `set it where this command runs: export ${name}=/path/to/key.json`,
    });
  }
  try {
    const found = JSON.parse(await readFile(path, 'utf8')) as unknown;
    // Files of other kinds name servers and programs that credentials are got from.
    if (typeof found === 'object' && found !== null && 'type' in found && found.type === 'service_account') {
      return found;
    }
  } catch {
    // What Node.js says of it may quote the file.
  }
  throw new WeftError('CONFIG_INVALID', 'the file of credentials cannot be read', {
    where: name,
    hint: 'the variable holds the path of the JSON key file of a service account, as Google gives it',
  });
}
