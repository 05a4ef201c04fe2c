import type { BenchWorld } from './bench-world.js';
import { figure, percentile, ratio, type Section } from './report.js';

export interface RecomputeOptions {
  readonly profiles: number;
  readonly rounds: number;
  readonly profileTo: string | null;
}

const BARE_BATCHES = [256, 1_024, 4_096, 16_384];
/** Of the runtime alone, for each size of batches. */
const BARE_ROWS = 100_000;
const LIVE = { count: 200, everyMs: 20 };

/**
 * Everybody evaluated anew for 20 segments, three of which ask a forest of 100 trees, against the same model in the
 * runtime alone on as many rows, with as many threads, in the same process and turn by turn. Then once more with live
 * events beside it.
 */
export async function measureRecompute(
  world: BenchWorld,
  { profiles, rounds, profileTo }: RecomputeOptions,
): Promise<Section> {
  const databaseUrl = await world.createDatabase('recompute');
  const { server } = await world.startServer({
    ...{ databaseUrl, worker: true, define: true, scores: false },
    forest: true,
  });
  await server.call('acceptPeople', profiles);
  await server.call('applied');
  const bare = new Map<number, number[]>();
  const rates: number[] = [];
  const cpuUs: number[] = [];
  const postgresUs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const size of BARE_BATCHES) {
      const { ms } = await server.call('scoreBare', BARE_ROWS, size);
      bare.set(size, [...(bare.get(size) ?? []), (BARE_ROWS / ms) * 1_000]);
    }
    const before = await world.postgresCpuMs();
    const { ms, cpuMs } = await server.call('recompute');
    const after = await world.postgresCpuMs();
    rates.push((profiles / ms) * 1_000);
    cpuUs.push((cpuMs * 1_000) / profiles);
    if (before !== null && after !== null) postgresUs.push(((after - before) * 1_000) / profiles);
  }
  const [bestSize, best] = [...bare].reduce((a, b) => (sum(b[1]) > sum(a[1]) ? b : a));

  const alone = await server.call('enterLive', LIVE.count, LIVE.everyMs, false);
  const beside = await server.call('enterLive', LIVE.count, LIVE.everyMs, true);
  let profile: Section['profile'];
  if (profileTo !== null) {
    await server.call('startProfile');
    await server.call('recompute');
    profile = (await server.call('stopProfile', `${profileTo}/recompute.cpuprofile`)).parts;
  }
  await server.stop();
  const p50 = (values: readonly number[]): number => percentile(values, 50);
  const p99 = (values: readonly number[]): number => percentile(values, 99);
  return {
    title: `Recomputation of ${profiles.toLocaleString('en')} profiles`,
    notes: [
      '20 segments, three of which ask a forest of 100 trees that reads ten features; one worker, one thread;',
      'the runtime alone: the same model and thread on rows that are there, in batches of the size that is best for it;',
      `live: from handing ${String(LIVE.count)} events, one each ${String(LIVE.everyMs)} ms, to the commit of the change that each makes.`,
    ],
    figures: [
      figure('recomputed', 'profiles/s', rates),
      figure(`the runtime alone, in batches of ${String(bestSize)}`, 'rows/s', best),
      ratio('recomputed : the runtime alone', rates, best, '≥ 0.5'),
      figure('CPU of the server a profile', 'µs', cpuUs),
      ...(postgresUs.length > 0 ? [figure('CPU of PostgreSQL a profile', 'µs', postgresUs)] : []),
      figure('live change, alone: p50', 'ms', [p50(alone)]),
      figure('live change, beside a recomputation: p50', 'ms', [p50(beside)]),
      ratio('live beside : alone, p50', [p50(beside)], [p50(alone)]),
      figure('live change, alone: p99', 'ms', [p99(alone)]),
      figure('live change, beside a recomputation: p99', 'ms', [p99(beside)]),
      ratio('live beside : alone, p99', [p99(beside)], [p99(alone)]),
    ],
    ...(profile === undefined ? {} : { profile }),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
