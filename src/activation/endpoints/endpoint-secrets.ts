import { WeftError } from '../../platform/errors.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import type { EndpointTarget } from './endpoint.model.js';
import type { StoredEndpoint } from './endpoint.store.js';

/* What is sealed of an endpoint: its URL with headers, and what its requests are signed with. */

const targetPurpose = (key: string): string => `endpoint-target:${key}`;
const secretPurpose = (key: string): string => `endpoint-secret:${key}`;

/** @throws WeftError NOT_CONFIGURED where the installation has no secret */
export function sealTarget(secret: InstallationSecret, key: string, target: EndpointTarget): Buffer {
  return secret.seal(targetPurpose(key), Buffer.from(JSON.stringify(target)));
}

/** @throws WeftError NOT_CONFIGURED */
export function sealSigningSecret(secret: InstallationSecret, key: string, random: Buffer): Buffer {
  return secret.seal(secretPurpose(key), random);
}

/** @throws WeftError CONFIG_INVALID where it was sealed by another secret */
export function openTarget(secret: InstallationSecret, { key, target }: Pick<StoredEndpoint, 'key' | 'target'>) {
  return JSON.parse(opened(secret, targetPurpose(key), target).toString('utf8')) as EndpointTarget;
}

/** The secret in force, and the one before for as long as it is sent, too. @throws as {@link openTarget} */
export function signingSecrets(
  secret: InstallationSecret,
  { key, secret: sealed, formerSecret, formerUntil }: StoredEndpoint,
  nowMs: number,
): Buffer[] {
  const isBoth = formerSecret !== null && formerUntil !== null && nowMs < formerUntil;
  return [sealed, ...(isBoth ? [formerSecret] : [])].map((each) => opened(secret, secretPurpose(key), each));
}

function opened(secret: InstallationSecret, purpose: string, sealed: Buffer): Buffer {
  const plain = secret.open(purpose, sealed);
  if (plain !== null) return plain;
  throw new WeftError('CONFIG_INVALID', 'what was kept of an endpoint cannot be opened', {
    where: 'WEFT_SECRET, or the file secret in WEFT_DATA_DIR',
    hint: 'put the former secret of the installation back, or make the endpoint anew',
  });
}
