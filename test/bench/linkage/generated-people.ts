import { randomNumbers, type RandomNumbers } from '../../../src/identity/linkage/random-numbers.js';

/** Columns of the records, as settings and files name them. */
export const PEOPLE_COLUMNS = ['unique_id', 'first_name', 'surname', 'dob', 'city', 'email', 'cluster'] as const;
export type PersonRow = Record<(typeof PEOPLE_COLUMNS)[number], string>;

const SYLLABLES = 'an be cor da el fin ga hol is jo ka lin mar ne or pe qui ro sa tel ur van wil xa yor zim'.split(' ');
const SLIP = 0.06;
const MISSING = 0.05;

/**
 * Invented people with one to four records each, with slips and gaps; values are drawn so that few are frequent and
 * many are rare, as names are.
 */
export function generatePeople(records: number, seed: number): PersonRow[] {
  const random = randomNumbers(seed);
  const rows: PersonRow[] = [];
  for (let person = 0; rows.length < records; person++) {
    const own = aPerson(random, person);
    const copies = 1 + Math.floor(random() ** 2 * 4);
    for (let copy = 0; copy < copies && rows.length < records; copy++) {
      rows.push({
        ...(copy === 0 ? own : slipped(own, random)),
        unique_id: String(rows.length),
        cluster: String(person),
      });
    }
  }
  return rows;
}

type Person = Omit<PersonRow, 'unique_id' | 'cluster'>;

function aPerson(random: RandomNumbers, person: number): Person {
  const first = nameOf(skewed(random, 600), 3);
  const last = nameOf(skewed(random, 12_000) + 1_000, 4);
  const day = new Date(Date.UTC(1940, 0, 1) + Math.floor(random() * 65 * 365) * 86_400_000);
  return {
    first_name: first,
    surname: last,
    dob: day.toISOString().slice(0, 10),
    city: nameOf(skewed(random, 300) + 50_000, 3),
    email: `${first}.${last}${person % 9_973}@example.${['com', 'org', 'net'][person % 3] ?? 'com'}`,
  };
}

/** Numbers below `bound`, the lesser the more frequent. */
function skewed(random: RandomNumbers, bound: number): number {
  return Math.floor(random() ** 2 * bound);
}

function nameOf(number: number, syllables: number): string {
  let rest = Math.imul(number + 1, 2_654_435_761) >>> 0;
  let name = '';
  for (let i = 0; i < syllables; i++) {
    name += SYLLABLES[rest % SYLLABLES.length] ?? '';
    rest = Math.floor(rest / SYLLABLES.length);
  }
  return name;
}

function slipped(person: Person, random: RandomNumbers): Person {
  const field = (text: string): string => {
    const drawn = random();
    if (drawn < MISSING) return '';
    return drawn < MISSING + SLIP * 2 ? withSlip(text, random) : text;
  };
  const { first_name: first, surname, ...others } = person;
  const [a, b] = random() < 0.03 ? [surname, first] : [first, surname];
  return {
    first_name: field(a),
    surname: field(b),
    dob: field(others.dob),
    city: field(others.city),
    email: field(others.email),
  };
}

/** One letter wrong, missing, doubled, or two changed places. */
function withSlip(text: string, random: RandomNumbers): string {
  const at = Math.floor(random() * text.length);
  const [head, letter, tail] = [text.slice(0, at), text.charAt(at), text.slice(at + 1)];
  const other = /\d/.test(letter) ? String(Math.floor(random() * 10)) : 'aeioustrn'.charAt(Math.floor(random() * 9));
  const kinds = [
    head + other + tail,
    head + tail,
    head + letter + letter + tail,
    head + tail.charAt(0) + letter + tail.slice(1),
  ];
  return kinds[Math.floor(random() * kinds.length)] ?? text;
}
