import type { Principal } from './api-key.model.js';

/** Tells who somebody is by what they present: the secret of an API key, or the token of a person. */
export interface Credentials {
  /**
   * Null for what is unknown, has expired or was revoked, alike.
   * @throws WeftError UNAVAILABLE where that cannot be told now
   */
  verify(credential: string): Promise<Principal | null>;
  /** The same by what is in memory; undefined where something has to be asked. Most requests need no more. */
  verifyKnown(credential: string): Principal | null | undefined;
}

/** Whoever knows a credential answers for it: their forms differ, so at most one does. */
export function anyOf(all: readonly Credentials[]): Credentials {
  return {
    verify: async (credential) => {
      for (const each of all) {
        const principal = await each.verify(credential);
        if (principal !== null) return principal;
      }
      return null;
    },
    verifyKnown: (credential) => {
      for (const each of all) {
        const principal = each.verifyKnown(credential);
        if (principal !== null) return principal;
      }
      return null;
    },
  };
}
