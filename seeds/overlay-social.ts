import { drawPerson } from './fictional-people.js';
import type { Books, Person } from './overlay-crm.js';
import type { WebUser } from './overlay-web.js';
import { SeededRandom } from './random.js';
import { SOCIAL_TEXTS, type Tone } from './social-texts.js';
import type { Click, Product } from './source-data.js';
import type { TruthTable } from './truth-table.js';

export interface SocialOverlay {
  /** JSON lines, by time. */
  readonly jsonLines: string;
  readonly rows: number;
}

/** Who writes. `link` says how far the handle can be traced, for the counts in the documentation. */
export interface SocialAuthor {
  readonly personId: string;
  readonly network: 'twitter' | 'instagram';
  readonly handle: string;
  readonly link: 'crm' | 'web' | 'none';
}

interface Interaction {
  readonly id: string;
  readonly network: string;
  /** The author's handle, under the name of the network. */
  readonly twitter?: string;
  readonly instagram?: string;
  readonly kind: Kind;
  readonly time: string;
  readonly post_id: string;
  readonly text?: string;
  readonly rating?: number;
  readonly sku: string;
}

type Kind = 'like' | 'comment' | 'mention' | 'reply' | 'review';

const INTERACTIONS = 4_000;
const CRM_AUTHORS = 380;
const UNLINKED_AUTHORS = 240;
const POSTS = 260;
const KINDS: readonly Kind[] = [
  'like',
  'like',
  'like',
  'comment',
  'comment',
  'comment',
  'mention',
  'reply',
  'reply',
  'review',
];
const TONES: readonly Tone[] = ['positive', 'positive', 'positive', 'neutral', 'neutral', 'negative'];

/**
 * Interactions over the time that the clickstream spans, the last one at the same instant as its last click. The
 * authors' handles are known to the CRM, or to the shop from a log-in, or to nobody.
 */
export function buildSocial(
  clicks: readonly Click[],
  products: readonly Product[],
  customers: readonly Person[],
  users: readonly WebUser[],
  firstFreePersonNumber: number,
  books: Books,
  truth: TruthTable,
): SocialOverlay {
  const startMs = clicks.reduce((least, click) => Math.min(least, click.timeMs), Infinity);
  const endMs = clicks.reduce((greatest, click) => Math.max(greatest, click.timeMs), 0);
  const random = new SeededRandom('social/interactions');
  const authors = random.shuffle(drawAuthors(customers, users, firstFreePersonNumber, books));
  for (const author of authors) truth.add(author.personId, author.network, author.handle);
  const times = Array.from({ length: INTERACTIONS - 1 }, () => {
    const timeMs = startMs + Math.floor((endMs - startMs) * (1 - random.next() ** 1.4));
    return timeMs - (timeMs % 1000);
  });
  times.push(endMs);
  times.sort((a, b) => a - b);
  const lines = times.map((timeMs, index) => {
    const author = authors[index < authors.length ? index : random.skewedInt(authors.length, 2.2)];
    if (author === undefined) throw new Error('no authors');
    return JSON.stringify(draw(random, author, products, timeMs, index + 1));
  });
  return { jsonLines: lines.join('\n') + '\n', rows: lines.length };
}

function drawAuthors(
  customers: readonly Person[],
  users: readonly WebUser[],
  firstFreePersonNumber: number,
  books: Books,
): SocialAuthor[] {
  const random = new SeededRandom('social/authors');
  const authors: SocialAuthor[] = random
    .shuffle(customers.filter((person) => person.twitter !== ''))
    .slice(0, CRM_AUTHORS)
    .map((person) => ({ personId: person.id, network: 'twitter', handle: person.twitter, link: 'crm' }));
  const known = new Set(authors.map((author) => author.handle));
  for (const user of users) {
    if (user.socialLogin === null || known.has(user.socialLogin.handle)) continue;
    authors.push({
      personId: user.person.id,
      network: user.socialLogin.ns,
      handle: user.socialLogin.handle,
      link: 'web',
    });
  }
  for (let i = 0; i < UNLINKED_AUTHORS; i++) {
    const network = random.chance(0.6) ? 'twitter' : 'instagram';
    const handle = books.handles.draw(random, drawPerson(random, 'United Kingdom', books.phones));
    authors.push({
      personId: `p-${String(firstFreePersonNumber + i).padStart(5, '0')}`,
      network,
      handle,
      link: 'none',
    });
  }
  return authors;
}

function draw(
  random: SeededRandom,
  author: SocialAuthor,
  products: readonly Product[],
  timeMs: number,
  number: number,
): Interaction {
  const kind = random.pick(KINDS);
  const tone = random.pick(TONES);
  const product = products[random.skewedInt(products.length, 1.5)];
  const templates = kind === 'reply' ? SOCIAL_TEXTS.replies[tone] : SOCIAL_TEXTS[tone];
  const text = random.pick<string>(templates).replace('{p}', (product?.description ?? '').toLowerCase());
  const handle = random.chance(0.15) ? author.handle.toUpperCase() : author.handle;
  const rating = { positive: 4 + random.int(2), neutral: 3, negative: 1 + random.int(2) }[tone];
  return {
    id: `soc-${String(number).padStart(5, '0')}`,
    network: author.network,
    [author.network]: `@${handle}`,
    kind,
    time: new Date(timeMs).toISOString().replace('.000Z', 'Z'),
    post_id: `post-${String(1 + random.skewedInt(POSTS)).padStart(4, '0')}`,
    ...(kind === 'like' ? {} : { text }),
    ...(kind === 'review' ? { rating } : {}),
    sku: product?.sku ?? '',
  };
}
