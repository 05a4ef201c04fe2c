import { WeftError } from '../platform/errors.js';
import { isOfPeople, type FeatureDefinition, type FeatureView } from './feature.model.js';
import { requestFieldsOf, typesOf, type ExpressionLanguage } from './on-demand.model.js';
import { readingsOf } from './stream.model.js';

const MAX_READINGS = 100;

type DefinedView = Omit<FeatureView, 'version'>;

/**
 * Views whose on-demand features hold the definitions of what they read: so they mean something else once those do, and
 * are a version of their own then.
 *
 * @throws WeftError DEFINITION_INVALID for an expression that is none, that reads what there is not, itself by way of
 * others, more than the bound, or what is not allowed for as much as the view says
 */
export function linkOnDemand<T extends DefinedView>(views: readonly T[], language: ExpressionLanguage): T[] {
  if (!views.some(({ kind }) => kind === 'on_demand')) return [...views];
  const linker = new Linker(views, language);
  const linked = views.map((view) =>
    view.kind === 'on_demand' ? { ...view, features: view.features.map(({ name }) => linker.link(name)) } : view,
  );
  for (const view of linked) if (view.kind === 'on_demand') checkView(view, linker);
  checkRequestTypes(linked);
  return linked;
}

class Linker {
  readonly purposes = new Map<string, readonly string[]>();
  readonly #definitions = new Map<string, FeatureDefinition>();
  readonly #types: ReadonlyMap<string, FeatureDefinition['type']>;
  readonly #linked = new Map<string, FeatureDefinition>();
  /** Those that are being linked, from the one that was asked for on. */
  readonly #path: string[] = [];
  readonly #language: ExpressionLanguage;

  constructor(views: readonly DefinedView[], language: ExpressionLanguage) {
    this.#language = language;
    // Expressions are about people: there is no item whose features they could read.
    for (const { features, purposes = [] } of views.filter(isOfPeople)) {
      for (const feature of features) {
        this.#definitions.set(feature.name, feature);
        this.purposes.set(feature.name, purposes);
      }
    }
    this.#types = new Map([...this.#definitions.values()].map(({ name, type }) => [name, type]));
  }

  link(name: string): FeatureDefinition {
    const definition = this.#definitions.get(name);
    if (definition === undefined) throw new TypeError(`feature ${name} is not defined`);
    if (definition.aggregate !== 'on_demand') return definition;
    const done = this.#linked.get(name) ?? this.#linkExpression(definition);
    this.#linked.set(name, done);
    return done;
  }

  #linkExpression(definition: FeatureDefinition): FeatureDefinition {
    const { name } = definition;
    if (this.#path.includes(name)) {
      const circle = [...this.#path.slice(this.#path.indexOf(name)), name].join(' → ');
      throw invalid(name, `features are computed from one another in a circle: ${circle}`, 'take one of them out');
    }
    this.#path.push(name);
    const inputs = this.#namesRead(definition).map((input) => withoutWords(this.link(input)));
    this.#path.pop();
    const linked = { ...definition, options: { ...definition.options, inputs } };
    const count = readingsOf(linked).length;
    if (count > MAX_READINGS) {
      const what = `feature ${name} reads ${String(count)} features by way of others`;
      throw invalid(name, what, `at most ${String(MAX_READINGS)} can be read: let it read fewer`);
    }
    return linked;
  }

  #namesRead({ name, type, options }: FeatureDefinition): readonly string[] {
    const names = { features: this.#types, request: typesOf(options?.request ?? []) };
    try {
      const read = this.#language.check(options?.expression ?? '', names, type);
      if (read.length > 0) return read;
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      const { where = '1:1', hint } = error;
      throw invalid(`${name} ${where}`, `feature ${name}: ${error.message}`, hint ?? 'see docs/segments.md');
    }
    throw invalid(name, `feature ${name} reads no feature`, 'read one, as in f.views_24h: what else says whose it is?');
  }
}

/** What an input is called in words, and who is found by it, changes nothing of what is computed from it. */
function withoutWords({ searchable: _searchable, ...feature }: FeatureDefinition): FeatureDefinition {
  return { ...feature, description: '' };
}

/** Nobody gets around what somebody has to allow for a feature by way of another that is computed from it. */
function checkView({ name, features, purposes = [] }: DefinedView, { purposes: needed }: Linker): void {
  for (const feature of features) {
    for (const input of feature.options?.inputs ?? []) {
      const missing = (needed.get(input.name) ?? []).filter((purpose) => !purposes.includes(purpose));
      if (missing.length === 0) continue;
      const what = `view ${name} reads f.${input.name}, for which somebody has to allow ${missing.join(', ')}`;
      throw invalid(feature.name, what, `add ${missing.join(', ')} to the purposes of the view`);
    }
  }
}

/** One request is for features of many views. */
function checkRequestTypes(views: readonly DefinedView[]): void {
  const types = new Map<string, string>();
  for (const feature of views.flatMap(({ features }) => features)) {
    for (const { name, type } of requestFieldsOf(feature)) {
      const other = types.get(name) ?? type;
      if (other === type) types.set(name, type);
      else throw invalid(feature.name, `request.${name} is ${other} in one view and ${type} in another`, 'rename one');
    }
  }
}

function invalid(where: string, message: string, hint: string): WeftError {
  return new WeftError('DEFINITION_INVALID', message, { where, hint });
}
