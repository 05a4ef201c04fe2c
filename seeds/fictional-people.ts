import type { SeededRandom } from './random.js';

/**
 * Names, cities and telephone numbers for people who do not exist. Numbers come only from ranges that regulators keep
 * for drama and fiction; in a country where we know of none, the person has no number.
 */
interface Names {
  readonly given: readonly string[];
  readonly family: readonly string[];
}

export interface City {
  readonly name: string;
  /** E.164 prefix of a range reserved for fiction, then the number of digits to draw. Null: no such range. */
  readonly phone: { readonly prefix: string; readonly digits: number } | null;
}

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const ENGLISH: Names = {
  given: words(`Amelia Oliver Isla George Ava Noah Mia Arthur Ivy Harry Lily Leo Rosie Jack Freya Charlie Grace Oscar
    Willow Jacob Evie Henry Sophie Thomas Ella Freddie Ruby Alfie Poppy Theo Daisy Archie Alice Logan Harriet Max
    Phoebe Lucas Matilda Edward Eliza Isaac Martha Hugo Nancy Ralph Orla Callum Megan Rhys Priya Arjun Aisha Omar`),
  family: words(`Ashdown Barlow Bexley Birchall Blackwood Bramley Calloway Carver Chadwick Colbourne Copeland Crowther
    Dalton Denholm Eastwood Ellery Fairburn Farrow Fenwick Garland Gilbey Greenhalgh Hallam Harding Hartnell Hawthorne
    Holloway Hurst Ibbotson Kendrick Kingsley Langford Larkin Lockwood Marlowe Maddox Merrick Midgley Northcote Oakley
    Ormond Osgood Pemberton Penrose Pickering Prescott Quill Radcliffe Ravenscroft Redfern Rothwell Sedgwick Shelby
    Stanhope Stirling Sutcliffe Tanner Thackeray Thornbury Tilbury Trevelyan Underhill Vickers Wainwright Waverley
    Weatherby Westcott Whitlock Wilder Winslow Woodhouse Wyatt Yardley`),
};
const GERMAN: Names = {
  given: words(
    `Emma Ben Hanna Paul Lina Jonas Marie Finn Clara Felix Lena Moritz Greta Anton Frieda Emil Johanna Karl`,
  ),
  family: words(`Ahrens Brandt Dietrich Eberhardt Falk Gerlach Hagedorn Jansen Kessler Lindner Messner Nagel Ostermann
    Pfeifer Rademacher Sommerfeld Thielmann Ullrich Vogelsang Wiesner Zander`),
};
const FRENCH: Names = {
  given: words(
    `Louise Gabriel Jade Raphael Alice Arthur Chloe Jules Manon Hugo Camille Adam Elise Lucas Margaux Basile`,
  ),
  family:
    words(`Aubert Beaumont Chevalier Delacourt Escoffier Fontaine Garnier Hardouin Lacombe Marchand Noiret Perrault
    Rousselle Savigny Tellier Vasseur`),
};
const SPANISH: Names = {
  given: words(`Lucia Hugo Martina Mateo Sofia Daniel Paula Pablo Carla Diego Ines Bruno Tiago Leonor Beatriz Afonso`),
  family: words(`Alarcon Bermejo Cifuentes Duarte Esteves Figueira Galindo Herrero Lozano Medeiros Navarro Olivares
    Palomar Quintana Robledo Saavedra Teixeira Valverde`),
};
const ITALIAN: Names = {
  given: words(`Giulia Leonardo Aurora Alessandro Ginevra Tommaso Alice Edoardo Bianca Matteo Elena Pietro`),
  family: words(
    `Albertini Bellandi Castaldi Donati Falcone Gallinari Lombardi Montanari Orsini Pellegrini Ruggeri Valenti`,
  ),
};
const DUTCH: Names = {
  given: words(`Julia Daan Mila Sem Tess Lucas Nora Levi Saar Milan Eline Bram Lotte Wout`),
  family: words(`Aalders Bakhuis Claessens Doornbos Everaert Groenveld Hofstra Kuipers Lammers Meertens Peeters Rietveld
    Steenhuis Verhoeven Wouters`),
};
const NORDIC: Names = {
  given: words(`Astrid Emil Freja Axel Ingrid Elias Maja Oskar Saga Viktor Linnea Magnus Aino Eero Birta Jonas`),
  family: words(`Ahlgren Bergstad Dahlin Ekholm Fjeldsted Granlund Hallberg Isaksen Kivela Lindqvist Mortensen Nyberg
    Ostergaard Rautio Solheim Thorsen Vestergren`),
};
const EASTERN: Names = {
  given: words(`Zofia Antoni Hanna Jakub Maja Filip Tereza Matej Elena Lukas Ieva Jonas`),
  family: words(
    `Adamczyk Bielak Cermak Dvorsky Gorecki Havlik Jankauskas Kubiak Lipka Nemcova Petraitis Sadowski Wrobel`,
  ),
};
const MEDITERRANEAN: Names = {
  given: words(
    `Eleni Andreas Katerina Nikos Despina Yannis Noa Ariel Tamar Yonatan Layla Karim Yasmin Samir Rania Tariq`,
  ),
  family: words(`Anagnostou Baroudi Christofi Daher Economides Farhat Galanis Haddad Kallas Levanon Mansour Nasser
    Papadakis Rahal Shalev Theodorou Zammit`),
};
const EAST_ASIAN: Names = {
  given: words(`Haruka Ren Yui Sota Aoi Daiki Mei Wei Jia Hao Ling Jun Xin Kai`),
  family: words(`Arakawa Chow Fujimori Hoshino Ishida Kwan Leung Matsuda Ng Okabe Sakai Tam Uehara Yeung`),
};

const NAMES_BY_COUNTRY: Readonly<Record<string, Names>> = {
  Germany: GERMAN,
  Austria: GERMAN,
  Switzerland: GERMAN,
  France: FRENCH,
  Belgium: FRENCH,
  Spain: SPANISH,
  Portugal: SPANISH,
  Brazil: SPANISH,
  Italy: ITALIAN,
  Netherlands: DUTCH,
  Sweden: NORDIC,
  Norway: NORDIC,
  Denmark: NORDIC,
  Finland: NORDIC,
  Iceland: NORDIC,
  Poland: EASTERN,
  'Czech Republic': EASTERN,
  Lithuania: EASTERN,
  Greece: MEDITERRANEAN,
  Cyprus: MEDITERRANEAN,
  Malta: MEDITERRANEAN,
  Israel: MEDITERRANEAN,
  Lebanon: MEDITERRANEAN,
  Bahrain: MEDITERRANEAN,
  'Saudi Arabia': MEDITERRANEAN,
  'United Arab Emirates': MEDITERRANEAN,
  Japan: EAST_ASIAN,
  'Hong Kong': EAST_ASIAN,
  Singapore: EAST_ASIAN,
};

const city = (name: string, prefix: string, digits: number): City => ({ name, phone: { prefix, digits } });
const silent = (text: string): readonly City[] => text.split(', ').map((name) => ({ name, phone: null }));

/**
 * Ranges for drama use: United Kingdom, Ofcom "Telephone numbers for use in TV and radio drama"; Germany,
 * Bundesnetzagentur "Rufnummern für Medienproduktionen"; France, ARCEP numbering plan, "œuvres audiovisuelles";
 * North America, 555-0100 to 555-0199; Australia, ACMA "Phone numbers for use in TV shows, films and creative works".
 */
const CITIES_BY_COUNTRY: Readonly<Record<string, readonly City[]>> = {
  'United Kingdom': [
    city('London', '+442079460', 3),
    city('Leeds', '+441134960', 3),
    city('Sheffield', '+441144960', 3),
    city('Nottingham', '+441154960', 3),
    city('Leicester', '+441164960', 3),
    city('Bristol', '+441174960', 3),
    city('Reading', '+441184960', 3),
    city('Birmingham', '+441214960', 3),
    city('Edinburgh', '+441314960', 3),
    city('Glasgow', '+441414960', 3),
    city('Liverpool', '+441514960', 3),
    city('Manchester', '+441614960', 3),
    city('Newcastle', '+441914980', 3),
    city('Cardiff', '+442920180', 3),
    city('Belfast', '+442896496', 3),
  ],
  Germany: [
    city('Berlin', '+493023125', 3),
    city('Frankfurt', '+496990009', 3),
    city('Hamburg', '+494066969', 3),
    city('Cologne', '+492214710', 3),
    city('Munich', '+498999998', 3),
  ],
  France: [
    city('Paris', '+3319900', 4),
    city('Lille', '+3335301', 4),
    city('Lyon', '+3346571', 4),
    city('Toulouse', '+3353649', 4),
  ],
  USA: [city('New York', '+121255501', 2), city('Chicago', '+131255501', 2)],
  Canada: [city('Toronto', '+141655501', 2), city('Vancouver', '+160455501', 2)],
  Australia: [city('Sydney', '+6125550', 4), city('Melbourne', '+6135550', 4), city('Brisbane', '+6175550', 4)],
  EIRE: silent('Dublin, Cork, Galway'),
  'Channel Islands': silent('St Helier, St Peter Port'),
  Austria: silent('Vienna, Graz'),
  Switzerland: silent('Zurich, Basel, Geneva'),
  Belgium: silent('Brussels, Antwerp, Liege'),
  Spain: silent('Madrid, Barcelona, Valencia'),
  Portugal: silent('Lisbon, Porto'),
  Brazil: silent('Sao Paulo'),
  Italy: silent('Milan, Rome, Turin'),
  Netherlands: silent('Amsterdam, Utrecht, Rotterdam'),
  Sweden: silent('Stockholm, Malmo'),
  Norway: silent('Oslo, Bergen'),
  Denmark: silent('Copenhagen, Aarhus'),
  Finland: silent('Helsinki, Tampere'),
  Iceland: silent('Reykjavik'),
  Poland: silent('Warsaw, Krakow'),
  'Czech Republic': silent('Prague'),
  Lithuania: silent('Vilnius'),
  Greece: silent('Athens'),
  Cyprus: silent('Nicosia, Limassol'),
  Malta: silent('Valletta'),
  Israel: silent('Tel Aviv, Haifa'),
  Lebanon: silent('Beirut'),
  Bahrain: silent('Manama'),
  'Saudi Arabia': silent('Riyadh'),
  'United Arab Emirates': silent('Dubai'),
  Japan: silent('Tokyo, Osaka'),
  Singapore: silent('Singapore'),
  'Hong Kong': silent('Hong Kong'),
  RSA: silent('Cape Town'),
};

export interface FictionalPerson {
  readonly firstName: string;
  readonly lastName: string;
  /** Empty where the country is not a place ("Unspecified"). */
  readonly city: string;
  /** E.164, or empty. */
  readonly phone: string;
}

/** Draws a person of a country, spelled as in the order file. The city and the telephone number belong together. */
export function drawPerson(
  random: SeededRandom,
  country: string,
  phones: PhoneBook,
  lastName?: string,
): FictionalPerson {
  const names = NAMES_BY_COUNTRY[country] ?? ENGLISH;
  const cities = CITIES_BY_COUNTRY[country];
  const home = cities === undefined ? undefined : random.pick(cities);
  const drawnName = random.pick(names.family);
  return {
    firstName: random.pick(names.given),
    lastName: lastName ?? drawnName,
    city: home?.name ?? '',
    phone: home === undefined ? '' : phones.draw(random, home),
  };
}

/** Telephone numbers, each handed out once. */
export class PhoneBook {
  readonly #taken = new Set<string>();

  /** E.164; empty where the city has no range kept for fiction, or none left in it. */
  draw(random: SeededRandom, home: City): string {
    if (home.phone === null) return '';
    const { prefix, digits } = home.phone;
    const size = 10 ** digits;
    const start = random.int(size);
    for (let i = 0; i < size; i++) {
      const number = prefix + String((start + i) % size).padStart(digits, '0');
      if (this.#taken.has(number)) continue;
      this.#taken.add(number);
      return number;
    }
    return '';
  }
}

const EMAIL_DOMAINS = ['example.com', 'example.com', 'example.org', 'example.net'] as const;

/** Addresses under the domains that RFC 2606 keeps for examples, each handed out once. */
export class EmailBook {
  readonly #taken = new Set<string>();

  draw(random: SeededRandom, person: { readonly firstName: string; readonly lastName: string }): string {
    const first = person.firstName.toLowerCase();
    const last = person.lastName.toLowerCase();
    const local = random.pick([
      `${first}.${last}`,
      `${first.charAt(0)}.${last}`,
      `${first}${last}`,
      `${first}_${last}`,
    ]);
    const domain = random.pick(EMAIL_DOMAINS);
    for (let suffix = 0; ; suffix = suffix === 0 ? 2 + random.int(90) : suffix + 1) {
      const email = `${local}${suffix === 0 ? '' : String(suffix)}@${domain}`;
      if (this.#taken.has(email)) continue;
      this.#taken.add(email);
      return email;
    }
  }
}

/**
 * Social handles, each handed out once. They hold a hyphen, which Twitter and Instagram do not allow, so that none can
 * be the handle of a real account.
 */
export class HandleBook {
  readonly #taken = new Set<string>();

  draw(random: SeededRandom, person: { readonly firstName: string; readonly lastName: string }): string {
    const first = person.firstName.toLowerCase();
    const last = person.lastName.toLowerCase();
    const stem = random.pick([
      `${first}-${last}`,
      `${first}-${last.slice(0, 4)}`,
      `the-${last}`,
      `${first.charAt(0)}-${last}`,
    ]);
    for (let suffix = 0; ; suffix = suffix === 0 ? 2 + random.int(90) : suffix + 1) {
      const handle = `${stem}${suffix === 0 ? '' : String(suffix)}`;
      if (this.#taken.has(handle)) continue;
      this.#taken.add(handle);
      return handle;
    }
  }
}

/** One slip of the keyboard: two neighbours swapped, a letter doubled, or a letter left out. */
export function withTypo(random: SeededRandom, word: string): string {
  if (word.length < 4) return `${word}${word.charAt(word.length - 1)}`;
  const at = 1 + random.int(word.length - 2);
  switch (random.int(3)) {
    case 0: {
      const swapped = word.slice(0, at) + word.charAt(at + 1) + word.charAt(at) + word.slice(at + 2);
      return swapped === word ? word.slice(0, at) + word.slice(at + 1) : swapped;
    }
    case 1:
      return word.slice(0, at + 1) + word.slice(at);
    default:
      return word.slice(0, at) + word.slice(at + 1);
  }
}
