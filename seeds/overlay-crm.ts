import { drawPerson, type EmailBook, type HandleBook, type PhoneBook, withTypo } from './fictional-people.js';
import { SeededRandom } from './random.js';
import { formatTime, type OrderCustomer, type OrderSummary } from './source-data.js';
import { csvLine, type TruthTable } from './truth-table.js';

/** One generated human being, with what they use to make themselves known. Empty text: they have none. */
export interface Person {
  readonly id: string;
  /** Empty: not a customer in the order file. */
  readonly crmId: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly email: string;
  readonly phone: string;
  readonly twitter: string;
  /** Orders in the order file; who orders more is likelier to be seen on the web. */
  readonly orders: number;
}

export interface Books {
  readonly emails: EmailBook;
  readonly phones: PhoneBook;
  readonly handles: HandleBook;
}

export interface CrmOverlay {
  readonly csv: string;
  readonly rows: number;
  readonly people: readonly Person[];
}

const HEADER =
  'crm_id,first_name,last_name,email,phone,twitter,city,country,created_at,recorded_at,marketing_opt_in,preferences';

/** Rates of what is dirty on purpose, as fractions of the customers. */
const DIRT = {
  missingEmail: 0.06,
  untidyEmail: 0.05,
  nullishEmail: 0.01,
  missingPhone: 0.25,
  nullishPhone: 0.01,
  knownTwitter: 0.12,
  familyEmail: 0.008,
  familyPhone: 0.012,
  repeatedRow: 0.015,
  registeredTwice: 0.01,
} as const;

const NULLISH = ['unknown', 'N/A', '-1', 'none', 'null', '0'] as const;
const INTERESTS = [
  'kitchen',
  'garden',
  'party',
  'christmas',
  'lighting',
  'bags',
  'stationery',
  'toys',
  'candles',
] as const;
const CHANNELS = ['email', 'email', 'email', 'phone', 'post', 'none'] as const;
/** Customer numbers of the order file lie below; second registrations are numbered from here. */
const SECOND_REGISTRATION_BASE = 900_001;

interface CrmRow {
  readonly crmId: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly email: string;
  readonly phone: string;
  readonly twitter: string;
  readonly city: string;
  readonly country: string;
  readonly createdAt: number;
  readonly recordedAt: number;
  readonly optIn: boolean;
  readonly preferences: string;
}

/**
 * A CRM record for every customer of the order file, plus repeated rows and second registrations. The country and the
 * dates are real, everything else is generated and dirty at the rates of {@link DIRT}.
 */
export function buildCrm(orders: OrderSummary, books: Books, truth: TruthTable): CrmOverlay {
  const random = new SeededRandom('crm/people');
  const people: Person[] = [];
  const rows: CrmRow[] = [];
  let country = '';
  for (const customer of orders.customers) {
    const neighbour = customer.country === country ? people.at(-1) : undefined;
    const { person, row } = drawCustomer(random, customer, books, neighbour, people.length + 1);
    country = customer.country;
    people.push(person);
    rows.push(row);
    noteTruth(truth, person.id, row);
  }
  for (const row of repeatRows(rows, orders, people, books, truth)) rows.push(row);
  rows.sort((a, b) => a.recordedAt - b.recordedAt || Number(a.crmId) - Number(b.crmId));
  const untidy = new SeededRandom('crm/untidy');
  const csv = [HEADER, ...rows.map((row) => formatRow(untidy, row))].join('\n') + '\n';
  return { csv, rows: rows.length, people };
}

function drawCustomer(
  random: SeededRandom,
  customer: OrderCustomer,
  books: Books,
  previous: Person | undefined,
  number: number,
): { person: Person; row: CrmRow } {
  const shares = random.next();
  const relative = previous !== undefined && shares < DIRT.familyEmail + DIRT.familyPhone ? previous : undefined;
  const drawn = drawPerson(random, customer.country, books.phones, relative?.lastName);
  const ownEmail = books.emails.draw(random, drawn);
  const handle = random.chance(DIRT.knownTwitter) ? books.handles.draw(random, drawn) : '';
  const hasPhone = !random.chance(DIRT.missingPhone);
  const email = random.chance(DIRT.missingEmail) ? '' : ownEmail;
  const person: Person = {
    id: `p-${String(number).padStart(5, '0')}`,
    crmId: customer.crmId,
    firstName: drawn.firstName,
    lastName: drawn.lastName,
    email: relative !== undefined && shares < DIRT.familyEmail && relative.email !== '' ? relative.email : email,
    phone: relative !== undefined && shares >= DIRT.familyEmail ? relative.phone : hasPhone ? drawn.phone : '',
    twitter: handle,
    orders: customer.orders,
  };
  const interests = random.shuffle(INTERESTS).slice(0, 1 + random.int(3));
  const row: CrmRow = {
    crmId: customer.crmId,
    firstName: person.firstName,
    lastName: person.lastName,
    email:
      person.email === '' && random.chance(DIRT.nullishEmail / DIRT.missingEmail) ? random.pick(NULLISH) : person.email,
    phone:
      person.phone === '' && random.chance(DIRT.nullishPhone / DIRT.missingPhone) ? random.pick(NULLISH) : person.phone,
    twitter: handle,
    city: drawn.city,
    country: customer.country,
    createdAt: customer.firstOrderAt,
    recordedAt: customer.firstOrderAt,
    optIn: random.chance(0.62),
    preferences: JSON.stringify({ channel: random.pick(CHANNELS), interests }),
  };
  return { person, row };
}

/**
 * Rows that repeat a customer: the same number with a slip of the keyboard, recorded later, or a second number for the
 * same person. The customer of the last invoice is repeated at its time, so that both files end at the same instant.
 */
function repeatRows(
  rows: readonly CrmRow[],
  orders: OrderSummary,
  people: readonly Person[],
  books: Books,
  truth: TruthTable,
): CrmRow[] {
  const random = new SeededRandom('crm/repeats');
  const repeats: CrmRow[] = [];
  let secondNumber = SECOND_REGISTRATION_BASE;
  rows.forEach((row, index) => {
    const person = people[index];
    if (person === undefined) return;
    const recordedAt = row.createdAt + random.int(Math.max(orders.lastInvoiceAt - row.createdAt, 1));
    const dice = random.next();
    if (row.crmId === orders.lastCrmId) {
      repeats.push({ ...row, recordedAt: orders.lastInvoiceAt, optIn: true });
    } else if (dice < DIRT.repeatedRow) {
      const typo = random.chance(0.5);
      repeats.push({
        ...row,
        recordedAt: roundToMinute(recordedAt),
        lastName: typo ? withTypo(random, row.lastName) : row.lastName.toUpperCase(),
        email: typo && row.email.includes('@') ? mistypedEmail(random, row.email) : row.email,
      });
    } else if (dice < DIRT.repeatedRow + DIRT.registeredTwice) {
      const newEmail = random.chance(0.4);
      repeats.push({
        ...row,
        crmId: String(secondNumber++),
        recordedAt: roundToMinute(recordedAt),
        createdAt: roundToMinute(recordedAt),
        firstName: random.chance(0.3) ? withTypo(random, row.firstName) : row.firstName,
        email: newEmail ? books.emails.draw(random, row) : row.email,
        twitter: '',
      });
    } else return;
    const repeat = repeats.at(-1);
    if (repeat !== undefined) noteTruth(truth, person.id, repeat);
  });
  return repeats;
}

function mistypedEmail(random: SeededRandom, email: string): string {
  const [local = '', domain = ''] = email.split('@');
  return `${withTypo(random, local)}@${domain}`;
}

function roundToMinute(timeMs: number): number {
  return Math.floor(timeMs / 60_000) * 60_000;
}

function noteTruth(truth: TruthTable, personId: string, row: CrmRow): void {
  truth.add(personId, 'crm_id', row.crmId);
  if (row.email.includes('@')) truth.add(personId, 'email', row.email);
  if (row.phone.startsWith('+')) truth.add(personId, 'phone', row.phone);
  truth.add(personId, 'twitter', row.twitter);
}

function formatRow(random: SeededRandom, row: CrmRow): string {
  return csvLine([
    row.crmId,
    row.firstName,
    row.lastName,
    random.chance(DIRT.untidyEmail) ? untidyEmail(random, row.email) : row.email,
    row.phone.startsWith('+') ? spacedPhone(random, row.phone) : row.phone,
    row.twitter === '' ? '' : `@${row.twitter}`,
    row.city,
    row.country,
    formatTime(row.createdAt),
    formatTime(row.recordedAt),
    row.optIn ? 'true' : 'false',
    row.preferences,
  ]);
}

function untidyEmail(random: SeededRandom, email: string): string {
  return random.pick([email.toUpperCase(), ` ${email}`, `${email} `, email.charAt(0).toUpperCase() + email.slice(1)]);
}

/** The same number as people write it: plain, with spaces, or with hyphens. */
function spacedPhone(random: SeededRandom, phone: string): string {
  const separator = random.pick(['', '', ' ', ' ', '-']);
  return phone.replace(/(\d{3})(?=\d{3})/g, `$1${separator}`);
}
