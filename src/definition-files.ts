import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isModule, isModuleOfFolder, readDefinitionModule } from './definition-modules.js';
import type { FeatureDefinitions } from './features/feature.service.js';
import { FEATURE_FILE_FIELDS, parseFeatures } from './features/parse-features.js';
import { IDENTITY_FILE_FIELDS, parseIdentityRules, type ParsedIdentityRules } from './identity/parse-identity-rules.js';
import { WeftError } from './platform/errors.js';
import { YamlFile } from './platform/yaml-file.js';
import { parsePurposes, PURPOSE_FILE_FIELDS } from './profiles/parse-purposes.js';
import { parseTraits, TRAIT_FILE_FIELDS } from './profiles/parse-traits.js';
import type { PurposeDefinition } from './profiles/purpose.model.js';
import type { TraitDefinition } from './profiles/trait-definition.model.js';
import { parseSegments, SEGMENT_FILE_FIELDS, type SegmentDefinition } from './segments/parse-segments.js';

const MAX_FILES = 1_000;
/** As the parsers of features and of segments have it. */
const MAX_FILE_LENGTH = 4_000_000;

/** A file of definitions as text. */
export interface DefinitionText {
  /** How messages call it. */
  readonly name: string;
  readonly text: string;
}

/** What some files define together. Null: no file is about that, which is not the same as a file that defines none. */
export interface DefinedInFiles {
  readonly features: FeatureDefinitions | null;
  readonly segments: readonly SegmentDefinition[] | null;
  readonly traits: readonly TraitDefinition[] | null;
  readonly identity: ParsedIdentityRules | null;
  readonly purposes: readonly PurposeDefinition[] | null;
}

/** Files of definitions, and those in a named folder that are none. */
export interface FoundFiles {
  readonly files: readonly DefinitionText[];
  readonly skipped: readonly string[];
}

/**
 * Reads the named files, and of named folders the YAML files that define something and the modules `*.weft.ts`, `.js`, `.mts`
 * and `.mjs`; not the folders in them.
 * @throws WeftError NOT_FOUND (no such file), DEFINITION_INVALID (a named file that defines nothing, broken YAML)
 */
export async function readDefinitionFiles(paths: readonly string[]): Promise<FoundFiles> {
  const files: DefinitionText[] = [];
  const skipped: string[] = [];
  for (const path of paths) {
    const isFolder = (await found(path, stat(path))).isDirectory();
    for (const file of isFolder ? await definitionFilesIn(path) : [path]) {
      const text = isModule(file) ? await readDefinitionModule(file) : textOf(file, await found(file, readFile(file)));
      checkLength(basename(file), text);
      if (kindsOf({ name: basename(file), text }).length > 0) files.push({ name: basename(file), text });
      else if (isFolder) skipped.push(basename(file));
      else throw definesNothing(file);
    }
  }
  const [first] = paths;
  if (files.length === 0) throw definesNothing(first ?? '');
  if (files.length > MAX_FILES) {
    throw new WeftError('BAD_REQUEST', `${String(files.length)} files are too many`, {
      hint: `apply at most ${String(MAX_FILES)} at a time`,
    });
  }
  return { files, skipped };
}

/**
 * What the files define together; they may refer to each other.
 * @param standing names of features that are defined already, which services may list
 * @throws WeftError DEFINITION_INVALID with every problem of the first file that has one
 */
export function parseDefinitionFiles(files: readonly DefinitionText[], standing: Iterable<string>): DefinedInFiles {
  const filesOf = (kind: Kind): readonly DefinitionText[] => files.filter((file) => kindsOf(file).includes(kind));
  const featureFiles = filesOf('features');
  const segmentFiles = filesOf('segments');
  const traitFiles = filesOf('traits');
  const elsewhere = new Set([...standing, ...featureFiles.flatMap((file) => featureNamesIn(file))]);
  const parsed = featureFiles.map((file) => ({
    file,
    ...parseFeatures(file.text, file.name, elsewhere, fieldsBut('features')),
  }));
  const segments = segmentFiles.map((file) => ({
    file,
    segments: parseSegments(file.text, file.name, fieldsBut('segments')),
  }));
  const traits = traitFiles.map((file) => ({
    file,
    traits: parseTraits(file.text, file.name, fieldsBut('traits')),
  }));
  const rules = filesOf('identity').map((file) => ({
    file,
    rules: parseIdentityRules(file.text, file.name, fieldsBut('identity')),
  }));
  const purposes = filesOf('purposes').map((file) => ({
    file,
    purposes: parsePurposes(file.text, file.name, fieldsBut('purposes')),
  }));
  checkUnique(
    'identity',
    rules.map((each) => [each.file.name, ['']]),
  );
  checkUnique(
    'view',
    parsed.map(({ file, views }) => [file.name, views.map((view) => view.name)]),
  );
  checkUnique(
    'service',
    parsed.map(({ file, services }) => [file.name, services.map((service) => service.name)]),
  );
  checkUnique(
    'segment',
    segments.map((each) => [each.file.name, each.segments.map((segment) => segment.key)]),
  );
  checkUnique(
    'trait',
    traits.map((each) => [each.file.name, each.traits.map((trait) => trait.name)]),
  );
  checkUnique(
    'purpose',
    purposes.map((each) => [each.file.name, each.purposes.map((purpose) => purpose.key)]),
  );
  checkUnique(
    'entity',
    parsed.map(({ file, entities }) => [file.name, entities.map((entity) => entity.name)]),
  );
  const features = {
    entities: parsed.flatMap((file) => file.entities),
    views: parsed.flatMap((file) => file.views),
    services: parsed.flatMap((file) => file.services),
  };
  return {
    features: featureFiles.length === 0 ? null : features,
    segments: segmentFiles.length === 0 ? null : segments.flatMap((file) => file.segments),
    traits: traitFiles.length === 0 ? null : traits.flatMap((file) => file.traits),
    identity: rules[0]?.rules ?? null,
    purposes: purposes.length === 0 ? null : purposes.flatMap((file) => file.purposes),
  };
}

/** Fields at the top of a file, by what they define. */
const TOP_FIELDS = {
  features: FEATURE_FILE_FIELDS,
  segments: SEGMENT_FILE_FIELDS,
  traits: TRAIT_FILE_FIELDS,
  purposes: PURPOSE_FILE_FIELDS,
  identity: IDENTITY_FILE_FIELDS,
} as const;
type Kind = keyof typeof TOP_FIELDS;
const KINDS = Object.keys(TOP_FIELDS) as Kind[];

function fieldsBut(kind: Kind): string[] {
  return KINDS.filter((other) => other !== kind).flatMap((other) => TOP_FIELDS[other]);
}

/** By the fields at its top; a file may be of several kinds. */
function kindsOf({ name, text }: DefinitionText): Kind[] {
  const file = new YamlFile(text, name);
  file.throwProblems();
  const root = file.toJs();
  const fields = typeof root === 'object' && root !== null ? Object.keys(root) : [];
  return KINDS.filter((kind) => fields.some((field) => TOP_FIELDS[kind].includes(field)));
}

/** Names of the features that a file seems to define; whether it does so rightly is told when it is parsed. */
function featureNamesIn({ name, text }: DefinitionText): string[] {
  const views = listIn(new YamlFile(text, name).toJs(), 'views');
  return views.flatMap((view) => listIn(view, 'features').map((feature) => String(fieldOf(feature, 'name'))));
}

function listIn(value: unknown, field: string): unknown[] {
  const list = fieldOf(value, field);
  return Array.isArray(list) ? list : [];
}

function fieldOf(value: unknown, field: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined;
}

function checkUnique(what: string, names: readonly (readonly [file: string, names: readonly string[]])[]): void {
  const fileOf = new Map<string, string>();
  for (const [file, defined] of names) {
    for (const name of defined) {
      const other = fileOf.get(name);
      if (other !== undefined) {
        throw new WeftError('DEFINITION_INVALID', `${`${what} ${name}`.trim()} is defined in ${other} and in ${file}`, {
          where: file,
          hint: 'define it once',
        });
      }
      fileOf.set(name, file);
    }
  }
}

async function definitionFilesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  const wanted = names.filter((name) => /\.ya?ml$/.test(name) || isModuleOfFolder(name));
  return wanted.sort().map((name) => join(folder, name));
}

async function found<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    const hint = 'name YAML files, or folders that hold them';
    throw new WeftError('NOT_FOUND', 'there is no such file that can be read', { where: path, hint, cause: error });
  }
}

function textOf(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    const hint = 'save it as UTF-8';
    throw new WeftError('DEFINITION_INVALID', 'the file is no UTF-8', { where: path, hint, cause: error });
  }
}

/** Before it is parsed, which takes some hundred times the memory of the text. */
function checkLength(name: string, text: string): void {
  if (text.length <= MAX_FILE_LENGTH) return;
  throw new WeftError('DEFINITION_INVALID', `${name} has more than ${String(MAX_FILE_LENGTH)} characters`, {
    where: name,
    hint: 'split it into several files',
  });
}

function definesNothing(path: string): WeftError {
  return new WeftError('DEFINITION_INVALID', 'nothing is defined there', {
    where: path,
    hint: `a file of definitions has ${KINDS.flatMap((kind) => TOP_FIELDS[kind]).join(', ')} at its top`,
  });
}
