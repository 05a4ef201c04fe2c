import { parse } from 'yaml';
import { z } from 'zod';

import { WeftError } from '../src/platform/errors.js';

const KEY = /^[a-z][a-z0-9_]{0,62}$/;

const sourceSchema = z.strictObject({
  key: z.string().regex(KEY),
  name: z.string().min(1),
  /** Relative to the folder of `sources.yaml`. */
  file: z.string().min(1),
  mapping: z.string().min(1),
  /** ISO 8601. */
  last_event: z.iso.datetime(),
  licence: z.string().min(1),
});

const segmentSchema = z.strictObject({
  key: z.string().regex(KEY),
  name: z.string().min(1),
  description: z.string().min(1),
  tags: z.array(z.string().regex(/^[a-z][a-z0-9-]*$/)).min(1),
  /** Key of the segment among whose members this one singles people out; an audience itself has none. */
  applies_to: z.string().regex(KEY).optional(),
  expression: z.string().min(1),
});

const sourcesFile = z.strictObject({ sources: z.array(sourceSchema).min(1), truth: z.string().min(1) });
const segmentsFile = z.strictObject({ segments: z.array(segmentSchema).min(1) });

/** A source of the demo, in the order of loading. */
export interface SeedSource {
  readonly key: string;
  readonly name: string;
  readonly file: string;
  readonly mapping: string;
  /** Time of the source's last event, ms: what a load moves to one hour before the first start. */
  readonly lastEventMs: number;
  readonly licence: string;
}

export interface SeedSegment {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  /** Among whom it singles people out; null for an audience itself. */
  readonly audience: { readonly key: string; readonly expression: string } | null;
  readonly expression: string;
}

/** @throws WeftError DEFINITION_INVALID with every problem of the file */
export function parseSeedSources(yaml: string): { readonly sources: readonly SeedSource[]; readonly truth: string } {
  const { sources, truth } = read(sourcesFile, yaml, 'sources.yaml');
  return {
    sources: sources.map(({ last_event, ...source }) => ({ ...source, lastEventMs: Date.parse(last_event) })),
    truth,
  };
}

/**
 * In the order of the file; a segment that another one refers to stands before it.
 * @throws WeftError DEFINITION_INVALID with every problem of the file
 */
export function parseSeedSegments(yaml: string): readonly SeedSegment[] {
  const { segments } = read(segmentsFile, yaml, 'segments.yaml');
  const expressions = new Map(segments.map(({ key, expression }) => [key, expression.trim()]));
  return segments.map(({ applies_to: audienceKey, expression, ...segment }) => ({
    ...segment,
    audience: audienceKey === undefined ? null : { key: audienceKey, expression: found(expressions, audienceKey) },
    expression: expression.trim(),
  }));
}

function found(expressions: ReadonlyMap<string, string>, key: string): string {
  const expression = expressions.get(key);
  if (expression !== undefined) return expression;
  throw new WeftError('DEFINITION_INVALID', `applies_to names the segment ${key}, which is not in the file`, {
    where: 'segments.yaml',
    hint: 'name a segment of the same file',
  });
}

function read<T>(schema: z.ZodType<T>, yaml: string, file: string): T {
  const result = schema.safeParse(parse(yaml));
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new WeftError('DEFINITION_INVALID', problems.join('\n'), { where: file });
}
