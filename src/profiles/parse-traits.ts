import { isReservedTrait } from '../events/event.model.js';
import { YamlFile, type YamlValue } from '../platform/yaml-file.js';
import { parseTraitRule, TRAIT_RULE_FIELDS } from './parse-trait-rule.js';
import { sealedProblem, TRAIT_LIMITS, type TraitDefinition } from './trait-definition.model.js';
import { DEFAULT_TRAIT_RULE, isSameRule } from './trait-rule.model.js';

/** Fields at the top of a file of traits. */
export const TRAIT_FILE_FIELDS = ['traits'];

const { maxDefinitions, maxNameLength, maxDescriptionLength } = TRAIT_LIMITS;
const FIELDS = ['name', 'description', 'edge', 'pii', 'searchable', 'sealed', ...TRAIT_RULE_FIELDS];

/**
 * Reads the definitions of traits in a file: `traits`, a list of `name` and, if wanted, `description`, `edge`, which lets
 * edge keys be told the trait, `pii`, which masks it, `searchable`, which lets profiles be found by it, `sealed`, which
 * has its values stored sealed (default of all: false), and how its values are taken in (`parseTraitRule`).
 *
 * @param file how messages call it
 * @param others further fields that the file may have; what they hold is read by somebody else
 * @throws WeftError DEFINITION_INVALID with every problem, one a line: `file:line:column: what; how to fix it`
 */
export function parseTraits(text: string, file: string, others: readonly string[] = []): TraitDefinition[] {
  const yaml = new YamlFile(text, file);
  yaml.throwProblems();
  const items =
    yaml.root
      .fields('the file', [...TRAIT_FILE_FIELDS, ...others])
      ?.get('traits')
      ?.items('traits') ?? [];
  if (items.length > maxDefinitions) yaml.root.problem('too many traits', `define at most ${String(maxDefinitions)}`);
  const taken = new Set<string>();
  const traits = items.map((item) => readTrait(item, taken)).filter((trait) => trait !== undefined);
  yaml.throwProblems();
  return traits;
}

function readTrait(item: YamlValue, taken: Set<string>): TraitDefinition | undefined {
  const fields = item.fields('a trait', FIELDS);
  if (fields === undefined) return undefined;
  const given = fields.get('name');
  if (given === undefined) return item.problem('the trait has no name', 'add name: as events carry it');
  const name = given.text('the name', maxNameLength);
  const description = fields.get('description')?.text('the description', maxDescriptionLength) ?? '';
  const edge = fields.get('edge')?.bool('edge') ?? false;
  const pii = fields.get('pii')?.bool('pii') ?? false;
  const searchable = fields.get('searchable')?.bool('searchable') ?? false;
  const sealed = fields.get('sealed')?.bool('sealed') ?? false;
  const rule = parseTraitRule(item, fields);
  if (name === undefined) return undefined;
  if (isReservedTrait(name)) {
    return given.problem(`the name ${name} is reserved`, 'names that begin with $ are those of Weft itself');
  }
  if (taken.has(name)) return given.problem(`the trait ${name} is defined twice`, 'define it once');
  taken.add(name);
  if (edge && pii) {
    return item.problem(`the trait ${name} is personal data and for pages`, 'say either edge: true or pii: true');
  }
  const trait: TraitDefinition = {
    ...{ name, description, edge },
    // That it is not, is known then: nobody need be warned.
    ...(fields.has('pii') ? { pii } : {}),
    ...(searchable ? { searchable } : {}),
    ...(sealed ? { sealed } : {}),
    ...(isSameRule(rule, DEFAULT_TRAIT_RULE) ? {} : { rule }),
  };
  const problem = sealedProblem(trait);
  return problem === null ? trait : item.problem(problem.message, problem.hint);
}
