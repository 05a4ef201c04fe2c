import { drawPerson } from './fictional-people.js';
import type { Books, Person } from './overlay-crm.js';
import { SeededRandom } from './random.js';
import { type Click, formatTime, groupSessions, type Product } from './source-data.js';
import { csvLine, type TruthTable } from './truth-table.js';

/** A user of the clickstream and the person behind them. */
export interface WebUser {
  /** As in the clickstream; never leaves the overlay. */
  readonly clickUserId: string;
  readonly person: Person;
  /** Account number in the shop; empty: never registers. */
  readonly accountId: string;
  /** What they give when they log in; empty: they never log in. */
  readonly loginEmail: string;
  readonly loginPhone: string;
  /** Namespace and handle they connect to their account, or null. */
  readonly socialLogin: { readonly ns: 'twitter' | 'instagram'; readonly handle: string } | null;
  /** One cookie a platform; two where the first was cleared half-way through the user's sessions. */
  readonly cookiesByPlatform: ReadonlyMap<string, readonly string[]>;
  readonly deviceByPlatform: ReadonlyMap<string, string>;
}

export interface WebOverlay {
  readonly csv: string;
  readonly rows: number;
  readonly users: readonly WebUser[];
  /** People who are in no other source. */
  readonly newPeople: readonly Person[];
}

/** Columns of the web events, in order. */
export const WEB_COLUMNS = [
  'event_id',
  'type',
  'event',
  'time',
  'session_id',
  'anonymous_id',
  'device_id',
  'user_id',
  'email',
  'phone',
  'twitter',
  'instagram',
  'platform',
  'acquisition_channel',
  'user_cohort',
  'user_lifecycle',
  'sku',
  'price',
  'quantity',
  'value',
] as const;
export type WebColumn = (typeof WEB_COLUMNS)[number];

const SHARES = {
  crmCustomers: 0.7,
  registers: 0.8,
  /** Of the customers who register: with another e-mail than the CRM knows. */
  otherEmail: 0.12,
  givesPhone: 0.15,
  givesHandle: 0.2,
  app: 0.5,
  cookieCleared: 0.3,
  loginPerSession: 0.5,
  sharedDevice: 0.03,
} as const;

const MAX_COOKIES = 3;
const LOGIN_EVENTS: ReadonlySet<string> = new Set(['account_page', 'shipping_details', 'payment_details', 'purchase']);
const PRODUCT_EVENTS: ReadonlySet<string> = new Set([
  'product_view',
  'wishlist_add',
  'compare',
  'review_page',
  'add_to_cart',
]);

/** Gives every user of the clickstream a person, cookies, devices and log-ins, and every product event a product. */
export function buildWeb(
  clicks: readonly Click[],
  products: readonly Product[],
  customers: readonly Person[],
  books: Books,
  truth: TruthTable,
): WebOverlay {
  const sessionsByUser = groupSessions(clicks);
  const people = assignPeople([...sessionsByUser.keys()], customers, books);
  const random = new SeededRandom('web/users');
  const users = [...sessionsByUser].map(([userId, sessions], index) => {
    const person = people.get(userId);
    if (person === undefined) throw new Error(`no person for ${userId}`);
    return drawUser(random, userId, person, sessions, index, books);
  });
  const borrowers = lendDevices(users);
  const rows: { timeMs: number; id: string; line: string }[] = [];
  const sessionRandom = new SeededRandom('web/sessions');
  for (const user of users) {
    const sessions = sessionsByUser.get(user.clickUserId) ?? [];
    const lender = borrowers.get(user.clickUserId);
    sessions.forEach((session, index) => {
      const borrowed = lender !== undefined && index === sessions.length - 1 ? lender : undefined;
      const cells = playSession(sessionRandom, user, session, index / sessions.length, products, borrowed);
      for (const row of cells) {
        noteTruth(truth, user.person.id, row);
        rows.push({ timeMs: row.timeMs, id: row.eventId, line: formatRow(row) });
      }
    });
  }
  rows.sort((a, b) => a.timeMs - b.timeMs || (a.id < b.id ? -1 : 1));
  return {
    csv: [WEB_COLUMNS.join(','), ...rows.map((row) => row.line)].join('\n') + '\n',
    rows: rows.length,
    users,
    newPeople: [...people.values()].filter((person) => person.crmId === ''),
  };
}

/** About 70 % of the users are customers; those who order often are likelier to be seen. */
function assignPeople(userIds: readonly string[], customers: readonly Person[], books: Books): Map<string, Person> {
  const random = new SeededRandom('web/people');
  const byOrders = [...customers].sort((a, b) => b.orders - a.orders || (a.id < b.id ? -1 : 1));
  const taken = new Set<Person>();
  const people = new Map<string, Person>();
  let number = customers.length;
  for (const userId of userIds) {
    if (random.chance(SHARES.crmCustomers)) {
      let customer = byOrders[random.skewedInt(byOrders.length, 1.6)];
      while (customer === undefined || taken.has(customer)) customer = byOrders[random.skewedInt(byOrders.length, 1.6)];
      taken.add(customer);
      people.set(userId, customer);
    } else {
      number += 1;
      const drawn = drawPerson(random, 'United Kingdom', books.phones);
      people.set(userId, {
        id: `p-${String(number).padStart(5, '0')}`,
        crmId: '',
        firstName: drawn.firstName,
        lastName: drawn.lastName,
        email: books.emails.draw(random, drawn),
        phone: drawn.phone,
        twitter: '',
        orders: 0,
      });
    }
  }
  return people;
}

function drawUser(
  random: SeededRandom,
  clickUserId: string,
  person: Person,
  sessions: readonly (readonly Click[])[],
  index: number,
  books: Books,
): WebUser {
  const platforms = [...new Set(sessions.map((session) => session[0]?.platform ?? ''))];
  const cookiesByPlatform = new Map(platforms.map((platform) => [platform, [random.uuid()]]));
  if (platforms.length < MAX_COOKIES && random.chance(SHARES.cookieCleared)) {
    cookiesByPlatform.get(platforms[0] ?? '')?.push(random.uuid());
  }
  const registers = random.chance(SHARES.registers);
  const otherEmail = random.chance(SHARES.otherEmail);
  const givesHandle = random.chance(SHARES.givesHandle);
  const ns = person.twitter !== '' || random.chance(0.5) ? 'twitter' : 'instagram';
  const apps = platforms.filter((platform) => platform !== 'desktop' && random.chance(SHARES.app));
  return {
    clickUserId,
    person,
    accountId: registers ? `acc-${String(100_000 + index * 7 + random.int(7))}` : '',
    loginEmail: !registers ? '' : otherEmail || person.email === '' ? books.emails.draw(random, person) : person.email,
    loginPhone: registers && random.chance(SHARES.givesPhone) ? person.phone : '',
    socialLogin: registers && givesHandle ? { ns, handle: person.twitter || books.handles.draw(random, person) } : null,
    cookiesByPlatform,
    deviceByPlatform: new Map(apps.map((platform) => [platform, `${platform}-${random.uuid()}`])),
  };
}

/** Some people use another person's device, in their last session: one cookie, two people. */
function lendDevices(users: readonly WebUser[]): Map<string, WebUser> {
  const random = new SeededRandom('web/shared-devices');
  const shuffled = random.shuffle(users);
  const pairs = Math.round(users.length * SHARES.sharedDevice);
  const borrowers = new Map<string, WebUser>();
  for (let i = 0; i < pairs; i++) {
    const borrower = shuffled[2 * i];
    const lender = shuffled[2 * i + 1];
    if (borrower !== undefined && lender !== undefined) borrowers.set(borrower.clickUserId, lender);
  }
  return borrowers;
}

interface WebRow {
  readonly eventId: string;
  readonly type: 'identify' | 'track';
  readonly click: Click;
  readonly timeMs: number;
  readonly anonymousId: string;
  readonly deviceId: string;
  readonly userId: string;
  readonly email: string;
  readonly phone: string;
  readonly social: WebUser['socialLogin'];
  readonly sku: string;
  readonly price: string;
  readonly quantity: string;
  readonly value: string;
}

/** `progress` (0…1) is how far through the user's sessions this one is: a cleared cookie is replaced half-way. */
function playSession(
  random: SeededRandom,
  user: WebUser,
  clicks: readonly Click[],
  progress: number,
  products: readonly Product[],
  lender: WebUser | undefined,
): WebRow[] {
  const platform = clicks[0]?.platform ?? '';
  const owner = lender ?? user;
  const anonymousId = cookieFor(owner, platform, progress);
  const deviceId = (lender === undefined ? user.deviceByPlatform.get(platform) : undefined) ?? '';
  const loginAt = loginIndex(random, user, clicks);
  const rows: WebRow[] = [];
  const shopper = new Shopper(random, products);
  clicks.forEach((click, index) => {
    const base = { click, timeMs: click.timeMs, anonymousId, deviceId, email: '', phone: '', social: null };
    const userId = loginAt !== -1 && index >= loginAt ? user.accountId : '';
    const eventId = `${click.sessionId}-${String(index + 1).padStart(2, '0')}`;
    if (index === loginAt) {
      rows.push({
        ...base,
        ...NO_PRODUCT,
        eventId: `${eventId}-login`,
        type: 'identify',
        userId,
        email: user.loginEmail,
        phone: user.loginPhone,
        social: user.socialLogin,
      });
    }
    rows.push({ ...base, ...shopper.act(click.event), eventId, type: 'track', userId });
  });
  return rows;
}

function cookieFor(user: WebUser, platform: string, progress: number): string {
  const cookies = user.cookiesByPlatform.get(platform) ?? [...user.cookiesByPlatform.values()][0] ?? [];
  return (progress < 0.5 ? cookies[0] : cookies.at(-1)) ?? '';
}

/** Where in a session the user logs in: where the shop asks for it, else anywhere; -1: not in this session. */
function loginIndex(random: SeededRandom, user: WebUser, clicks: readonly Click[]): number {
  const logsIn = random.chance(SHARES.loginPerSession);
  const anywhere = random.int(clicks.length);
  if (user.accountId === '' || !logsIn) return -1;
  const asked = clicks.findIndex((click) => LOGIN_EVENTS.has(click.event));
  return asked === -1 ? anywhere : asked;
}

const NO_PRODUCT = { sku: '', price: '', quantity: '', value: '' } as const;

/** Picks products as a visitor goes: popular ones more often, and what was viewed is what is put into the cart. */
class Shopper {
  readonly #random: SeededRandom;
  readonly #products: readonly Product[];
  #current: Product | undefined;
  #cartValue = 0;

  constructor(random: SeededRandom, products: readonly Product[]) {
    this.#random = random;
    this.#products = products;
  }

  act(event: string): Pick<WebRow, 'sku' | 'price' | 'quantity' | 'value'> {
    if (PRODUCT_EVENTS.has(event)) {
      if (event === 'product_view' || this.#current === undefined) {
        this.#current = this.#products[this.#random.skewedInt(this.#products.length)];
      }
      const product = this.#current;
      if (product === undefined) return NO_PRODUCT;
      if (event !== 'add_to_cart') return { ...NO_PRODUCT, sku: product.sku, price: product.price.toFixed(2) };
      const quantity = 1 + this.#random.skewedInt(12);
      const value = quantity * product.price;
      this.#cartValue += value;
      return { sku: product.sku, price: product.price.toFixed(2), quantity: String(quantity), value: value.toFixed(2) };
    }
    if (event !== 'purchase') return NO_PRODUCT;
    const value = this.#cartValue > 0 ? this.#cartValue : 5 + this.#random.int(4_000) / 100;
    this.#cartValue = 0;
    return { ...NO_PRODUCT, value: value.toFixed(2) };
  }
}

function noteTruth(truth: TruthTable, personId: string, row: WebRow): void {
  truth.add(personId, 'anonymous_id', row.anonymousId);
  truth.add(personId, 'device_id', row.deviceId);
  truth.add(personId, 'user_id', row.userId);
  truth.add(personId, 'email', row.email);
  truth.add(personId, 'phone', row.phone);
  if (row.social !== null) truth.add(personId, row.social.ns, row.social.handle);
}

function formatRow(row: WebRow): string {
  const { click } = row;
  return csvLine([
    row.eventId,
    row.type,
    row.type === 'identify' ? 'identify' : click.event,
    formatTime(row.timeMs),
    click.sessionId,
    row.anonymousId,
    row.deviceId,
    row.userId,
    row.email,
    row.phone,
    row.social?.ns === 'twitter' ? row.social.handle : '',
    row.social?.ns === 'instagram' ? row.social.handle : '',
    click.platform,
    click.channel,
    click.cohort,
    click.lifecycle,
    row.sku,
    row.price,
    row.quantity,
    row.value,
  ]);
}
