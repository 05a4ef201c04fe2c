import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';

import { parse } from 'csv-parse';

/** What the overlay needs to know of a customer in the order file. Times are ms, read as UTC. */
export interface OrderCustomer {
  readonly crmId: string;
  /** As spelled in the file, of the latest invoice. */
  readonly country: string;
  readonly firstOrderAt: number;
  readonly lastOrderAt: number;
  /** Invoices that are not cancellations. */
  readonly orders: number;
}

/** A product of the order file that sold well. */
export interface Product {
  readonly sku: string;
  readonly description: string;
  /** Pounds, the median unit price. */
  readonly price: number;
}

export interface OrderSummary {
  /** By crm id, ascending. */
  readonly customers: readonly OrderCustomer[];
  /** Best sellers first. */
  readonly products: readonly Product[];
  readonly lastInvoiceAt: number;
  /** Customer of the last invoice. */
  readonly lastCrmId: string;
}

/** A row of the clickstream. `timeMs` is its timestamp read as UTC. */
export interface Click {
  readonly userId: string;
  readonly sessionId: string;
  readonly event: string;
  readonly timeMs: number;
  readonly platform: string;
  readonly channel: string;
  readonly cohort: string;
  readonly lifecycle: string;
}

const MAX_PRODUCTS = 300;

/** Calls `onRow` with the cells of every row but the header, in file order. */
export async function readCsvGz(path: string, onRow: (cells: readonly string[]) => void): Promise<void> {
  const rows = createReadStream(path)
    .pipe(createGunzip())
    .pipe(parse({ fromLine: 2, relaxColumnCount: true }));
  for await (const cells of rows) onRow(cells as string[]);
}

/** `yyyy-MM-dd HH:mm:ss` as ms, read as UTC. */
export function parseTime(text: string): number {
  const timeMs = Date.parse(`${text.replace(' ', 'T')}Z`);
  if (Number.isNaN(timeMs)) throw new RangeError(`not a time of the form yyyy-MM-dd HH:mm:ss: "${text}"`);
  return timeMs;
}

/** ms as `yyyy-MM-dd HH:mm:ss`, UTC. */
export function formatTime(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 19).replace('T', ' ');
}

interface CustomerDraft {
  country: string;
  firstOrderAt: number;
  lastOrderAt: number;
  readonly invoices: Set<string>;
}

interface ProductDraft {
  readonly descriptions: Map<string, number>;
  readonly prices: number[];
}

/** Reads the 541,909 lines of the order file once and keeps its customers and its best-selling products. */
export async function readOrders(path: string): Promise<OrderSummary> {
  const customers = new Map<string, CustomerDraft>();
  const products = new Map<string, ProductDraft>();
  let lastInvoiceAt = 0;
  let lastCrmId = '';
  const times = new Map<string, number>();
  await readCsvGz(path, (cells) => {
    const [
      invoice = '',
      sku = '',
      description = '',
      quantity = '',
      date = '',
      price = '',
      customer = '',
      country = '',
    ] = cells;
    let timeMs = times.get(date);
    if (timeMs === undefined) times.set(date, (timeMs = parseTime(date)));
    const crmId = customer.replace(/\.0$/, '');
    const cancelled = invoice.startsWith('C');
    if (crmId !== '') {
      noteInvoice(customers, crmId, invoice, cancelled, timeMs, country);
      if (timeMs >= lastInvoiceAt) lastCrmId = crmId;
    }
    lastInvoiceAt = Math.max(lastInvoiceAt, timeMs);
    if (!cancelled && Number(quantity) > 0 && Number(price) > 0 && /^\d{5}[A-Z]?$/.test(sku)) {
      noteProduct(products, sku, description.trim(), Number(price));
    }
  });
  return { customers: finishCustomers(customers), products: finishProducts(products), lastInvoiceAt, lastCrmId };
}

function noteInvoice(
  customers: Map<string, CustomerDraft>,
  crmId: string,
  invoice: string,
  cancelled: boolean,
  timeMs: number,
  country: string,
): void {
  let customer = customers.get(crmId);
  if (customer === undefined) {
    customer = { country, firstOrderAt: timeMs, lastOrderAt: timeMs, invoices: new Set() };
    customers.set(crmId, customer);
  }
  customer.firstOrderAt = Math.min(customer.firstOrderAt, timeMs);
  if (timeMs >= customer.lastOrderAt) {
    customer.lastOrderAt = timeMs;
    customer.country = country;
  }
  if (!cancelled) customer.invoices.add(invoice);
}

function noteProduct(products: Map<string, ProductDraft>, sku: string, description: string, price: number): void {
  let product = products.get(sku);
  if (product === undefined) products.set(sku, (product = { descriptions: new Map(), prices: [] }));
  product.descriptions.set(description, (product.descriptions.get(description) ?? 0) + 1);
  product.prices.push(price);
}

function finishCustomers(drafts: ReadonlyMap<string, CustomerDraft>): OrderCustomer[] {
  return [...drafts]
    .map(([crmId, { invoices, ...draft }]) => ({ crmId, ...draft, orders: invoices.size }))
    .sort((a, b) => Number(a.crmId) - Number(b.crmId));
}

function finishProducts(drafts: ReadonlyMap<string, ProductDraft>): Product[] {
  return [...drafts]
    .sort(([skuA, a], [skuB, b]) => b.prices.length - a.prices.length || (skuA < skuB ? -1 : 1))
    .slice(0, MAX_PRODUCTS)
    .map(([sku, { descriptions, prices }]) => {
      prices.sort((a, b) => a - b);
      const [mostUsed] = [...descriptions].sort(([textA, a], [textB, b]) => b - a || (textA < textB ? -1 : 1));
      return { sku, description: mostUsed?.[0] ?? sku, price: prices[prices.length >> 1] ?? 0 };
    });
}

/** Reads the clickstream in file order: user by user, each in order of time. */
export async function readClicks(path: string): Promise<Click[]> {
  const clicks: Click[] = [];
  await readCsvGz(path, (cells) => {
    const [
      userId = '',
      sessionId = '',
      event = '',
      time = '',
      platform = '',
      channel = '',
      cohort = '',
      lifecycle = '',
    ] = cells;
    clicks.push({ userId, sessionId, event, timeMs: parseTime(time), platform, channel, cohort, lifecycle });
  });
  return clicks;
}

/** Users in file order, each with their sessions in order of time. */
export function groupSessions(clicks: readonly Click[]): Map<string, Click[][]> {
  const byUser = new Map<string, Map<string, Click[]>>();
  for (const click of clicks) {
    let sessions = byUser.get(click.userId);
    if (sessions === undefined) byUser.set(click.userId, (sessions = new Map<string, Click[]>()));
    const session = sessions.get(click.sessionId);
    if (session === undefined) sessions.set(click.sessionId, [click]);
    else session.push(click);
  }
  return new Map([...byUser].map(([userId, sessions]) => [userId, [...sessions.values()]]));
}
