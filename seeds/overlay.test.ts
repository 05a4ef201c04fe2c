import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';

import { parse } from 'csv-parse/sync';
import { beforeAll, describe, expect, it } from 'vitest';

import { buildOverlay, gzipText, type Overlay } from './build-overlay.js';
import { type Click, type OrderSummary, readClicks, readOrders } from './source-data.js';

type Row = Record<string, string>;

const DATA = new URL('./data/', import.meta.url);

let orders: OrderSummary;
let clicks: Click[];
let overlay: Overlay;
let crm: Row[];
let web: Row[];
let social: { network: string; twitter?: string; instagram?: string; time: string }[];
let people: ReadonlyMap<string, ReadonlySet<string>>;

beforeAll(async () => {
  [orders, clicks] = await Promise.all([
    readOrders(new URL('online-retail.csv.gz', DATA).pathname),
    readClicks(new URL('ecom.csv.gz', DATA).pathname),
  ]);
  overlay = buildOverlay(orders, clicks);
  crm = parseCsv(overlay.crmCsv);
  web = parseCsv(overlay.webCsv);
  social = overlay.socialJsonLines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as (typeof social)[number]);
  people = peopleByIdentifier(parseCsv(overlay.truthCsv));
}, 60_000);

function parseCsv(text: string): Row[] {
  return parse<Row>(text, { columns: true });
}

function peopleByIdentifier(truth: readonly Row[]): Map<string, Set<string>> {
  const people = new Map<string, Set<string>>();
  for (const row of truth) {
    const key = `${row['ns'] ?? ''}:${row['value'] ?? ''}`;
    people.set(key, (people.get(key) ?? new Set()).add(row['person_id'] ?? ''));
  }
  return people;
}

/** The people who carry every one of the identifiers. */
function peopleOf(identifiers: readonly string[]): string[] {
  const [first = new Set<string>(), ...rest] = identifiers.map((key) => people.get(key) ?? new Set<string>());
  return [...first].filter((person) => rest.every((set) => set.has(person)));
}

function crmIdentifiers(row: Row): string[] {
  const email = (row['email'] ?? '').trim().toLowerCase();
  const phone = (row['phone'] ?? '').replaceAll(/[ -]/g, '');
  return [
    `crm_id:${row['crm_id'] ?? ''}`,
    ...(email.includes('@') ? [`email:${email}`] : []),
    ...(phone.startsWith('+') ? [`phone:${phone}`] : []),
    ...(row['twitter'] === '' ? [] : [`twitter:${(row['twitter'] ?? '').slice(1)}`]),
  ];
}

function webIdentifiers(row: Row): string[] {
  return ['anonymous_id', 'device_id', 'user_id', 'email', 'phone', 'twitter', 'instagram']
    .filter((ns) => row[ns] !== '')
    .map((ns) => `${ns}:${row[ns] ?? ''}`);
}

function socialIdentifier(row: (typeof social)[number]): string {
  return `${row.network}:${(row.twitter ?? row.instagram ?? '').slice(1).toLowerCase()}`;
}

describe('the generated overlay', () => {
  it('is the same text when it is built again', () => {
    expect(buildOverlay(orders, clicks)).toEqual(overlay);
  }, 30_000);

  it.each([
    ['crm-customers.csv.gz', 'crmCsv'],
    ['web-events.csv.gz', 'webCsv'],
    ['social-interactions.jsonl.gz', 'socialJsonLines'],
    ['truth.csv.gz', 'truthCsv'],
  ] as const)('equals the committed %s', async (name, key) => {
    const committed = gunzipSync(await readFile(new URL(name, DATA))).toString();
    expect(committed === overlay[key]).toBe(true);
  });

  it('compresses equal text to equal bytes, without a time in the header', () => {
    const bytes = gzipText(overlay.truthCsv);
    expect(bytes.equals(gzipText(overlay.truthCsv))).toBe(true);
    expect(bytes.readUInt32LE(4)).toBe(0);
  });

  it('has every customer of the order file in the CRM, with the real country', () => {
    const countryById = new Map(crm.map((row) => [row['crm_id'], row['country']]));
    for (const customer of orders.customers) expect(countryById.get(customer.crmId)).toBe(customer.country);
    expect(orders.customers).toHaveLength(4372);
  });

  it('keeps every click of the clickstream, in number and in kind', () => {
    const count = (events: readonly string[]): Map<string, number> =>
      events.reduce((counts, event) => counts.set(event, (counts.get(event) ?? 0) + 1), new Map<string, number>());
    const tracked = web.filter((row) => row['type'] === 'track').map((row) => row['event'] ?? '');
    expect(count(tracked)).toEqual(count(clicks.map((click) => click.event)));
  });

  it('gives each row a natural key of its own', () => {
    expect(new Set(web.map((row) => row['event_id'])).size).toBe(web.length);
  });

  it('ends the CRM with the orders, and the social interactions with the clickstream', () => {
    const latest = (times: readonly string[]): string => times.reduce((a, b) => (a > b ? a : b));
    expect(latest(crm.map((row) => row['recorded_at'] ?? ''))).toBe('2011-12-09 12:50:00');
    expect(latest(web.map((row) => row['time'] ?? ''))).toBe('2024-06-29 22:02:40');
    expect(latest(social.map((row) => row.time))).toBe('2024-06-29T22:02:40Z');
  });
});

describe('the truth table', () => {
  it('names at least one person who carries all identifiers of a CRM row', () => {
    expect(crm.filter((row) => peopleOf(crmIdentifiers(row)).length === 0)).toEqual([]);
  });

  it('names at least one person who carries all identifiers of a web event', () => {
    expect(web.filter((row) => peopleOf(webIdentifiers(row)).length === 0)).toEqual([]);
  });

  it('names exactly one person for each social handle', () => {
    const handles = new Set(social.map(socialIdentifier));
    expect([...handles].filter((key) => people.get(key)?.size !== 1)).toEqual([]);
  });

  it('holds no identifier that no source carries', () => {
    const carried = new Set([
      ...crm.flatMap(crmIdentifiers),
      ...web.flatMap(webIdentifiers),
      ...social.map(socialIdentifier),
    ]);
    expect([...people.keys()].filter((key) => !carried.has(key))).toEqual([]);
  });

  it('has what makes identity hard: shared cookies, shared e-mails, and people who never log in', () => {
    const shared = (ns: string): number =>
      [...people].filter(([key, set]) => key.startsWith(`${ns}:`) && set.size > 1).length;
    expect(shared('anonymous_id')).toBeGreaterThanOrEqual(10);
    expect(shared('email')).toBeGreaterThanOrEqual(10);
    const loggedIn = new Set(web.filter((row) => row['user_id'] !== '').map((row) => row['anonymous_id']));
    const cookies = new Set(web.map((row) => row['anonymous_id']));
    expect(loggedIn.size / cookies.size).toBeGreaterThan(0.4);
    expect(loggedIn.size / cookies.size).toBeLessThan(0.85);
  });
});

describe('the generated people', () => {
  it('have addresses under the example domains only', () => {
    const emails = [...people.keys()].filter((key) => key.startsWith('email:'));
    expect(emails.filter((key) => !/@example\.(com|org|net)$/.test(key))).toEqual([]);
  });

  it('have handles that no network would allow', () => {
    const handles = [...people.keys()].filter((key) => key.startsWith('twitter:') || key.startsWith('instagram:'));
    expect(handles.filter((key) => !key.includes('-'))).toEqual([]);
  });

  it('have telephone numbers from ranges kept for fiction only', () => {
    const fiction =
      /^phone:\+(44(207946|113496|114496|115496|116496|117496|118496|121496|131496|141496|151496|161496|191498|292018)0\d{3}|442896496\d{3}|49(3023125|6990009|4066969|2214710|8999998)\d{3}|33(19900|35301|46571|53649)\d{4}|1\d{3}55501\d{2}|61[237]5550\d{4})$/;
    const phones = [...people.keys()].filter((key) => key.startsWith('phone:'));
    expect(phones.filter((key) => !fiction.test(key))).toEqual([]);
  });
});
