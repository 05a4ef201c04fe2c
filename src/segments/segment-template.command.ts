import type { Command } from 'commander';
import { stringify } from 'yaml';
import { EXIT_CODES, jsonText, runCommand, textTable } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { warningText } from '../platform/warning.js';
import { fillTemplate, missingFor, rangeText, templateOf, type FilledTemplate } from './fill-template.model.js';
import type { SegmentCommandDeps } from './segment-command-services.js';
import { SEGMENT_TEMPLATES, type SegmentTemplate } from './segment-template.model.js';

interface TemplatesOptions {
  readonly json?: true;
}

interface NewOptions {
  readonly template: string;
  readonly set: readonly string[];
  readonly key?: string;
  readonly name?: string;
}

const NO_VALUES: ReadonlyMap<string, string> = new Map();

/** `weft segment templates` and `weft segment new`. */
export function addTemplateCommands(command: Command, deps: SegmentCommandDeps): void {
  command
    .command('templates [template]')
    .description('the usual segments, to begin with, and what each would need here; of one, its parameters')
    .option('--json', 'as JSON')
    .action((key: string | undefined, options: TemplatesOptions) =>
      runCommand(deps, () => (key === undefined ? list(deps, options) : show(deps, key, options))),
    );
  command
    .command('new')
    .description('print a file with a segment made from a template, for weft apply; writes nothing')
    .requiredOption('--template <template>', 'weft segment templates lists them')
    .option('--set <name=value>', 'a parameter of the template; may be repeated', collect, [])
    .option('--key <key>', 'key of the segment; left out: that of the template')
    .option('--name <name>', 'name of the segment; left out: that of the template')
    .action((options: NewOptions) => runCommand(deps, () => make(deps, options)));
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

async function list(deps: SegmentCommandDeps, options: TemplatesOptions): Promise<number> {
  return deps.withSegments(async ({ service }) => {
    const found = [];
    for (const template of SEGMENT_TEMPLATES) {
      found.push({ template, missing: await missingFor(fillTemplate(template.key, NO_VALUES), service) });
    }
    if (options.json === true) {
      deps.stdout.write(jsonText(found.map(({ template, missing }) => ({ ...template, missing }))));
    } else {
      const rows = found.map(({ template, missing }) => [
        template.key,
        template.name,
        missing.length === 0 ? 'all there' : missing.map(({ message }) => message).join('; '),
      ]);
      deps.stdout.write(textTable([['template', 'name', 'what it needs by default'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

async function show(deps: SegmentCommandDeps, key: string, options: TemplatesOptions): Promise<number> {
  const template = templateOf(key);
  return deps.withSegments(async ({ service }) => {
    const missing = await missingFor(fillTemplate(key, NO_VALUES), service);
    deps.stdout.write(options.json === true ? jsonText({ ...template, missing }) : describe(template));
    if (options.json !== true) deps.stderr.write(warningText(missing));
    return EXIT_CODES.ok;
  });
}

function describe({ key, name, description, parameters, expression, exit }: SegmentTemplate): string {
  const rows = parameters.map((each) => [each.name, each.type, each.default, rangeText(each), each.description]);
  return [
    `${key}: ${name}`,
    `  ${description}`,
    '',
    `  ${expression.replaceAll('\n', '\n  ')}`,
    ...(exit === null ? [] : ['', '  Members leave on:', `  ${exit}`]),
    '',
    textTable([['parameter', 'type', 'default', 'range', 'what'], ...rows]),
  ].join('\n');
}

async function make(deps: SegmentCommandDeps, options: NewOptions): Promise<number> {
  const { template: from, key = from, name } = options;
  const filled = fillTemplate(from, valuesOf(options.set));
  if (!isKey(key)) throw new WeftError('BAD_REQUEST', `"${key}" is no key`, { where: '--key', hint: KEY_HINT });
  return deps.withSegments(async ({ service, reader }) => {
    const missing = await missingFor(filled, service);
    const standing = await reader.byKey(key);
    deps.stdout.write(fileOf(filled, key, name ?? filled.template.name));
    deps.stderr.write(warningText(missing));
    if (standing !== null) {
      const hint = 'applied, the file changes it; name another one by --key';
      deps.stderr.write(warningText([{ message: `there is a segment ${key} already`, where: '--key', hint }]));
    }
    return EXIT_CODES.ok;
  });
}

function valuesOf(set: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    set.map((pair) => {
      const at = pair.indexOf('=');
      if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)] as const;
      const hint = 'write name=value, as --set after=10m';
      throw new WeftError('BAD_REQUEST', `"${pair}" sets nothing`, { where: '--set', hint });
    }),
  );
}

function fileOf({ template, expression, exitExpression }: FilledTemplate, key: string, name: string): string {
  const { description, tags } = template;
  const exit = exitExpression === null ? {} : { exit: exitExpression };
  return stringify({ segments: [{ key, name, description, tags, expression, ...exit }] }, { lineWidth: 0 });
}
