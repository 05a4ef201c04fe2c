import { EXIT_CODES, jsonText } from '../../platform/command-line.js';
import { WeftError } from '../../platform/errors.js';
import { refuseExisting, type ForceOption } from '../../platform/existing-output.js';
import { writeFileAtomically } from '../../platform/write-file-atomically.js';
import { clusterRecords } from './cluster-records.js';
import {
  breathing,
  noteMissing,
  progress,
  readModelFile,
  type FileOptions,
  type LinkageCommandDeps,
} from './command-files.js';
import { linkRecords } from './link-records.js';
import { ruleText, type LinkageModel } from './linkage-model.model.js';
import { missingColumns } from './missing-columns.js';
import { readRecordFiles } from './read-record-files.js';
import { untrainedColumns } from './term-frequencies.js';

export interface LinkFileOptions extends FileOptions, ForceOption {
  readonly input: readonly string[];
  readonly output: string;
  readonly model: string;
  readonly threshold?: number;
}

/** It says who is who. */
const OUTPUT_FILE_MODE = 0o600;
const NEEDS_QUOTES = /[",\r\n]/;

/** Finds records of one person in files, and writes who is in which cluster: one line a record, in the order of ids. */
export async function linkFiles(deps: LinkageCommandDeps, options: LinkFileOptions): Promise<number> {
  await refuseExisting(options, options.output);
  const tell = progress(deps, options);
  const model = await readModelFile(options.model);
  const files = await readRecordFiles(options.input, options.id ?? null);
  if (files.idColumn === 'cluster_id') {
    throw new WeftError('BAD_REQUEST', 'the ids are in a column that is called as the clusters are', {
      where: 'cluster_id',
      hint: 'rename it in the file',
    });
  }
  tell(`${files.records.length} records read`);
  noteMissing(missingColumns(model, files.columns), tell);
  noteFrequencies(model, tell);
  const { table, links, pairsByRule } = await linkRecords(model, files.records, {
    leastProbability: options.threshold ?? model.thresholds.link,
    onProgress: (scored, rule) => {
      tell(`${scored} pairs scored, at ${rule}`);
    },
    breathe: breathing(deps.signal),
  });
  const { clusterOf } = clusterRecords(table.size, links);
  const lines = table.ids.map((id, i) => `${quoted(id)},${quoted(table.ids[clusterOf[i] ?? i] ?? id)}\r\n`);
  const header = `${quoted(files.idColumn ?? 'row')},cluster_id\r\n`;
  await writeFileAtomically(options.output, header + lines.join(''), OUTPUT_FILE_MODE);
  const result = {
    model: model.version,
    records: table.size,
    clusters: new Set(clusterOf).size,
    links: links.weight.length,
    rules: model.blockingRules.map((rule, i) => ({ rule: ruleText(rule), pairs: pairsByRule[i] ?? 0 })),
  };
  if (options.json === true) deps.stdout.write(jsonText(result));
  else {
    const { records, clusters } = result;
    deps.stdout.write(`${records} records in ${clusters} clusters, written to ${options.output}.\n`);
  }
  return EXIT_CODES.ok;
}

function noteFrequencies(model: LinkageModel, tell: (text: string) => void): void {
  const counted = untrainedColumns(model);
  if (counted.length > 0) tell(`the model has no frequencies of ${counted.join(', ')}: those of these records count`);
}

function quoted(text: string): string {
  return text !== '' && !NEEDS_QUOTES.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}
