import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anIdentifier, nameOf } from '../../test/support/identity-builders.js';
import type { Uuid } from '../platform/ids.js';
import {
  assignProfiles,
  type FoundedProfile,
  type PlacedIdentifier,
  type ProfileAssignment,
} from './assign-profiles.js';
import { NO_PROFILE } from './component.model.js';
import { DEFAULT_IDENTITY_RULES } from './identity-rules.model.js';

/** Identifiers and profiles of one component between assignments. Groups are written as lists of names. */
class Register {
  readonly identifiers = new Map<Uuid, PlacedIdentifier>();
  readonly profiles = new Map<Uuid, FoundedProfile>();
  #pos = 0;

  assign(...groups: string[][]): ProfileAssignment {
    this.#pos++;
    for (const identifier of groups.flat().map(anIdentifier)) {
      if (!this.identifiers.has(identifier.id)) {
        this.identifiers.set(identifier.id, { ...identifier, firstPos: this.#pos, profileId: NO_PROFILE });
      }
    }
    let drawn = 0;
    const outcome = assignProfiles({
      groups: groups.map((group) => group.flatMap((name) => this.identifiers.get(anIdentifier(name).id) ?? [])),
      foundedBy: (id) => [...this.profiles.values()].find((profile) => profile.foundingId === id),
      rules: DEFAULT_IDENTITY_RULES,
      pos: this.#pos,
      newProfileId: () => `P${String(this.profiles.size + ++drawn)}`,
    });
    for (const profile of outcome.created) this.profiles.set(profile.id, profile);
    for (const { from, into } of outcome.merged) this.#redirect(from, into);
    for (const { id } of outcome.revived) this.#redirect(id, null);
    for (const { identifierId, from, to } of outcome.moved) {
      const identifier = this.identifiers.get(identifierId);
      if (identifier?.profileId !== (from ?? NO_PROFILE)) throw new Error(`${identifierId} was not in ${String(from)}`);
      this.identifiers.set(identifierId, { ...identifier, profileId: to });
    }
    return outcome;
  }

  #redirect(id: Uuid, mergedInto: Uuid | null): void {
    const profile = this.profiles.get(id);
    if (profile === undefined) throw new Error(`no profile ${id}`);
    this.profiles.set(id, { ...profile, mergedInto });
  }

  /** Profile by name of identifier. */
  standing(): Record<string, Uuid | null> {
    return Object.fromEntries([...this.identifiers.values()].map((i) => [nameOf(i), i.profileId]));
  }

  alive(): Uuid[] {
    return [...this.profiles.values()].filter((p) => p.mergedInto === null).map((p) => p.id);
  }
}

const [ANA, MAIL, COOKIE, PHONE] = ['user_id:ana', 'email:ana@x.org', 'anonymous_id:c', 'phone:+1'] as const;

describe('assigning profiles', () => {
  it('founds a profile on the identifier of highest priority among the first seen', () => {
    const register = new Register();
    const { created, moved } = register.assign([COOKIE, MAIL]);
    expect(created).toEqual([{ id: 'P1', foundingId: anIdentifier(MAIL).id, foundedPos: 1, mergedInto: null }]);
    expect(moved).toEqual([
      { identifierId: anIdentifier(MAIL).id, from: null, to: 'P1' },
      { identifierId: anIdentifier(COOKIE).id, from: null, to: 'P1' },
    ]);
  });

  it('adds newcomers to the profile that is there, whatever their priority', () => {
    const register = new Register();
    register.assign([COOKIE]);
    const { created, merged, moved } = register.assign([ANA, COOKIE]);
    expect({ created, merged }).toEqual({ created: [], merged: [] });
    expect(moved).toEqual([{ identifierId: anIdentifier(ANA).id, from: null, to: 'P1' }]);
  });

  it('lets the older profile stand after a merge, and the younger be its alias', () => {
    const register = new Register();
    register.assign([COOKIE]);
    register.assign([COOKIE], [ANA, MAIL]);
    const { merged, moved } = register.assign([COOKIE, ANA, MAIL]);
    expect(merged).toEqual([{ from: 'P2', foundingId: anIdentifier(ANA).id, into: 'P1', previously: null }]);
    expect(moved.map(({ identifierId, from, to }) => [identifierId, from, to])).toEqual([
      [anIdentifier(ANA).id, 'P2', 'P1'],
      [anIdentifier(MAIL).id, 'P2', 'P1'],
    ]);
  });

  it('gives each part its old id back when a merge turns out wrong', () => {
    const register = new Register();
    register.assign([COOKIE], [ANA, MAIL]);
    const before = register.standing();
    register.assign([COOKIE, ANA, MAIL]);
    const { created, revived } = register.assign([COOKIE], [ANA, MAIL]);
    expect(created).toEqual([]);
    expect(revived).toHaveLength(1);
    expect(register.standing()).toEqual(before);
  });

  it('founds a new, younger profile for a part that never had one', () => {
    const register = new Register();
    register.assign([ANA, MAIL, COOKIE]);
    const { created } = register.assign([ANA, MAIL], [COOKIE]);
    expect(created).toEqual([{ id: 'P2', foundingId: anIdentifier(COOKIE).id, foundedPos: 2, mergedInto: null }]);
    expect(register.assign([ANA, MAIL, COOKIE]).merged).toMatchObject([{ from: 'P2', into: 'P1', previously: null }]);
  });

  it('points aliases straight at the survivor, and tells such a turn from a merge', () => {
    const register = new Register();
    register.assign([COOKIE]);
    register.assign([COOKIE], [MAIL]);
    register.assign([COOKIE], [MAIL], [ANA]);
    register.assign([COOKIE], [MAIL, ANA]);
    expect(register.assign([COOKIE, MAIL, ANA]).merged).toMatchObject([
      { from: 'P2', into: 'P1', previously: null },
      { from: 'P3', into: 'P1', previously: 'P2' },
    ]);
  });

  it('changes nothing when nothing has changed', () => {
    const register = new Register();
    register.assign([COOKIE], [ANA, MAIL]);
    register.assign([COOKIE, ANA, MAIL]);
    const { moved, created, merged, revived } = register.assign([MAIL, COOKIE, ANA]);
    expect({ moved, created, merged, revived }).toEqual({ moved: [], created: [], merged: [], revived: [] });
  });

  it('needs to hear of changed groups only', () => {
    const [told, toldAll] = [new Register(), new Register()];
    told.assign([ANA, MAIL], [COOKIE]);
    toldAll.assign([ANA, MAIL], [COOKIE]);
    told.assign([COOKIE, PHONE]);
    toldAll.assign([ANA, MAIL], [COOKIE, PHONE]);
    expect(told.standing()).toEqual(toldAll.standing());
    expect(told.assign([ANA], [MAIL, COOKIE, PHONE])).toEqual(toldAll.assign([ANA], [MAIL, COOKIE, PHONE]));
  });
});

describe('any sequence of partitions', () => {
  const names = [ANA, MAIL, COOKIE, PHONE, 'user_id:ben', 'email:ben@x.org', 'device_id:d'];
  const partition = fc.array(fc.nat({ max: 3 }), { minLength: names.length, maxLength: names.length }).map((labels) => {
    const groups = new Map<number, string[]>();
    names.forEach((name, i) => groups.set(labels[i] ?? 0, [...(groups.get(labels[i] ?? 0) ?? []), name]));
    return [...groups.values()];
  });

  it('leads back to the old ids when it leads back to the old partition', () => {
    fc.assert(
      fc.property(partition, fc.array(partition, { minLength: 1, maxLength: 4 }), (home, journey) => {
        const register = new Register();
        register.assign(...home);
        const [before, aliveBefore] = [register.standing(), register.alive()];
        for (const stop of journey) register.assign(...stop);
        register.assign(...home);
        expect(register.standing()).toEqual(before);
        expect(register.alive()).toEqual(aliveBefore);
      }),
      { numRuns: 2_000 },
    );
  });

  it('keeps the id with the part that holds the founding identifier of the oldest', () => {
    fc.assert(
      fc.property(fc.array(partition, { minLength: 1, maxLength: 5 }), (journey) => {
        const register = new Register();
        for (const stop of journey) {
          const known = [...register.profiles.values()];
          const { moved, created } = register.assign(...stop);
          const standing = register.standing();
          for (const group of stop) {
            const ids = group.map((name) => anIdentifier(name).id);
            const [oldest] = known
              .filter((profile) => ids.includes(profile.foundingId))
              .sort((a, b) => a.foundedPos - b.foundedPos || (a.foundingId < b.foundingId ? -1 : 1));
            const expected = oldest ?? created.find((profile) => ids.includes(profile.foundingId));
            for (const name of group) expect(standing[name]).toBe(expected?.id);
          }
          for (const { from, to } of moved) expect(from).not.toBe(to);
          expect(new Set(Object.values(standing)).size).toBe(stop.length);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('does not depend on the order in which groups and profiles are handed in', () => {
    fc.assert(
      fc.property(partition, partition, (first, second) => {
        const [a, b] = [new Register(), new Register()];
        a.assign(...first);
        b.assign(...[...first].reverse().map((group) => [...group].reverse()));
        expect(b.standing()).toEqual(a.standing());
        const outcome = a.assign(...second);
        expect(b.assign(...[...second].reverse())).toEqual(outcome);
      }),
      { numRuns: 500 },
    );
  });
});
