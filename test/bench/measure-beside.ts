import type { BenchWorld } from './bench-world.js';
import { figure, ratio, type Section } from './report.js';
import type { ServerProcess } from './server-process.js';

export interface BesideOptions {
  readonly events: number;
  readonly rounds: number;
}

const KINDS = ['nothing', 'enrichment', 'linking'] as const;
type Kind = (typeof KINDS)[number];
const TITLES: Readonly<Record<Kind, string>> = {
  nothing: 'neither',
  enrichment: 'enrichment: device, referrer and campaign',
  linking: 'linking: an active model of identities',
};
const WARM_UP_EVENTS = 3_000;
/** Whether it was done beside: a rate of what was not done would say nothing. */
const TRACES: Readonly<Record<Exclude<Kind, 'nothing'>, string>> = {
  // What is found out is logged with the event, some 100 bytes.
  enrichment: 'SELECT FROM event_log HAVING avg(octet_length(payload)) > $1::float8 + 50',
  linking: 'SELECT FROM matching_members WHERE $1::float8 > 0 LIMIT 1',
};

interface Rates {
  readonly accept: number[];
  readonly both: number[];
  /** µs an event. */
  readonly cpu: number[];
}

/**
 * The same events into three databases, in turns: with nothing beside, with facts found out about each event, and with a
 * model that compares whoever an event tells something new of, until all are compared.
 */
export async function measureBeside(world: BenchWorld, { events, rounds }: BesideOptions): Promise<Section> {
  const servers = new Map<Kind, ServerProcess>();
  const rates = new Map<Kind, Rates>();
  let plainBytes = 0;
  for (const beside of KINDS) {
    const databaseUrl = await world.createDatabase(`beside_${beside}`);
    const { server } = await world.startServer({ databaseUrl, worker: false, define: true, scores: false, beside });
    await server.call('accept', WARM_UP_EVENTS, 0);
    await server.call('drain');
    const database = await world.connect(databaseUrl);
    const [logged] = await database.query<{ bytes: number }>(
      'SELECT avg(octet_length(payload))::float8 AS bytes FROM event_log',
    );
    if (beside === 'nothing') plainBytes = logged?.bytes ?? 0;
    else if ((await database.query(TRACES[beside], [plainBytes])).length === 0) {
      throw new Error(`nothing came of ${beside} beside the events`);
    }
    servers.set(beside, server);
    rates.set(beside, { accept: [], both: [], cpu: [] });
  }
  for (let round = 1; round <= rounds; round++) {
    for (const [beside, server] of servers) {
      const accept = await server.call('accept', events, round);
      const apply = await server.call('drain');
      const seen = rates.get(beside);
      seen?.accept.push((events / accept.ms) * 1_000);
      seen?.both.push((events / (accept.ms + apply.ms)) * 1_000);
      seen?.cpu.push(((accept.cpuMs + apply.cpuMs) / events) * 1_000);
    }
  }
  await Promise.all([...servers.values()].map((server) => server.stop()));
  const plain = rates.get('nothing');
  return {
    title: `Ingest with enrichment and with linking, ${String(events)} events a round`,
    notes: [
      'accept: to the accept service until durable; accept and apply: until all is applied and everybody is compared.',
      'The same events in each, with user agents, pages with campaigns, and names; ratios are to the run with neither.',
    ],
    figures: [...rates].flatMap(([beside, { accept, both, cpu }]) => [
      figure(`${TITLES[beside]}: accept`, '/s', accept),
      figure(`${TITLES[beside]}: accept and apply`, '/s', both),
      figure(`${TITLES[beside]}: Node CPU`, 'µs/event', cpu),
      ...(beside === 'nothing' || plain === undefined
        ? []
        : [
            ratio(`${beside} ÷ neither: accept`, accept, plain.accept),
            ratio(`${beside} ÷ neither: accept and apply`, both, plain.both),
          ]),
    ]),
  };
}
