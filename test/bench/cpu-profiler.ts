import { writeFile } from 'node:fs/promises';
import { Session, type Profiler } from 'node:inspector/promises';

/** Where the time of a process went while it was profiled. */
export interface ProfileSummary {
  readonly ms: number;
  /** Self time by part of the program or package, the largest first; shares of the time, idle time included. */
  readonly parts: readonly TimeShare[];
  readonly functions: readonly TimeShare[];
}

export interface TimeShare {
  readonly name: string;
  readonly share: number;
}

const MAX_PARTS = 16;
const MAX_FUNCTIONS = 20;
const SAMPLING_INTERVAL_US = 500;

/** Samples this process's own stack. */
export class CpuProfiler {
  readonly #session = new Session();

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.setSamplingInterval', { interval: SAMPLING_INTERVAL_US });
    await this.#session.post('Profiler.start');
  }

  /** @param file where the profile is written, for a viewer; null: nowhere. */
  async stop(file: string | null): Promise<ProfileSummary> {
    const { profile } = await this.#session.post('Profiler.stop');
    this.#session.disconnect();
    if (file !== null) await writeFile(file, JSON.stringify(profile));
    return summariseProfile(profile);
  }
}

export function summariseProfile(profile: Profiler.Profile): ProfileSummary {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const parts = new Map<string, number>();
  const functions = new Map<string, number>();
  const { samples = [], timeDeltas = [] } = profile;
  let totalUs = 0;
  for (const [i, id] of samples.entries()) {
    const frame = nodes.get(id);
    if (frame === undefined) continue;
    // A delta is the time since the sample before.
    const us = timeDeltas[i + 1] ?? 0;
    totalUs += us;
    const part = partOf(frame.url, frame.functionName);
    parts.set(part, (parts.get(part) ?? 0) + us);
    const name = `${frame.functionName === '' ? '(anonymous)' : frame.functionName} · ${placeOf(frame)}`;
    if (frame.url !== '') functions.set(name, (functions.get(name) ?? 0) + us);
  }
  return {
    ms: totalUs / 1_000,
    parts: largest(parts, totalUs, MAX_PARTS),
    functions: largest(functions, totalUs, MAX_FUNCTIONS),
  };
}

function largest(times: ReadonlyMap<string, number>, totalUs: number, max: number): TimeShare[] {
  return [...times]
    .sort((a, b) => b[1] - a[1])
    .slice(0, max)
    .map(([name, us]) => ({ name, share: us / totalUs }));
}

/** `src/features`, `pg`, `node`, or what the engine does itself, as `(garbage collector)`. */
function partOf(url: string, functionName: string): string {
  if (url === '') return functionName.startsWith('(') ? functionName : '(native)';
  if (url.startsWith('node:')) return 'node';
  const dependency = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (dependency !== undefined) return dependency;
  const path = withinProject(url);
  const folder = path.split('/').slice(0, 2).join('/');
  return folder.endsWith('.ts') ? 'src' : folder;
}

function placeOf({ url, lineNumber }: { readonly url: string; readonly lineNumber: number }): string {
  if (url.startsWith('node:')) return url;
  return `${/.*\/node_modules\/(.*)/.exec(url)?.[1] ?? withinProject(url)}:${String(lineNumber + 1)}`;
}

function withinProject(url: string): string {
  return /\/((?:src|test|migrations)\/.*)/.exec(url)?.[1] ?? url;
}
