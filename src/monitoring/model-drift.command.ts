import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { stabilityWords } from '../scoring/promotion-preview.model.js';
import { HOUR_MS } from '../scoring/score-hour.model.js';
import type { VersionHours } from '../scoring/score-hour.reader.js';
import { driftOfVersions, type VersionDrift } from './model-drift.model.js';

export interface ModelDriftServices {
  versions(key: string, sinceMs: number): Promise<readonly VersionHours[]>;
  /** The version that is active; null: none is. @throws WeftError NOT_FOUND */
  active(key: string): Promise<number | null>;
  nowMs(): number;
}

export interface ModelDriftCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withModelDrift<T>(use: (services: ModelDriftServices) => Promise<T>): Promise<T>;
}

const LAST_MS = 24 * HOUR_MS;

const HELP = `
What each version of a model said of live traffic within the last 24 hours, as workers have kept it by the hour:

  psi        population stability index of its scores, or classes, against the day with which it began to answer
  vs active  the same against what the active version says now, as for a canary

Below 0.1 is no change to speak of, above 0.25 a great one. Features are told that are missing more often, or less, than on
that first day. How long runs take is in the metric weft_model_run_seconds.

Example:
  weft model drift purchase_intent

Exit codes: 0 done, 1 failed (no such model), 2 wrong use.`;

/** `weft model drift`. */
export function addModelDriftCommand(model: Command, deps: ModelDriftCommandDeps): Command {
  model
    .command('drift <key>')
    .description('whether scores of live traffic, and what they rest on, are as they were')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((key: string, options: { readonly json?: true }) => runCommand(deps, () => drift(deps, key, options)));
  return model;
}

async function drift(deps: ModelDriftCommandDeps, key: string, options: { readonly json?: true }): Promise<number> {
  return deps.withModelDrift(async (services) => {
    const active = await services.active(key);
    const found = driftOfVersions(await services.versions(key, services.nowMs() - LAST_MS), active);
    if (options.json === true) deps.stdout.write(jsonText({ key, active, versions: found }));
    else deps.stdout.write(found.length === 0 ? `Nothing is kept of model ${key} yet.\n` : textOf(found, active));
    return EXIT_CODES.ok;
  });
}

function textOf(found: readonly VersionDrift[], active: number | null): string {
  const rows = found.map(({ version, answered, unanswered, mean, psi, psiAgainstActive }) => [
    `${String(version)}${version === active ? ' (active)' : ''}`,
    String(answered),
    String(unanswered),
    mean === null ? '-' : mean.toPrecision(4),
    numberText(psi),
    numberText(psiAgainstActive),
    psi === null ? '' : stabilityWords(psi),
  ]);
  const shifts = found.flatMap(({ version, missing }) =>
    missing.map(
      ({ feature, before, now }) =>
        `version ${String(version)}: ${feature} was missing in ${percent(before)} of the rows, now in ${percent(now)}\n`,
    ),
  );
  return textTable([['version', 'answered', 'unanswered', 'mean', 'psi', 'vs active', ''], ...rows]) + shifts.join('');
}

function numberText(value: number | null): string {
  return value === null ? '-' : value.toFixed(3);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** @throws WeftError NOT_FOUND */
export function noSuchModel(key: string): WeftError {
  return new WeftError('NOT_FOUND', `there is no model ${key.slice(0, 100)}`, {
    where: 'key',
    hint: 'weft model list shows those that there are',
  });
}
