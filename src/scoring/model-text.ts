import { InvalidArgumentError } from 'commander';
import type { ListedModel, RegisteredModel } from './model-manifest.model.js';

/** A version's number, as an argument. */
export function parseVersion(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('A version is a whole number from 1.');
}

/** A percentage, as an argument. */
export function parsePercent(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number from 1 to 99.');
}

/** As `canary 5 %`. */
export function stageText({ stage, canaryPercent }: Pick<ListedModel, 'stage' | 'canaryPercent'>): string {
  return canaryPercent === null ? stage : `${stage} ${String(canaryPercent)} %`;
}

/** As `model rfm version 2 is active.` */
export function sentence({ key, version, stage, canaryPercent }: RegisteredModel): string {
  if (canaryPercent !== null) {
    return `model ${key} version ${String(version)} answers for ${String(canaryPercent)} % of people; weft model promote ${key} ${String(version)} lets it answer for all, weft model abort ${key} for nobody.`;
  }
  const hint = stage === 'shadow' ? `; weft model promote ${key} ${String(version)} lets it answer` : '';
  return `model ${key} version ${String(version)} is ${stage}${hint}.`;
}

export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Without the golden vectors, which are rows of data. */
export function jsonOfModel({
  key,
  version,
  stage,
  digest,
  edge,
  createdAt,
  manifest,
  ...model
}: ListedModel): unknown {
  const { description, featureService, metrics, trainingSet, fairness } = manifest;
  return {
    key,
    version,
    label: manifest.version,
    stage,
    canaryPercent: model.canaryPercent,
    edge,
    digest,
    createdAt: new Date(createdAt).toISOString(),
    description,
    featureService,
    metrics,
    trainingSet,
    fairness,
    probe: model.probe,
  };
}
