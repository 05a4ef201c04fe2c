import { isPersonal, type TraitDefinition } from './trait-definition.model.js';

/** Names of traits, in lower case and without anything but letters, that mostly are personal data. */
const PERSONAL_NAMES: ReadonlySet<string> = new Set([
  ...['email', 'emailaddress', 'mail', 'mailaddress', 'workemail', 'privateemail', 'useremail', 'contactemail'],
  ...['phone', 'phonenumber', 'mobile', 'mobilephone', 'mobilenumber', 'cell', 'cellphone', 'telephone', 'tel', 'fax'],
  ...['name', 'firstname', 'lastname', 'fullname', 'surname', 'givenname', 'familyname', 'middlename', 'birthname'],
  ...['maidenname', 'username', 'displayname'],
  ...['address', 'street', 'streetaddress', 'homeaddress', 'postaladdress'],
  ...['birthday', 'birthdate', 'dateofbirth', 'dob'],
  ...['passport', 'passportnumber', 'ssn', 'socialsecuritynumber', 'taxid', 'iban', 'ip', 'ipaddress'],
]);

/** Whether a trait of this name mostly is personal data: `email`, `Phone_Number`, `lastName`. A guess, for warnings. */
export function looksPersonal(name: string): boolean {
  return PERSONAL_NAMES.has(name.replace(/[^a-z]/gi, '').toLowerCase());
}

/** Those that look personal and are not declared to be, of names that were sent or defined; each once, in order. */
export function undeclaredPersonal(names: Iterable<string>, defined: readonly TraitDefinition[]): string[] {
  const declared = new Set(defined.filter(isPersonal).map(({ name }) => name));
  return [...new Set(names)].filter((name) => looksPersonal(name) && !declared.has(name)).sort();
}

/** What to tell people of such names; there is at least one. */
export function undeclaredPersonalText(names: readonly string[]): { readonly message: string; readonly hint: string } {
  const shown = names.slice(0, MAX_NAMED).join(', ');
  const others = names.length - MAX_NAMED;
  const [first = ''] = names;
  return {
    message: `${shown}${others > 0 ? ` and ${String(others)} more` : ''} may be personal data, and keys with the scope read see it`,
    hint: `declare it with pii: true, or by weft traits set ${first} --pii yes`,
  };
}

const MAX_NAMED = 8;
