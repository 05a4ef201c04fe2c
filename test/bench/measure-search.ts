import type { BenchWorld } from './bench-world.js';
import { HttpCalls } from './http-calls.js';
import { figure, percentile, type Figure, type Section } from './report.js';
import { LAST_NAME_PREFIX, makePeople } from './search-people.js';

const QUERY = `query Find($filter: ProfileFilter, $orderBy: ProfileOrder, $after: String) {
  profiles(filter: $filter, orderBy: $orderBy, first: 50, after: $after) {
    edges { node { id traits(names: ["last_name"]) } } pageInfo { hasNextPage endCursor }
  }
}`;
const COUNT = 'query Count($filter: ProfileFilter) { profiles(filter: $filter, first: 1) { totalCount { value } } }';
const COUNTRIES = ['de', 'at', 'fr', 'gb', 'es', 'it', 'lu'];
const AIM = '≤ 50';

interface SearchOptions {
  readonly profiles: number;
  /** Questions of each kind. */
  readonly questions: number;
}

type Asked = Readonly<Record<string, unknown>>;

/** Filters by the number of the question, as `[what is asked, filter, order]`. */
function kinds(profiles: number): [string, (n: number) => Asked][] {
  const country = (n: number): Asked => ({ trait: { name: 'country', eq: COUNTRIES[n % COUNTRIES.length] } });
  const age = (n: number, years: number): Asked => ({
    trait: { name: 'age', gte: 18 + (n % 50), lt: 18 + (n % 50) + years },
  });
  const prefix = (n: number, length: number): Asked => ({
    trait: {
      name: 'last_name',
      prefix: `${LAST_NAME_PREFIX}${(n * 7_919).toString(16).padStart(6, '0').slice(-length)}`,
    },
  });
  const desc = (by: string, trait?: string): Asked => ({
    by,
    direction: 'DESC',
    ...(trait === undefined ? {} : { trait }),
  });
  return [
    [
      'an identifier',
      (n) => ({ filter: { identifier: { namespace: 'email', eq: `p${String((n * 7_919) % profiles)}@example.com` } } }),
    ],
    [
      'the beginning of an identifier',
      (n) => ({ filter: { identifier: { namespace: 'email', prefix: `p${String(1 + (n % 99))}` } } }),
    ],
    ['the beginning of a name, few', (n) => ({ filter: prefix(n, 4) })],
    ['the beginning of a name, many', (n) => ({ filter: prefix(n, 1) })],
    ['a country', (n) => ({ filter: country(n) })],
    ['a country, the newest first', (n) => ({ filter: country(n), orderBy: desc('CREATED') })],
    ['a country, changed last first', (n) => ({ filter: country(n), orderBy: desc('UPDATED') })],
    [
      'a country and an age, by name',
      (n) => ({ filter: { and: [country(n), age(n, 3)] }, orderBy: { by: 'TRAIT', trait: 'last_name' } }),
    ],
    [
      'an age in a segment of half, by age',
      (n) => ({ filter: { ...age(n, 10), segment: { in: ['half'] } }, orderBy: desc('TRAIT', 'age') }),
    ],
    [
      'a country in a small segment, by name',
      (n) => ({ filter: { ...country(n), segment: { in: ['few'] } }, orderBy: { by: 'TRAIT', trait: 'last_name' } }),
    ],
    [
      'one of two, and not a third',
      (n) => ({ filter: { or: [country(n), prefix(n, 2)], not: { segment: { in: ['half'] } } } }),
    ],
    // Each by itself is frequent, and no profile is both.
    [
      'what is frequent apart and never together',
      () => ({ filter: { segment: { in: ['some'] }, trait: { name: 'age', in: [19, 21] } } }),
    ],
  ];
}

/** First pages of searches over HTTP, one after the other, each another one, with 50 profiles read from the database. */
export async function measureSearch(world: BenchWorld, { profiles, questions }: SearchOptions): Promise<Section> {
  const databaseUrl = await world.createDatabase('search');
  const db = await world.connect(databaseUrl);
  await db.runMigrations();
  await makePeople(db, profiles);
  const { server, url, readKey } = await world.startServer({
    databaseUrl,
    worker: false,
    define: false,
    scores: false,
  });
  const http = new HttpCalls(1, readKey);
  const ask = async (query: string, variables: Asked): Promise<number> => {
    const body = Buffer.from(JSON.stringify({ query, variables }));
    const start = performance.now();
    const text = await http.post(`${url}/graphql`, body);
    const ms = performance.now() - start;
    const { errors } = JSON.parse(text) as { errors?: unknown };
    if (errors !== undefined) throw new Error(`a search was answered ${text}`);
    return ms;
  };
  const cpuMs = async (): Promise<number> => (await server.call('cpuMs')) + ((await world.postgresCpuMs()) ?? NaN);
  const figures: Figure[] = [];
  const all: number[] = [];
  for (const [name, asked] of kinds(profiles)) {
    for (let n = 0; n < 3; n++) await ask(QUERY, asked(n));
    const page: number[] = [];
    const count: number[] = [];
    const before = await cpuMs();
    for (let n = 0; n < questions; n++) page.push(await ask(QUERY, asked(n + 3)));
    const after = await cpuMs();
    for (let n = 0; n < Math.ceil(questions / 10); n++)
      count.push(await ask(COUNT, { filter: asked(n + 3)['filter'] }));
    all.push(...page);
    figures.push(figure(`${name}: p50`, 'ms', [percentile(page, 50)]));
    figures.push(figure(`${name}: p99`, 'ms', [percentile(page, 99)], AIM));
    figures.push(figure(`${name}: CPU, mean`, 'ms', [(after - before) / questions]));
    figures.push(figure(`${name}: how many, p50`, 'ms', [percentile(count, 50)]));
  }
  http.close();
  await server.stop();
  return {
    title: `Finding profiles among ${profiles.toLocaleString('en')}`,
    notes: [
      'First pages of 50 profiles with a trait each, over HTTP, one at a time, each another question.',
      'The profiles of a page are read from the database unless a page before had them.',
      'CPU is that of the server and of PostgreSQL, which other work on the machine does not lengthen as it does times.',
    ],
    figures: [
      figure('all: p50', 'ms', [percentile(all, 50)]),
      figure('all: p99', 'ms', [percentile(all, 99)], AIM),
      ...figures,
    ],
  };
}
