import type { Identifier, IdentifierPolicy, RawIdentifier } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { decideMerge, type MergeSide } from './decide-merge.js';
import { decideUnmerge } from './decide-unmerge.js';
import { formsOf, knownForm } from './identifier-forms.model.js';
import { NO_CHANGE } from './identity-decision.model.js';
import type { IdentityDecisionReader, StandingIdentifier } from './identity-decision.reader.js';
import {
  NO_RESULT,
  type ApartInput,
  type MergeInput,
  type RevisionInputOf,
  type RevisionResult,
  type UnmergeInput,
} from './identity-revision.model.js';
import type { IdentityRevision, RevisionInput } from './revised-identity.model.js';
import type { IdentityRules } from './identity-rules.model.js';
import { standsForNobody } from './nobody.model.js';

export interface RevisionDeciderOptions {
  readonly reader: IdentityDecisionReader;
  readonly policy: IdentifierPolicy;
  /** Those in force. */
  readonly rules: () => IdentityRules;
  readonly newId: (nowMs: number) => Uuid;
  /** Whether somebody who is being erased is known by one of these; default: nobody is. */
  readonly isBeingErased?: (db: Queryable, identifierIds: readonly Uuid[]) => Promise<boolean>;
}

/** What a revision does, as of what is known at its turn. */
export interface RevisionPlan extends Required<Pick<RevisionInput, 'ids' | 'links'>>, Pick<RevisionInput, 'amend'> {
  /** What comes of it, once it is resolved. */
  readonly resultOf: (found: IdentityRevision) => RevisionResult;
}

/** Works out which links and components a decision is about. Reads only, in the transaction that it is given. */
export class RevisionDecider {
  readonly #options: RevisionDeciderOptions;

  constructor(options: RevisionDeciderOptions) {
    this.#options = options;
  }

  /**
   * @param nowMs for the ids of new links
   * @throws WeftError NOT_FOUND, CONFLICT, BAD_REQUEST, PAYLOAD_TOO_LARGE
   */
  async decide(db: Queryable, revision: RevisionInputOf, nowMs: number): Promise<RevisionPlan> {
    switch (revision.kind) {
      case 'merge':
        return this.#merge(db, revision.input, nowMs);
      case 'unmerge':
        return this.#unmerge(db, revision.input, nowMs);
      case 'apart':
        return this.#apart(db, revision.input, nowMs);
      case 'unlink':
        return this.#unlink(db, revision.input.link);
      default:
        throw new RangeError(`a revision of kind ${revision.kind} goes by pages of components`);
    }
  }

  async #merge(db: Queryable, input: MergeInput, nowMs: number): Promise<RevisionPlan> {
    const { reader, rules, newId } = this.#options;
    const sides = 'profiles' in input ? await this.#sidesOf(db, input.profiles) : await this.#namedSides(db, input);
    const everybody = sides.flatMap(({ named, identifiers }) => [...identifiers, ...(named === null ? [] : [named])]);
    const ids = [...new Set(everybody.map(({ id }) => id))];
    await this.#demandNotErased(db, ids);
    const standing = await reader.linksAround(db, ids);
    const { center, ...decision } = decideMerge(sides, standing, { rules: rules(), newId: () => newId(nowMs) });
    const before = new Map(sides.flatMap((side) => side.identifiers.map(({ id, profileId }) => [id, profileId])));
    return {
      ...decision,
      resultOf: (found) => ({
        ...resultOf(found),
        profileId: center === null ? null : standsFor(center, found, before),
        unseen: sides.filter(({ identifiers }) => identifiers.length === 0).length,
      }),
    };
  }

  async #unmerge(db: Queryable, input: UnmergeInput, nowMs: number): Promise<RevisionPlan> {
    const { reader, newId } = this.#options;
    const { profileId, taken, left } =
      'move' in input ? await this.#sidesOfMove(db, input.move) : await this.#sidesOfProfile(db, input);
    const ids = [...taken, ...left].map(({ id }) => id);
    await this.#demandNotErased(db, ids);
    const standing = await reader.linksAround(db, ids);
    const decision = decideUnmerge(taken, left, standing, () => newId(nowMs));
    const before = new Map([...taken, ...left].map(({ id }) => [id, profileId]));
    return {
      ...decision,
      resultOf: (found) => ({
        ...resultOf(found),
        profileId: standsFor(left[0]?.id ?? '', found, before),
        apart: [...new Set(taken.map(({ id }) => standsFor(id, found, before)))],
      }),
    };
  }

  /**
   * An erasure takes all that the person is known by when it begins: who is merged with them meanwhile would be erased
   * too, and so would be whoever is taken out.
   * @throws WeftError CONFLICT
   */
  async #demandNotErased(db: Queryable, ids: readonly Uuid[]): Promise<void> {
    if ((await this.#options.isBeingErased?.(db, ids)) !== true) return;
    throw new WeftError('CONFLICT', 'somebody of them is being erased', {
      hint: 'erasureReceipts says how far that is; decide again once it is logical',
    });
  }

  async #apart(db: Queryable, { identifiers, others }: ApartInput, nowMs: number): Promise<RevisionPlan> {
    const { reader, newId } = this.#options;
    const [taken, left] = [await this.resolved(db, identifiers), await this.resolved(db, others)];
    const standing = await reader.linksAround(
      db,
      [...taken, ...left].map(({ id }) => id),
    );
    return { ...decideUnmerge(taken, left, standing, () => newId(nowMs)), resultOf };
  }

  async #unlink(db: Queryable, id: Uuid): Promise<RevisionPlan> {
    const link = await this.#options.reader.link(db, id);
    if (link === null) {
      throw new WeftError('NOT_FOUND', 'there is no such link', { where: 'id', hint: 'identityLinks lists them' });
    }
    if (link.removedAt !== null) {
      throw new WeftError('CONFLICT', 'the link was removed before', { where: 'id' });
    }
    return { links: { ...NO_CHANGE, removed: [link] }, ids: [link.a.id, link.b.id], resultOf };
  }

  async #sidesOf(db: Queryable, ids: readonly Uuid[]): Promise<StandingSide[]> {
    const { reader } = this.#options;
    const living = await reader.living(db, ids);
    if (ids.some((id) => !living.has(id))) throw noProfile('profiles');
    const profileIds = [...new Set(living.values())];
    if (profileIds.length < 2) {
      throw new WeftError('CONFLICT', 'they are one profile already', { where: 'profiles' });
    }
    const identifiers = await reader.identifiersOf(db, profileIds);
    return profileIds.map((id) => ({ named: null, identifiers: identifiers.filter((i) => i.profileId === id) }));
  }

  async #namedSides(
    db: Queryable,
    { identifiers }: { readonly identifiers: readonly RawIdentifier[] },
  ): Promise<StandingSide[]> {
    const { reader } = this.#options;
    const named = await this.resolved(db, identifiers);
    const seen = await reader.identifiers(
      db,
      named.map(({ id }) => id),
    );
    const all = await reader.identifiersOf(db, [...new Set(seen.map(({ profileId }) => profileId))]);
    return named.map((identifier) => {
      const profileId = seen.find(({ id }) => id === identifier.id)?.profileId;
      return { named: identifier, identifiers: all.filter((each) => each.profileId === profileId) };
    });
  }

  async #sidesOfProfile(
    db: Queryable,
    { profile, identifiers }: { readonly profile: Uuid; readonly identifiers: readonly RawIdentifier[] },
  ): Promise<Sides> {
    const { reader } = this.#options;
    const profileId = (await reader.living(db, [profile])).get(profile);
    if (profileId === undefined) throw noProfile('profile');
    const all = await reader.identifiersOf(db, [profileId]);
    const wanted = new Set((await this.resolved(db, identifiers)).map(({ id }) => id));
    if ([...wanted].some((id) => all.every((identifier) => identifier.id !== id))) {
      throw new WeftError('CONFLICT', 'one of the identifiers is not of this profile', {
        where: 'identifiers',
        hint: 'Profile.identifiers lists those that are',
      });
    }
    const [taken, left] = [all.filter(({ id }) => wanted.has(id)), all.filter(({ id }) => !wanted.has(id))];
    return { profileId, taken, left };
  }

  /** Those that a move brought, and those that stood where it brought them to. Who came later goes by the evidence. */
  async #sidesOfMove(db: Queryable, id: Uuid): Promise<Sides> {
    const { reader } = this.#options;
    const move = await reader.move(db, id);
    if (move?.kind !== 'merge') {
      throw new WeftError('NOT_FOUND', 'there is no such merge', { where: 'merge', hint: 'mergeHistory lists them' });
    }
    const profileId = (await reader.living(db, [move.to])).get(move.to);
    if (profileId === undefined) throw noProfile('merge');
    const all = await reader.identifiersOf(db, [profileId]);
    const before = new Set(
      await reader.stoodBefore(
        db,
        move,
        all.map((identifier) => identifier.id),
      ),
    );
    const brought = new Set(move.identifierIds);
    return {
      profileId,
      taken: all.filter((identifier) => brought.has(identifier.id)),
      left: all.filter((identifier) => before.has(identifier.id)),
    };
  }

  /**
   * As somebody is known by them, which may be a form that former rules gave them; else as they are normalised.
   * @throws WeftError BAD_REQUEST
   */
  async resolved(db: Queryable, identifiers: readonly RawIdentifier[]): Promise<readonly Identifier[]> {
    const { policy, reader } = this.#options;
    const forms = identifiers.map((raw) => formsOf(policy, raw));
    const seen = await reader.identifiers(db, [...new Set(forms.flatMap(({ ids }) => ids))]);
    const known = new Map(seen.map((identifier) => [identifier.id, identifier]));
    return identifiers.map((raw, i) => {
      const each = forms[i];
      const identifier = each === undefined ? undefined : knownForm(each, known);
      if (identifier !== undefined) return identifier;
      throw standsForNobody(raw, policy, `identifiers[${String(i)}]`);
    });
  }
}

interface StandingSide extends MergeSide {
  readonly identifiers: readonly StandingIdentifier[];
}

interface Sides {
  readonly profileId: Uuid;
  readonly taken: readonly Identifier[];
  readonly left: readonly Identifier[];
}

export function resultOf({ moves, merged, links, contested }: IdentityRevision): RevisionResult {
  return {
    ...NO_RESULT,
    merged: [...merged.keys()],
    moved: moves.length,
    linksAdded: links.added.length,
    linksRemoved: links.removed.length,
    contested,
  };
}

function standsFor(id: Uuid, { moves }: IdentityRevision, before: ReadonlyMap<Uuid, Uuid>): Uuid {
  return moves.find((move) => move.identifierId === id)?.to ?? before.get(id) ?? '';
}

function noProfile(where: string): WeftError {
  return new WeftError('NOT_FOUND', 'there is no such profile', { where, hint: 'ask for it by identifier' });
}
