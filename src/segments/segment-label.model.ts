import type { LoggedEvent } from '../events/event.model.js';
import type { LabelRule, RulePerson } from '../features/label.model.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import { nameHint } from '../platform/near-names.js';
import { isConsentTrait } from '../profiles/consent.model.js';
import { GROUPS } from '../profiles/groups.model.js';
import type { Trait, Traits } from '../profiles/trait.model.js';
import { foldTraits, mergeTraits } from '../profiles/traits.model.js';
import type { CompiledSegment } from './compile-segment.js';
import type { Definitions } from './definitions.model.js';
import { FoldContext } from './fold-context.js';
import { newProfileWork, type ProfileWork } from './profile-work.model.js';

/**
 * An active segment as a label: whether somebody was in it at an instant, by their own events up to then.
 *
 * Events are folded into features and traits by what folds them in when they come, and the condition is evaluated by
 * what decides memberships. Segments that it refers to are evaluated first, at the same instant. What a person's own
 * events do not tell of an earlier instant is refused.
 * @throws WeftError NOT_FOUND (no such active segment), BAD_REQUEST (it, or one that it refers to, reads a model, groups,
 *   consents or samples, or has an exit condition or a minimum dwell)
 */
export function segmentRule(definitions: Definitions, key: string): LabelRule<LoggedEvent> {
  const { byKey } = definitions.segments;
  const segment = byKey.get(key);
  if (segment === undefined) {
    throw new WeftError('NOT_FOUND', `there is no active segment ${key}`, {
      where: 'segment',
      hint: nameHint(key, byKey.keys(), 'weft segment list shows those that there are'),
    });
  }
  const needed = withReferences(segment, definitions);
  for (const each of needed) refuseUnknowable(each, key);
  return { key, version: segment.version, begin: () => new MemberInPast(definitions, needed, segment) };
}

/** The segment after all that it refers to, directly or not. */
function withReferences(segment: CompiledSegment, { segments }: Definitions): CompiledSegment[] {
  const ordered = new Set<CompiledSegment>();
  // References form no circle, and their number is bounded by that of the segments.
  const visit = (each: CompiledSegment): void => {
    for (const key of each.segmentDeps) {
      const other = segments.byKey.get(key);
      if (other !== undefined && !ordered.has(other)) visit(other);
    }
    ordered.add(each);
  };
  visit(segment);
  return [...ordered];
}

function refuseUnknowable({ key, modelDeps, traitDeps, sampleDeps, remembers }: CompiledSegment, asked: string): void {
  const [model] = modelDeps;
  const unknowable =
    model !== undefined
      ? { what: `the model ${model}`, why: 'which version of it answered then is not known' }
      : traitDeps.includes(GROUPS)
        ? { what: 'groups', why: 'what others told of a group by then is not among the events of its members' }
        : traitDeps.some(isConsentTrait)
          ? { what: 'consents', why: 'words on purposes outlive the events that brought them' }
          : sampleDeps.length > 0
            ? { what: 'samples', why: 'which id a profile had then, before merges, is not known' }
            : remembers
              ? { what: 'who was in it before', why: 'that is known of what was processed live alone' }
              : null;
  if (unknowable === null) return;
  const through = key === asked ? '' : `, through the segment ${key},`;
  throw new WeftError('BAD_REQUEST', `the segment ${asked}${through} reads ${unknowable.what}: ${unknowable.why}`, {
    where: 'segment',
    hint: 'name a segment of features and traits alone, or one that refers to such segments',
  });
}

/** One person, whose events come by rising time. */
class MemberInPast implements RulePerson<LoggedEvent> {
  readonly #definitions: Definitions;
  readonly #needed: readonly CompiledSegment[];
  readonly #segment: CompiledSegment;
  readonly #context: FoldContext;
  #profile: ProfileWork | null = null;
  /** By anchor, since how many an anchor holds is bounded. */
  readonly #traits = new Map<Uuid, Traits>();
  #hasNewTraits = false;

  constructor(definitions: Definitions, needed: readonly CompiledSegment[], segment: CompiledSegment) {
    this.#definitions = definitions;
    this.#needed = needed;
    this.#segment = segment;
    this.#context = new FoldContext(definitions);
  }

  add(event: LoggedEvent): void {
    const { features, traitRules } = this.#definitions;
    const [identifier] = event.identifiers;
    if (identifier === undefined) return;
    this.#profile ??= newProfileWork({ id: identifier.id, part: event.part, createdAt: event.acceptedAt }, features);
    features.apply(this.#profile.merged, event);
    const traits = this.#traits.get(identifier.id) ?? new Map<string, Trait>();
    this.#traits.set(identifier.id, traits);
    if (foldTraits(traits, event, traitRules).changed.length > 0) this.#hasNewTraits = true;
  }

  holdsAt(t: number): boolean {
    const profile = this.#profile;
    if (profile === null) return false;
    if (this.#hasNewTraits) profile.traits = mergeTraits(this.#traits.values());
    this.#hasNewTraits = false;
    this.#context.bind(profile, t);
    profile.memberships.clear();
    for (const each of this.#needed) {
      if (!each.evaluate(this.#context, t)) continue;
      const { segmentId, version } = each;
      profile.memberships.set(segmentId, { segmentId, since: t, version, cause: { kind: 'timer', pos: null } });
    }
    this.#definitions.features.prune(profile.merged, t);
    return profile.memberships.has(this.#segment.segmentId);
  }
}
