import type { Identifier } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import { tooManyLinks } from './decide-merge.js';
import { newLink, type IdentityLink, type LinkChange, type NewLink } from './identity-decision.model.js';
import { MAX_NEW_LINKS } from './identity-revision.model.js';

/**
 * The links that keep identifiers apart which one profile held, whatever evidence says or will say.
 *
 * 1. Each identifier that is taken out and each of those that it is taken from cannot stand together. None of these
 *    links can be left out: one event that names just its two ends would bring them together again.
 * 2. Must-links between the two go: the newer decision counts.
 * 3. Neither those taken out nor the rest are linked among themselves: nobody has said that they are one person, and
 *    what holds them together is their own evidence.
 *
 * @param standing links that have an end among the identifiers
 * @throws WeftError CONFLICT where one of the two is empty; PAYLOAD_TOO_LARGE
 */
export function decideUnmerge(
  taken: readonly Identifier[],
  from: readonly Identifier[],
  standing: readonly IdentityLink[],
  newId: () => Uuid,
): { readonly links: LinkChange; readonly ids: readonly Uuid[] } {
  if (taken.length === 0) {
    throw new WeftError('CONFLICT', 'nothing of it is in the profile any more', {
      hint: 'mergeHistory says where its identifiers went',
    });
  }
  if (from.length === 0) {
    throw new WeftError('CONFLICT', 'nothing would be left of the profile', {
      where: 'identifiers',
      hint: 'name only those that are somebody else',
    });
  }
  if (taken.length * from.length > MAX_NEW_LINKS) throw tooManyLinks();
  const isTaken = new Set(taken.map(({ id }) => id));
  const isLeft = new Set(from.map(({ id }) => id));
  const between = standing.filter(
    ({ a, b }) => (isTaken.has(a.id) && isLeft.has(b.id)) || (isLeft.has(a.id) && isTaken.has(b.id)),
  );
  const barred = new Set(between.filter(({ kind }) => kind === 'cannot').map(({ a, b }) => `${a.id} ${b.id}`));
  const added: NewLink[] = [];
  for (const x of taken) {
    for (const y of from) {
      const link = newLink('cannot', x, y, newId());
      if (!barred.has(`${link.a.id} ${link.b.id}`)) added.push(link);
    }
  }
  return {
    links: { added, removed: between.filter(({ kind }) => kind === 'must') },
    ids: [...isTaken, ...isLeft],
  };
}
