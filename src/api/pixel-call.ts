import { WeftError } from '../platform/errors.js';

/** A transparent GIF of one pixel (GIF89a), the smallest there is that every mail program shows. */
export const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

/** Fields of a call that a query may hold flat; what is below `properties.`, `traits.` or `context.` goes in there. */
const FLAT_FIELDS = ['writeKey', 'userId', 'anonymousId', 'groupId', 'previousId', 'event', 'name', 'messageId'];
const NESTED_FIELDS = ['properties', 'traits', 'context'];
/** Fields beyond these are left out. */
const MAX_FIELDS = 200;

type Query = Readonly<Record<string, unknown>>;

/**
 * The call that the query of an image's URL holds: either `data`, the JSON of a call in base64 or base64url, padded or
 * not (Segment, "Pixel Tracking API"), or its fields one by one, as `?writeKey=…&userId=…&event=Opened&properties.mail=7`,
 * for templates that can only insert text. Names that mean nothing are left out; values of fields are text.
 *
 * @throws WeftError BAD_REQUEST
 */
export function pixelCall(query: Query): Record<string, unknown> {
  const { data } = query;
  return typeof data === 'string' ? { ...fieldsOf(query), ...decoded(data) } : fieldsOf(query);
}

function decoded(data: string): Record<string, unknown> {
  // A plus sign in a query is a space; whoever wrote the URL may not have known.
  const text = Buffer.from(data.replaceAll(' ', '+'), 'base64').toString('utf8');
  try {
    const call: unknown = JSON.parse(text);
    if (typeof call === 'object' && call !== null && !Array.isArray(call)) return call as Record<string, unknown>;
  } catch {
    // Told below; the parser's message would quote what may be personal data.
  }
  throw new WeftError('BAD_REQUEST', 'data is not a JSON object in base64', {
    where: 'data',
    hint: 'encode the call as JSON, that as base64, and that as a query parameter',
  });
}

function fieldsOf(query: Query): Record<string, unknown> {
  const call = new Map<string, unknown>();
  const nested = new Map<string, Map<string, string>>();
  for (const [name, value] of Object.entries(query).slice(0, MAX_FIELDS)) {
    if (typeof value !== 'string') continue;
    if (FLAT_FIELDS.includes(name)) call.set(name, value);
    const dot = name.indexOf('.');
    const parent = name.slice(0, dot);
    const child = name.slice(dot + 1);
    if (dot === -1 || child === '' || !NESTED_FIELDS.includes(parent)) continue;
    const fields = nested.get(parent) ?? new Map<string, string>();
    nested.set(parent, fields.set(child, value));
  }
  for (const [name, fields] of nested) call.set(name, Object.fromEntries(fields));
  return Object.fromEntries(call);
}
