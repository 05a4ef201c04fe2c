import { InvalidArgumentError } from 'commander';
import type { ListedModel, RegisteredModel } from './model-manifest.model.js';

/** A version's number, as an argument. */
export function parseVersion(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('A version is a whole number from 1.');
}

/** As `model rfm version 2 is active.` */
export function sentence({ key, version, stage }: RegisteredModel): string {
  const hint = stage === 'shadow' ? `; weft model promote ${key} ${String(version)} lets it answer` : '';
  return `model ${key} version ${String(version)} is ${stage}${hint}.`;
}

export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Without the golden vectors, which are rows of data. */
export function jsonOfModel({ key, version, stage, digest, edge, createdAt, manifest, probe }: ListedModel): unknown {
  const { description, featureService, metrics, trainingSet, fairness } = manifest;
  return {
    key,
    version,
    label: manifest.version,
    stage,
    edge,
    digest,
    createdAt: new Date(createdAt).toISOString(),
    description,
    featureService,
    metrics,
    trainingSet,
    fairness,
    probe,
  };
}
