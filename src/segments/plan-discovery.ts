import { WeftError } from '../platform/errors.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import type { SegmentDraft } from './segment-rule.model.js';
import type { StoredSegment } from './segment.reader.js';

/** A model that puts people into classes, as far as its segments depend on it. */
export interface DiscoverableModel {
  readonly key: string;
  /** Of the version that is active. */
  readonly version: number;
  readonly hasCluster: boolean;
  readonly hasLabel: boolean;
  /** Names of its integer labels, in their order; null: its manifest gives none. */
  readonly names: readonly string[] | null;
  /** What its golden vectors expect, in their order. */
  readonly expected: readonly { readonly label?: string | number; readonly cluster?: number }[];
}

/** What segments of a model are to be called. */
export interface DiscoveryAsk {
  readonly model: string;
  /** What their keys begin with; left out: the key of the model. */
  readonly prefix?: string;
  /** Names of some of them, by the number of the class, 0, 1, … */
  readonly names: ReadonlyMap<number, string>;
  /** How many clusters there are, 1 to {@link MAX_CLASSES}, where the model does not say it. */
  readonly count?: number;
}

/** One class of a model and the segment that it has or gets. */
export interface DiscoveredClass {
  /** 0, 1, … */
  readonly number: number;
  /** Of the model; null: it numbers its classes. */
  readonly label: string | null;
  readonly draft: SegmentDraft;
  /** The segment that says this already, under whatever key and in whatever stage; null: it is to be made. */
  readonly standing: StoredSegment | null;
}

/** How it was found out how many classes there are. */
export type ClassesFrom = 'labels' | 'count' | 'golden_vectors';

export interface Discovery {
  readonly model: string;
  readonly version: number;
  readonly from: ClassesFrom;
  readonly classes: readonly DiscoveredClass[];
}

/** More classes of one model are no segments that somebody gives names to. */
export const MAX_CLASSES = 200;

type NamedClass = Pick<DiscoveredClass, 'number' | 'label'>;

/**
 * One segment for each class of a model. A class has a segment already if one says exactly what this one would; its name
 * and key are left as they are.
 * @param standing all segments, archived ones too
 * @throws WeftError DEFINITION_INVALID if the model does not tell its classes, BAD_REQUEST for a prefix, count or name that
 *   does not fit, CONFLICT where a key is taken by a segment that says something else
 */
export function planDiscovery(
  model: DiscoverableModel,
  ask: DiscoveryAsk,
  standing: readonly StoredSegment[],
): Discovery {
  const { from, classes } = classesOf(model, ask.count);
  const prefix = ask.prefix ?? model.key;
  checkNames(ask.names, classes);
  const byCondition = new Map<string, StoredSegment>();
  const byKey = new Map(standing.map((segment) => [segment.key, segment]));
  // Of several that say the same, one that is not archived stands for the class.
  for (const segment of [...standing].sort((a, b) => rank(a) - rank(b))) {
    const condition = segment.expression.trim();
    if (segment.exitExpression === null && !byCondition.has(condition)) byCondition.set(condition, segment);
  }
  const planned = classes.map(({ number, label }): DiscoveredClass => {
    const draft = draftOf(model, { number, label }, prefix, ask.names.get(number));
    return { number, label, draft, standing: byCondition.get(draft.expression) ?? null };
  });
  for (const { draft, standing: own } of planned) {
    const taken = own === null ? byKey.get(draft.key) : undefined;
    if (taken === undefined) continue;
    throw new WeftError('CONFLICT', `segment ${taken.key} is there and says something else: ${taken.expression}`, {
      where: 'prefix',
      hint: `give another prefix; what it is to say is ${draft.expression}`,
    });
  }
  return { model: model.key, version: model.version, from, classes: planned };
}

function rank({ stage }: StoredSegment): number {
  return stage === 'archived' ? 1 : 0;
}

/** Labels go before numbers: a name means the same in the next version, a number whatever its training made of it. */
function classesOf(model: DiscoverableModel, count?: number): { from: ClassesFrom; classes: readonly NamedClass[] } {
  const { key, hasCluster, hasLabel, names, expected } = model;
  if (!hasCluster && !hasLabel) {
    throw new WeftError('DEFINITION_INVALID', `model ${key} has neither a cluster nor a label`, {
      where: 'model',
      hint: 'map outputs.cluster or outputs.label in its manifest; for a score write segments yourself, as score("…") >= 0.7',
    });
  }
  if (hasLabel && names !== null) {
    checkCount(count, names.length);
    return { from: 'labels', classes: bounded(labelled(names), key) };
  }
  if (!hasCluster) {
    const said = expected.flatMap(({ label }) => (label === undefined ? [] : [String(label)]));
    if (said.length === 0) throw unknownClasses(key, 'give its labels names in the manifest (outputs.label.names)');
    const labels = [...new Set(said)].sort();
    checkCount(count, labels.length);
    return { from: 'golden_vectors', classes: bounded(labelled(labels), key) };
  }
  if (count !== undefined) return { from: 'count', classes: numbered(checkedCount(count)) };
  const seen = expected.flatMap(({ cluster }) => (cluster === undefined || cluster < 0 ? [] : [cluster]));
  if (seen.length === 0) throw unknownClasses(key, 'say it, as --count 5');
  const most = seen.reduce((max, cluster) => Math.max(max, cluster), 0);
  if (most >= MAX_CLASSES) throw tooMany(key, most + 1);
  return { from: 'golden_vectors', classes: numbered(most + 1) };
}

function labelled(names: readonly string[]): NamedClass[] {
  return names.map((label, number) => ({ number, label }));
}

function numbered(count: number): NamedClass[] {
  return Array.from({ length: count }, (_, number) => ({ number, label: null }));
}

function bounded(classes: readonly NamedClass[], key: string): readonly NamedClass[] {
  if (classes.length > MAX_CLASSES) throw tooMany(key, classes.length);
  return classes;
}

function tooMany(key: string, count: number): WeftError {
  return new WeftError('DEFINITION_INVALID', `model ${key} has ${String(count)} classes`, {
    where: 'model',
    hint: `segments are made for at most ${String(MAX_CLASSES)}; write those that you need yourself`,
  });
}

function unknownClasses(key: string, hint: string): WeftError {
  return new WeftError('DEFINITION_INVALID', `it is not known how many classes model ${key} has`, {
    where: 'model',
    hint: `no golden vector names one; ${hint}`,
  });
}

function checkedCount(count: number): number {
  if (Number.isInteger(count) && count >= 1 && count <= MAX_CLASSES) return count;
  throw new WeftError('BAD_REQUEST', `${String(count)} is no number of clusters`, {
    where: 'count',
    hint: `give a whole number of 1 to ${String(MAX_CLASSES)}`,
  });
}

function checkCount(count: number | undefined, known: number): void {
  if (count === undefined || count === known) return;
  throw new WeftError('BAD_REQUEST', `the model has ${String(known)} labels, not ${String(count)}`, {
    where: 'count',
    hint: 'leave the count out',
  });
}

function checkNames(names: ReadonlyMap<number, string>, classes: readonly NamedClass[]): void {
  for (const number of names.keys()) {
    if (number < classes.length) continue;
    throw new WeftError('BAD_REQUEST', `there is no class ${String(number)} to give a name`, {
      where: 'name',
      hint: `the classes are 0 to ${String(classes.length - 1)}`,
    });
  }
}

function draftOf(
  { key: model }: DiscoverableModel,
  { number, label }: NamedClass,
  prefix: string,
  name: string | undefined,
): SegmentDraft {
  const key = `${prefix}_${String(number)}`;
  if (!isKey(key)) {
    throw new WeftError('BAD_REQUEST', `"${key.slice(0, 100)}" is no segment key`, { where: 'prefix', hint: KEY_HINT });
  }
  const expression =
    label === null ? `cluster("${model}") == ${String(number)}` : `label("${model}") == ${JSON.stringify(label)}`;
  const what = label === null ? `Cluster ${String(number)}` : `Class ${label}`;
  return {
    ...{ key, expression, name: name ?? label ?? `${model} ${String(number)}` },
    ...{ description: `${what} of model ${model}.`, tags: ['discovered'] },
  };
}
