import autocannon from 'autocannon';
import { percentile } from './report.js';

/** Each waits for one answer before it asks for the next. */
export const CONNECTIONS = 10;

/** CPU time of a server until now, ms. */
export type CpuMeter = () => Promise<number>;

export interface HttpLoad {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Each connection goes through some of them, again and again. */
  readonly requests: readonly { readonly method: 'GET' | 'POST'; readonly path?: string; readonly body?: Buffer }[];
  /** Null: each request once. */
  readonly seconds: number | null;
  /** Default: {@link CONNECTIONS}. */
  readonly connections?: number;
  /** Requests a second, of all connections; default: as many as are answered. */
  readonly perSecond?: number;
}

export interface HttpRun {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUsPerRequest: number;
  /** CPU time of the server over wall time, %. */
  readonly serverBusy: number;
}

/** Asks over HTTP from this process, and says what it cost the server. @throws Error if any request fails */
export async function loadHttp(cpu: CpuMeter, load: HttpLoad): Promise<HttpRun> {
  const { connections = CONNECTIONS } = load;
  const cpuBefore = await cpu();
  const latenciesMs: number[] = [];
  let connection = 0;
  const startMs = performance.now();
  let lastMs = startMs;
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const options: autocannon.Options = {
      url: load.url,
      connections,
      ...(load.seconds === null ? { amount: load.requests.length } : { duration: load.seconds }),
      headers: load.headers,
      ...(load.perSecond === undefined ? {} : { overallRate: Math.round(load.perSecond) }),
      setupClient: (client) => {
        const own = load.requests.filter((_, i) => i % connections === connection % connections);
        connection++;
        client.setRequests([...own]);
      },
    };
    autocannon(options, (error: unknown, done) => {
      if (error instanceof Error) reject(error);
      else resolve(done);
    }).on('response', (_client, _status, _bytes, ms) => {
      latenciesMs.push(ms);
      lastMs = performance.now();
    });
  });
  const failures = result.non2xx + result.errors;
  if (failures > 0) throw new Error(`${String(failures)} requests to ${load.url} failed`);
  const cpuMs = (await cpu()) - cpuBefore;
  // Autocannon's own duration is in whole seconds where requests are counted.
  const seconds = load.seconds === null ? (lastMs - startMs) / 1_000 : result.duration;
  return {
    perSecond: latenciesMs.length / seconds,
    p50Ms: percentile(latenciesMs, 50),
    p99Ms: percentile(latenciesMs, 99),
    cpuUsPerRequest: (cpuMs * 1_000) / latenciesMs.length,
    serverBusy: cpuMs / seconds / 10,
  };
}
