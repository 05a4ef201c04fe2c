import type { ListedModel, ModelManifest, ModelProbe } from './model-manifest.model.js';
import { stageText } from './model-text.js';
import { readableLines } from './readable-json.js';
import { mayRunInline } from './run-inline.model.js';

/** A version in words for people: what it reads and says, how fast it is, and what its trainer tells of it. */
export function modelDetails(model: ListedModel): string {
  const { key, version, digest, edge, createdAt, manifest, probe } = model;
  const { metrics, fairness, trainingSet, featureService, purposes = [] } = manifest;
  const facts: (readonly [string, string])[] = [
    ['label', manifest.version],
    ['stage', stageText(model)],
    ['registered', new Date(createdAt).toISOString()],
    ['digest', digest.slice(0, 12)],
    ['reads', readsText(featureService, probe)],
    ['says', saysText(manifest)],
    ...(purposes.length === 0 ? [] : [['asks only whoever allows', purposes.join(', ')] as const]),
    ['one row takes', latencyText(probe)],
    ['is run', whereText(probe)],
    ['edge keys', edge ? 'may be told what it says' : 'are not told what it says'],
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  const description = manifest.description === '' ? [] : [`  ${manifest.description}`];
  return [
    `Model ${key} version ${String(version)}`,
    ...description,
    '',
    ...facts.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`),
    ...part('Metrics, by its trainer', metrics),
    ...part('Fairness, by its trainer', fairness),
    ...part('Training set', trainingSet),
    '',
  ].join('\n');
}

function part(title: string, told: ModelManifest['fairness']): string[] {
  if (told === undefined || Object.keys(told).length === 0) return ['', `${title}: not told`];
  return ['', title, ...readableLines(told)];
}

function readsText({ name, features }: ModelManifest['featureService'], probe: ModelProbe | null): string {
  const version = probe?.featureServiceVersion ?? null;
  const service = version === null ? name : `${name} version ${String(version)}`;
  return `${service}: ${someOf(features)}`;
}

/** As `a score; a label: stays, buys; a cluster`. */
function saysText({ outputs }: Pick<ModelManifest, 'outputs'>): string {
  const { score, label, cluster, embedding } = outputs;
  const names = label?.names ?? [];
  return [
    ...(score === undefined ? [] : ['a score']),
    ...(label === undefined ? [] : [names.length === 0 ? 'a label' : `a label: ${someOf(names)}`]),
    ...(cluster === undefined ? [] : ['a cluster']),
    ...(embedding === undefined ? [] : ['an embedding']),
  ].join('; ');
}

function latencyText(probe: ModelProbe | null): string {
  if (probe === null) return 'not measured: register the same files again';
  const { oneRowP99Ms, rowMs, loadMs } = probe.speed;
  const among = `${msText(rowMs)} among many`;
  return `${msText(oneRowP99Ms)} alone (99th percentile), ${among}; ${msText(loadMs)} to load`;
}

function msText(ms: number): string {
  return `${String(Number(ms.toPrecision(2)))} ms`;
}

function whereText(probe: ModelProbe | null): string {
  const where = mayRunInline(probe) ? 'by whoever asks' : 'in a process of its own';
  const alone = probe?.mixesRows === true ? ', one row at a time: rows that are run together change each other' : '';
  return `${where}${alone}`;
}

const MAX_NAMES = 8;

function someOf(names: readonly string[]): string {
  const some = names.slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${some} and ${String(names.length - MAX_NAMES)} more` : some;
}
