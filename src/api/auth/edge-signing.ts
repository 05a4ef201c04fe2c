import { LRUCache } from 'lru-cache';
import type { Uuid } from '../../platform/ids.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import { signingPurpose, signingSecret, type Principal } from './api-key.model.js';

const MAX_KEYS = 10_000;

/** The signing secrets of edge keys, derived once: a derivation costs more than all else that a page view asks for. */
export class EdgeSigning {
  readonly #secret: InstallationSecret;
  readonly #derived = new LRUCache<Uuid, string>({ max: MAX_KEYS });

  constructor(secret: InstallationSecret) {
    this.#secret = secret;
  }

  /** @throws WeftError CONFIG_INVALID where the installation has no secret */
  secretOf({ id }: Pick<Principal, 'id'>): string {
    let derived = this.#derived.get(id);
    if (derived === undefined) {
      derived = signingSecret(this.#secret.derive(signingPurpose(id)));
      this.#derived.set(id, derived);
    }
    return derived;
  }
}
