import type { JsonObject } from '../events/event.model.js';

export const SOURCE_KINDS = ['http', 'batch'] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

/** Where data comes from. `id` and `key` never change once given. */
export interface Source {
  /** Small and stable: what events, states and feature definitions refer to. */
  readonly id: number;
  /** `[a-z][a-z0-9_]{0,62}`, unique. */
  readonly key: string;
  readonly name: string;
  readonly kind: SourceKind;
  readonly config: JsonObject;
  /** ms */
  readonly createdAt: number;
}

export interface NewSource {
  readonly key: string;
  /** For people; default: the key. */
  readonly name?: string;
  readonly kind: SourceKind;
  readonly config?: JsonObject;
}

export const MAX_SOURCE_NAME_LENGTH = 200;
