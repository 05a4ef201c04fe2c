import { fileURLToPath } from 'node:url';
import type { ProfileSummary } from './cpu-profiler.js';
import type { LoopPauses } from './loop-watch.js';
import { ProgramCalls } from './program-calls.js';

export interface ServerOptions {
  readonly databaseUrl: string;
  /** Default: the online store is in the server's process. */
  readonly redisUrl?: string;
  /** False: what is accepted is applied by `drain` alone. */
  readonly worker: boolean;
  /** Makes features, segments and the model; to be done once for a database. */
  readonly define: boolean;
  /** Also the fifty features of a view of their own. */
  readonly wide?: boolean;
  /** Twenty segments in place of nine. */
  readonly many?: boolean;
  /** Twenty segments, three of which ask a model of 100 trees, in place of the others. */
  readonly forest?: boolean;
  /** Whether a segment asks the model at each event. */
  readonly scores: boolean;
  /** What is done beside for events, which then have user agents, campaigns and names; left out: nothing, and they have not. */
  readonly beside?: 'nothing' | 'enrichment' | 'linking';
}

export interface Timing {
  readonly ms: number;
  /** User and system time of the server's process. */
  readonly cpuMs: number;
}

export interface Ready {
  readonly url: string;
  readonly writeKey: string;
  readonly readKey: string;
  readonly edgeKey: string;
  readonly pid: number;
}

/** What a bench asks of the server beside HTTP. */
export interface ServerCalls {
  /** Hands the events of a round straight to the accept service. */
  accept(count: number, round: number): Promise<Timing>;
  acceptKnown(visitors: number): Promise<Timing>;
  /** As many visitors with an identify call and five events each, some at a time. */
  acceptPeople(people: number): Promise<void>;
  /** Has everybody evaluated anew, until that is done. */
  recompute(): Promise<Timing>;
  /** Runs the model of 100 trees on so many rows, in the runtime alone. */
  scoreBare(rows: number, batchRows: number): Promise<Timing>;
  /**
   * New visitors enter a segment by one event each, a fixed time apart; how long each took from the event being handed over
   * to the commit of the change, ms.
   * @param isBeside while everybody is evaluated anew
   */
  enterLive(count: number, everyMs: number, isBeside: boolean): Promise<number[]>;
  /** People with one event each, who enter `cart_abandoned` at `firstMs` (epoch) and every `everyMs` from then on. */
  acceptCarts(people: number, firstMs: number, everyMs: number): Promise<Timing>;
  drain(): Promise<Timing>;
  /** Resolves when everything accepted is applied. */
  applied(): Promise<void>;
  cpuMs(): Promise<number>;
  /** What held up the server's thread since the last call. */
  loopPauses(): Promise<LoopPauses>;
  /** A bare route that answers `body` to `GET` and `POST /graphql`; its URL. */
  startBare(body: string): Promise<string>;
  /** Whether page views are told what the model says. */
  markScores(isMarked: boolean): Promise<void>;
  startProfile(): Promise<void>;
  /** Writes a `.cpuprofile` if a file is named. */
  stopProfile(file: string | null): Promise<ProfileSummary>;
}

const PROGRAM = fileURLToPath(new URL('./server.program.ts', import.meta.url));

/** A server in a process of its own. */
export class ServerProcess extends ProgramCalls<ServerCalls> {
  private constructor(options: ServerOptions) {
    // As bin/weft.js starts a server.
    super(PROGRAM, options, 'the server', { execArgv: ['--max-semi-space-size=64', '--import', 'tsx'] });
  }

  /** `onForked` is told of the process before it is ready, so that it can be stopped in any case. */
  static async start(
    options: ServerOptions,
    onForked: (server: ServerProcess) => void,
  ): Promise<Ready & { readonly server: ServerProcess }> {
    const server = new ServerProcess(options);
    onForked(server);
    return { ...((await server.ready) as Ready), server };
  }
}
