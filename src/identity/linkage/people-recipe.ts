import { WeftError } from '../../platform/errors.js';
import type { ColumnKind, LinkageModel } from './linkage-model.model.js';
import { MODEL_FORMAT, readLinkageModel } from './read-linkage-model.js';

/** What a column says of a person. Several columns may share a role: they are joined. */
export const PERSON_ROLES = [
  'first_name',
  'surname',
  'full_name',
  'date_of_birth',
  'address',
  'city',
  'postcode',
  'email',
  'phone',
] as const;
export type PersonRole = (typeof PERSON_ROLES)[number];

/** Columns of the records by role. */
export type PersonColumns = Readonly<Partial<Record<PersonRole, readonly string[]>>>;

/** Names of columns, without case and what is no letter. */
const NAMES: Readonly<Record<PersonRole, RegExp>> = {
  first_name: /^(?:first|given|fore|f|christian)_?names?$/,
  surname: /^(?:sur|last|family|l)_?names?$/,
  full_name: /^(?:full_?|customer_?|person_?)?name$/,
  date_of_birth: /^(?:dob|birth_?da(?:te|y)|date_of_birth|born)$/,
  address: /^(?:street(?:_?(?:number|no|name|address))?|house_?(?:number|no)|address(?:_?(?:line)?_?\d)?|addr_?\d?)$/,
  city: /^(?:city|town|suburb|locality|place)$/,
  postcode: /^(?:post_?code|postal_?code|zip(?:_?code)?|plz)$/,
  email: /^e_?mail(?:_?address)?$/,
  phone: /^(?:(?:tele)?phone|mobile|tel|cell)(?:_?(?:number|no))?$/,
};

/** The roles that the names of columns tell; of a column whose name tells nothing, none. */
export function inferPersonColumns(columns: readonly string[]): PersonColumns {
  const found: Partial<Record<PersonRole, string[]>> = {};
  for (const column of columns) {
    const name = column
      .trim()
      .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '_');
    const role = PERSON_ROLES.find((each) => NAMES[each].test(name));
    if (role !== undefined) (found[role] ??= []).push(column);
  }
  return found;
}

const KINDS: Readonly<Record<PersonRole, ColumnKind>> = {
  first_name: 'name',
  surname: 'name',
  full_name: 'name',
  date_of_birth: 'date',
  address: 'address',
  city: 'name',
  postcode: 'postcode',
  email: 'email',
  phone: 'phone',
};

interface Level {
  readonly when: string;
  readonly label: string;
  readonly isNull?: true;
  readonly termFrequency?: { readonly column: string; readonly minimumU: number };
}

/** Values seldomer than one in a thousand count as that rare: many of them are slips. */
const MINIMUM_U = 0.001;

function missing(column: string): Level {
  return { when: `${column}_l IS NULL OR ${column}_r IS NULL`, label: 'missing', isNull: true };
}

function equal(column: string, isAdjusted = true): Level {
  const level = { when: `${column}_l = ${column}_r`, label: 'equal' };
  return isAdjusted ? { ...level, termFrequency: { column, minimumU: MINIMUM_U } } : level;
}

const OTHERS: Level = { when: 'ELSE', label: 'different' };

function name(column: string, other: string | null): Level[] {
  return [
    missing(column),
    equal(column),
    {
      when: `damerau_levenshtein(${column}_l, ${column}_r) <= 1 OR jaro_winkler(${column}_l, ${column}_r) >= 0.92`,
      label: 'a slip apart',
    },
    ...(other === null
      ? []
      : [{ when: `${column}_l = ${other}_r OR ${other}_l = ${column}_r`, label: 'in the other name' }]),
    { when: `jaro_winkler(${column}_l, ${column}_r) >= 0.8`, label: 'alike' },
    OTHERS,
  ];
}

/** The levels of each role's comparison, the closest first. */
const LEVELS: Readonly<Record<PersonRole, (has: (role: PersonRole) => boolean) => readonly Level[]>> = {
  first_name: (has) => name('first_name', has('surname') ? 'surname' : null),
  surname: (has) => name('surname', has('first_name') ? 'first_name' : null),
  full_name: () => name('full_name', null),
  date_of_birth: () => [
    missing('date_of_birth'),
    equal('date_of_birth'),
    { when: 'damerau_levenshtein(date_of_birth_l, date_of_birth_r) <= 1', label: 'a slip apart' },
    { when: 'damerau_levenshtein(date_of_birth_l, date_of_birth_r) <= 2', label: 'two slips apart' },
    OTHERS,
  ],
  address: () => [
    missing('address'),
    equal('address', false),
    { when: 'token_overlap(address_l, address_r) >= 0.8', label: 'nearly all words' },
    { when: 'token_overlap(address_l, address_r) >= 0.6', label: 'most words' },
    { when: 'token_overlap(address_l, address_r) >= 0.35', label: 'some words' },
    OTHERS,
  ],
  city: () => [
    missing('city'),
    equal('city'),
    { when: 'jaro_winkler(city_l, city_r) >= 0.88', label: 'alike' },
    OTHERS,
  ],
  postcode: () => [
    missing('postcode'),
    equal('postcode'),
    { when: 'damerau_levenshtein(postcode_l, postcode_r) <= 1', label: 'a slip apart' },
    OTHERS,
  ],
  email: () => [
    missing('email'),
    equal('email'),
    { when: "regexp_extract(email_l, '^[^@]+') = regexp_extract(email_r, '^[^@]+')", label: 'equal before the @' },
    { when: 'damerau_levenshtein(email_l, email_r) <= 2', label: 'two slips apart' },
    { when: 'jaro_winkler(email_l, email_r) >= 0.88', label: 'alike' },
    OTHERS,
  ],
  phone: () => [
    missing('phone'),
    equal('phone'),
    { when: 'substr(phone_l, -8) = substr(phone_r, -8)', label: 'equal but for the prefix' },
    { when: 'damerau_levenshtein(phone_l, phone_r) <= 1', label: 'a slip apart' },
    OTHERS,
  ],
};

type Rule = readonly [needs: readonly PersonRole[], on: readonly string[]];

/** Who is compared with whom: any two of these agreements are likely to survive slips in the others. */
const BLOCKING: readonly Rule[] = [
  [['email'], ['email']],
  [['phone'], ['substr(phone, -8)']],
  [
    ['first_name', 'surname'],
    ['first_name', 'surname'],
  ],
  [['date_of_birth'], ['date_of_birth']],
  [
    ['surname', 'date_of_birth'],
    ['surname', 'substr(date_of_birth, 1, 4)'],
  ],
  [
    ['first_name', 'date_of_birth'],
    ['first_name', 'substr(date_of_birth, 1, 4)'],
  ],
  [
    ['surname', 'date_of_birth'],
    ['soundex(surname)', 'substr(date_of_birth, 5, 4)'],
  ],
  [['full_name'], ['full_name']],
  [
    ['full_name', 'date_of_birth'],
    ['substr(full_name, 1, 3)', 'substr(date_of_birth, 1, 4)'],
  ],
  [
    ['postcode', 'surname'],
    ['postcode', 'substr(surname, 1, 2)'],
  ],
  [
    ['postcode', 'first_name'],
    ['postcode', 'substr(first_name, 1, 2)'],
  ],
  [
    ['postcode', 'full_name'],
    ['postcode', 'substr(full_name, 1, 3)'],
  ],
  [
    ['city', 'surname'],
    ['city', 'surname'],
  ],
  [
    ['city', 'first_name'],
    ['city', 'first_name'],
  ],
  [
    ['first_name', 'surname'],
    ['soundex(first_name)', 'soundex(surname)'],
  ],
  [['email'], ["regexp_extract(email, '^[^@]+')"]],
];

const DETERMINISTIC: readonly Rule[] = [
  [
    ['first_name', 'surname', 'date_of_birth'],
    ['first_name', 'surname', 'date_of_birth'],
  ],
  [
    ['full_name', 'date_of_birth'],
    ['full_name', 'date_of_birth'],
  ],
  [['email'], ['email']],
  [
    ['first_name', 'surname', 'postcode'],
    ['first_name', 'surname', 'postcode'],
  ],
];

const PASSES: readonly Rule[] = [
  [
    ['first_name', 'surname'],
    ['first_name', 'surname'],
  ],
  [['full_name'], ['full_name']],
  [['date_of_birth'], ['date_of_birth']],
  [['email'], ['email']],
  [['phone'], ['phone']],
  [
    ['postcode', 'surname'],
    ['postcode', 'surname'],
  ],
];

/**
 * Settings for records of people, to be trained on them without knowing who is who.
 * @throws WeftError BAD_REQUEST if the columns say too little of a person
 */
export function peopleRecipe(columns: PersonColumns): LinkageModel {
  const has = (role: PersonRole): boolean => (columns[role]?.length ?? 0) > 0;
  const roles = PERSON_ROLES.filter(has);
  const of = (rules: readonly Rule[]): { on: readonly string[] }[] =>
    rules.filter(([needs]) => needs.every(has)).map(([, on]) => ({ on }));
  const blocking = of(BLOCKING);
  const passes = of(PASSES);
  if (roles.length < 2 || blocking.length === 0 || passes.length === 0) {
    throw new WeftError('BAD_REQUEST', `the columns say too little of a person: ${roles.join(', ') || 'nothing'}`, {
      hint: `separate columns by commas, or say by --column role=name which are ${PERSON_ROLES.join(', ')}`,
    });
  }
  const settings = {
    format: MODEL_FORMAT,
    columns: roles.map((role) => ({ name: role, kind: KINDS[role], from: columns[role] ?? [] })),
    comparisons: roles.map((role) => ({ name: role, levels: LEVELS[role](has) })),
    blocking,
    training: { deterministic: of(DETERMINISTIC), recall: 0.6, passes },
  };
  return readLinkageModel(JSON.stringify(settings), 'recipe');
}
