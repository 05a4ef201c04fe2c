import type { ModelManifest, ModelProbe, ModelStage, RegisteredModel } from './model-manifest.model.js';

/** A row of `models`. */
export interface ModelRow {
  readonly key: string;
  readonly version: number;
  readonly digest: string;
  readonly stage: ModelStage;
  readonly manifest: ModelManifest;
  readonly edge: boolean;
  readonly created_at: number;
  readonly probe: ModelProbe | null;
  readonly canary_percent: number | null;
}

export const MODEL_COLUMNS = 'key, version, digest, stage, manifest, edge, created_at, probe, canary_percent';

export function modelOfRow(row: ModelRow): RegisteredModel {
  const { key, version, digest, stage, manifest, edge, probe } = row;
  return {
    key,
    version,
    digest,
    stage,
    manifest,
    edge,
    createdAt: row.created_at,
    probe,
    canaryPercent: row.canary_percent,
  };
}
