import type { ModelManifest, ModelStage, RegisteredModel } from './model-manifest.model.js';

/** A row of `models`. */
export interface ModelRow {
  readonly key: string;
  readonly version: number;
  readonly digest: string;
  readonly stage: ModelStage;
  readonly manifest: ModelManifest;
  readonly edge: boolean;
  readonly created_at: number;
}

export const MODEL_COLUMNS = 'key, version, digest, stage, manifest, edge, created_at';

export function modelOfRow(row: ModelRow): RegisteredModel {
  const { key, version, digest, stage, manifest, edge } = row;
  return { key, version, digest, stage, manifest, edge, createdAt: row.created_at };
}
