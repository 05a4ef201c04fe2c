import type { IdentifierOrigin, RawIdentifier } from '../../events/event.model.js';
import { knownIds } from '../../identity/identifier-forms.model.js';
import { hashId, type Uuid } from '../../platform/ids.js';
import type { ConsentTarget } from '../../profiles/consent.service.js';
import type { ApiContext } from './api-context.js';
import type { ProfileView } from './profile-view.js';

type Policy = ApiContext['services']['policy'];

/**
 * All names of a person, the one that a grant hangs on first: the one that was given, else the one that events would hang
 * on. They are named as they stand, which may be a form that former rules gave them; then come those forms that events
 * have by now.
 *
 * @param named what the person was asked for by; null: the id of the profile
 * @param origin of a grant, for which what may not count from there is left to be refused; null: of a denial
 */
export function consentTargets(
  policy: Policy,
  { identifiers }: Pick<ProfileView, 'identifiers'>,
  named: RawIdentifier | null,
  origin: IdentifierOrigin | null,
): ConsentTarget[] {
  const standing = new Map(
    identifiers.map(({ namespace, value }) => [hashId(namespace, value), { ns: namespace, value }] as const),
  );
  const all = [...standing.values()];
  const wanted = named === null ? policy.resolve(all).identifiers.map(({ id }) => id) : knownIds(policy, named);
  const first = firstOf(policy, standing, wanted);
  const targets = new Map<Uuid, ConsentTarget>();
  if (first !== undefined) {
    const counts = origin === null || policy.resolve([first], origin).identifiers.length > 0;
    targets.set(hashId(first.ns, first.value), { ...first, isStanding: counts });
  }
  for (const [id, raw] of standing) if (!targets.has(id)) targets.set(id, { ...raw, isStanding: true });
  for (const { id, ns, value } of all.flatMap((raw) => policy.resolve([raw]).identifiers)) {
    if (!targets.has(id)) targets.set(id, { ns, value, isStanding: false });
  }
  return [...targets.values()];
}

/** Of what stands the first that has one of these ids, or had another form by which it has. */
function firstOf(
  policy: Policy,
  standing: ReadonlyMap<Uuid, RawIdentifier>,
  wanted: readonly Uuid[],
): RawIdentifier | undefined {
  for (const id of wanted) {
    const raw = standing.get(id);
    if (raw !== undefined) return raw;
  }
  const [best] = wanted;
  const all = [...standing.values()];
  return all.find((raw) => policy.resolve([raw]).identifiers[0]?.id === best) ?? all[0];
}
