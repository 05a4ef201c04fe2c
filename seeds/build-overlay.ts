import { gzipSync } from 'node:zlib';

import { EmailBook, HandleBook, PhoneBook } from './fictional-people.js';
import { type Books, buildCrm } from './overlay-crm.js';
import { buildSocial } from './overlay-social.js';
import { buildWeb } from './overlay-web.js';
import type { Click, OrderSummary } from './source-data.js';
import { TruthTable } from './truth-table.js';

/** The generated files, as text. */
export interface Overlay {
  readonly crmCsv: string;
  readonly webCsv: string;
  readonly socialJsonLines: string;
  readonly truthCsv: string;
  readonly counts: { readonly crm: number; readonly web: number; readonly social: number; readonly people: number };
}

/** The social authors that no other source knows are numbered from here, after everybody else. */
const FIRST_SOCIAL_PERSON = 8_001;

/** Links the real orders and the clickstream by generated people. A function of its input alone. */
export function buildOverlay(orders: OrderSummary, clicks: readonly Click[]): Overlay {
  const books: Books = { emails: new EmailBook(), phones: new PhoneBook(), handles: new HandleBook() };
  const truth = new TruthTable();
  const crm = buildCrm(orders, books, truth);
  const web = buildWeb(clicks, orders.products, crm.people, books, truth);
  const social = buildSocial(clicks, orders.products, crm.people, web.users, FIRST_SOCIAL_PERSON, books, truth);
  return {
    crmCsv: crm.csv,
    webCsv: web.csv,
    socialJsonLines: social.jsonLines,
    truthCsv: truth.toCsv(),
    counts: { crm: crm.rows, web: web.rows, social: social.rows, people: crm.people.length + web.newPeople.length },
  };
}

/** Gzip without a time or an operating system in its header, so that equal text gives equal bytes. */
export function gzipText(text: string): Buffer {
  const bytes = gzipSync(text, { level: 9 });
  bytes[9] = 255;
  return bytes;
}
