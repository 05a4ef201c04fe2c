import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { WeftError } from '../../platform/errors.js';
import type { SnowflakeClient, SnowflakeOptions } from './snowflake-client.js';
import { SnowflakeSession } from './snowflake-session.js';
import { SnowflakeWarehouse } from './snowflake-warehouse.js';
import { importClient, type OpenStore } from './store-client.js';
import type { SnowflakeQuery, SnowflakeSignIn } from './warehouse.model.js';

const CLIENT = { package: 'snowflake-sdk', version: '3.3.0', store: 'Snowflake' } as const;

const REQUEST_TIMEOUT_MS = 60_000;
const MAX_LOGIN_RETRIES = 2;
/** Each has some MB; they are parsed one by one. */
const PARTS_AHEAD = 2;
const ROWS_AHEAD = 1_000;

type Secrets = Pick<SnowflakeOptions, 'authenticator' | 'password' | 'token' | 'privateKey'>;

export function openSnowflakeWarehouse(query: SnowflakeQuery, deps: OpenStore): SnowflakeWarehouse {
  return new SnowflakeWarehouse(query, { clock: deps.clock, openSession: (place) => openSession(query, deps, place) });
}

/** @throws WeftError NOT_CONFIGURED or CONFIG_INVALID where the client or what it signs in with is not there */
async function openSession(query: SnowflakeQuery, deps: OpenStore, place: string): Promise<SnowflakeSession> {
  const secrets = await readSecrets(query.signIn, deps);
  const { default: client } = (await importClient(CLIENT, deps.importPackage)) as { default: SnowflakeClient };
  const { account, user, warehouse, database, schema, role, timeoutMs } = query;
  const options: SnowflakeOptions = {
    account,
    username: user,
    application: 'weft',
    queryTag: 'weft',
    timeout: REQUEST_TIMEOUT_MS,
    sfRetryMaxLoginRetries: MAX_LOGIN_RETRIES,
    resultPrefetch: PARTS_AHEAD,
    rowStreamHighWaterMark: ROWS_AHEAD,
    representNullAsStringNull: false,
    ...(warehouse === null ? {} : { warehouse }),
    ...(database === null ? {} : { database }),
    ...(schema === null ? {} : { schema }),
    ...(role === null ? {} : { role }),
    ...secrets,
    ...(deps.apiEndpoint === undefined ? {} : { accessUrl: deps.apiEndpoint }),
  };
  return SnowflakeSession.open(client, options, { place, timeoutMs });
}

async function readSecrets(signIn: SnowflakeSignIn, deps: OpenStore): Promise<Secrets> {
  switch (signIn.kind) {
    case 'key':
      return { authenticator: 'SNOWFLAKE_JWT', privateKey: await readKey(signIn, deps) };
    case 'token':
      return {
        authenticator: 'PROGRAMMATIC_ACCESS_TOKEN',
        token: readNamed(signIn.tokenEnv, deps, 'a programmatic access token'),
      };
    case 'password':
      return { authenticator: 'SNOWFLAKE', password: readNamed(signIn.passwordEnv, deps, 'the password') };
  }
}

/** The variable holds a path; neither that nor what is in the file is told. PEM without a passphrase. */
async function readKey(
  { keyFileEnv, passphraseEnv }: SnowflakeSignIn & { kind: 'key' },
  deps: OpenStore,
): Promise<string> {
  const path = readNamed(keyFileEnv, deps, '/path/to/rsa_key.p8').trim();
  const passphrase = passphraseEnv === null ? undefined : readNamed(passphraseEnv, deps, 'the passphrase of the key');
  try {
    const key = createPrivateKey({ key: await readFile(path), format: 'pem', passphrase });
    if (key.asymmetricKeyType === 'rsa') return key.export({ type: 'pkcs8', format: 'pem' }).toString();
  } catch {
    // What Node.js says of it may quote the path or the file.
  }
  throw new WeftError('CONFIG_INVALID', 'the file of the private key cannot be read', {
    where: keyFileEnv,
    hint: 'the variable holds the path of an RSA key in PEM, whose public key the user has; "key_passphrase_env" names the variable of its passphrase',
  });
}

function readNamed(name: string, { readVariable }: OpenStore, example: string): string {
  const value = readVariable(name) ?? '';
  if (value.trim() !== '') return value;
  throw new WeftError('NOT_CONFIGURED', 'the environment variable that "from" names is not set', {
    where: name,
    hint: `set it where this command runs, to ${example}`,
  });
}
