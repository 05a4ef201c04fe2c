import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PromotionTally, type JudgedProfile } from './promotion-tally.js';

function aProfile(more: Partial<JudgedProfile> = {}): JudgedProfile {
  const answer = { score: null, class: null };
  return {
    before: answer,
    after: answer,
    isUnanswered: false,
    inBefore: [false],
    inAfter: [false],
    group: null,
    ...more,
  };
}

function tallyOf(profiles: readonly JudgedProfile[], trait: string | null = null) {
  const tally = new PromotionTally(['keen'], trait);
  for (const profile of profiles) tally.add(profile);
  return tally.finish();
}

const many = <T>(count: number, of: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => of(i));

describe('what a promotion would change', () => {
  it('is nothing where both versions say the same', () => {
    const scored = many(100, (i) => {
      const answer = { score: i / 100, class: i < 50 ? 'low' : 'high' };
      return aProfile({ before: answer, after: answer, inBefore: [i > 90], inAfter: [i > 90] });
    });
    const { segments, scores, classes, impacts } = tallyOf(scored);
    expect(segments).toEqual([{ key: 'keen', before: 9, after: 9, entering: 0, leaving: 0, churn: 0 }]);
    expect(scores).toMatchObject({ psi: 0, meanDifference: 0 });
    expect(scores?.correlation).toBeCloseTo(1, 12);
    expect(scores?.bins.map(({ before }) => before)).toEqual(many(10, () => 10));
    expect(classes).toMatchObject({ psi: 0, agreement: 1 });
    expect(impacts).toEqual([]);
  });

  it('counts who enters and leaves, as a share of all who are in it before or after', () => {
    const { segments } = tallyOf([
      aProfile({ inBefore: [true], inAfter: [true] }),
      aProfile({ inBefore: [true] }),
      aProfile({ inAfter: [true] }),
      aProfile({ inAfter: [true] }),
      aProfile(),
    ]);
    expect(segments).toEqual([{ key: 'keen', before: 2, after: 3, entering: 2, leaving: 1, churn: 0.75 }]);
  });

  it('tells by the population stability index how far scores and classes have shifted', () => {
    // 50 of 100 are in each class before, and 75 and 25 after: (0.75 − 0.5) ln(0.75 / 0.5) + (0.25 − 0.5) ln(0.25 / 0.5).
    const expected = 0.25 * Math.log(1.5) - 0.25 * Math.log(0.5);
    const { classes, scores } = tallyOf(
      many(100, (i) =>
        aProfile({
          before: { score: i < 50 ? 0 : 1, class: i < 50 ? 'a' : 'b' },
          after: { score: i < 75 ? 0 : 1, class: i < 75 ? 'a' : 'b' },
        }),
      ),
    );
    expect(classes?.psi).toBeCloseTo(expected, 12);
    expect(classes?.agreement).toBe(0.75);
    expect(classes?.moves).toEqual([
      { before: 'a', after: 'a', profiles: 50 },
      { before: 'b', after: 'a', profiles: 25 },
      { before: 'b', after: 'b', profiles: 25 },
    ]);
    expect(scores?.psi).toBeCloseTo(expected, 12);
  });

  it('tells groups that only got other names from groups that are others', () => {
    const shifted = (after: (i: number) => string) =>
      tallyOf(
        many(100, (i) =>
          aProfile({ before: { score: null, class: i < 50 ? 'a' : 'b' }, after: { score: null, class: after(i) } }),
        ),
      ).classes;
    expect(shifted((i) => (i < 50 ? 'b' : 'c'))).toMatchObject({ agreement: 0, adjustedRand: 1 });
    expect(shifted((i) => (i % 2 === 0 ? 'a' : 'b'))?.adjustedRand).toBeCloseTo(-0.01, 3);
  });

  it('compares the rates of groups by four fifths, and tells nothing of small ones', () => {
    // 48 of 80 and 12 of 40: rates of 60 and 30 per cent, a ratio of one half.
    const selected = (group: string, people: number, chosen: number): JudgedProfile[] =>
      many(people, (i) => aProfile({ group, inBefore: [false], inAfter: [i < chosen] }));
    const { impacts } = tallyOf(
      [
        ...selected('m', 80, 48),
        ...selected('f', 40, 12),
        ...selected('x', 29, 0),
        ...selected('ann@example.org', 30, 30),
        aProfile(),
      ],
      'gender',
    );
    expect(impacts).toEqual([
      {
        ...{ segment: 'keen', trait: 'gender', unknown: 60, leastBefore: null, leastAfter: 0.5 },
        tooSmall: { groups: 1, people: 29 },
        groups: [
          { value: 'm', people: 80, rateBefore: 0, rateAfter: 0.6, ratioBefore: null, ratioAfter: 1 },
          { value: 'f', people: 40, rateBefore: 0, rateAfter: 0.3, ratioBefore: null, ratioAfter: 0.5 },
        ],
      },
    ]);
  });

  it('lets few people neither raise a verdict nor hide one, nor be the measure of others', () => {
    const selected = (group: string, people: number, chosen: number): JudgedProfile[] =>
      many(people, (i) => aProfile({ group, inAfter: [i < chosen] }));
    const judged = (...people: readonly JudgedProfile[][]) => {
      const [impact] = tallyOf(people.flat(), 'gender').impacts;
      return [impact?.leastAfter ?? null, impact?.groups.map(({ ratioAfter }) => ratioAfter)] as const;
    };
    // 4 of 40 is twice the rate of all others, by four people; nobody of 60 is what would be 3 people at 5 %.
    expect(judged(selected('a', 1000, 50), selected('b', 900, 45), selected('x', 40, 4))).toEqual([1, [1, 1, null]]);
    expect(judged(selected('a', 1000, 50), selected('b', 900, 45), selected('x', 60, 0))).toEqual([1, [1, 1, null]]);
    // Nobody of 100 is what would be 5 people; and few others do not take that back.
    expect(judged(selected('a', 1000, 50), selected('f', 100, 0))).toEqual([0, [1, 0]]);
    expect(judged(selected('a', 1000, 50), selected('f', 100, 0), selected('x', 40, 4))).toEqual([0, [1, 0, null]]);
    expect(judged(selected('a', 1000, 4), selected('b', 1000, 0))).toEqual([null, [null, null]]);
    expect(judged(selected('a', 1000, 50), selected('x', 29, 0))).toEqual([null, [1]]);
  });

  it('gives no verdict by fewer people than it states, whatever the groups', () => {
    const aGroup = fc.tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 0, max: 200 }));
    fc.assert(
      fc.property(fc.array(aGroup, { maxLength: 5 }), (groups) => {
        const people = groups.flatMap(([size, chosen], at) =>
          many(size, (i) => aProfile({ group: `g${String(at)}`, inAfter: [i < chosen] })),
        );
        const told = groups
          .map(([size, chosen]) => ({ size, chosen: Math.min(size, chosen) }))
          .filter(({ size }) => size >= 30);
        // Fractions held against each other by whole numbers.
        const best = told
          .filter(({ chosen }) => chosen >= 5)
          .reduce((most, each) => (each.chosen * most.size > most.chosen * each.size ? each : most), {
            size: 1,
            chosen: 0,
          });
        const judged = told.filter(({ size }) => best.chosen > 0 && size * best.chosen >= 5 * best.size);
        const ratios = judged.map(({ size, chosen }) => (chosen * best.size) / (size * best.chosen));
        const [impact] = tallyOf(people, 'gender').impacts;
        const least = ratios.length < 2 ? null : Math.min(...ratios);
        if (least === null) expect(impact?.leastAfter ?? null).toBeNull();
        else expect(impact?.leastAfter).toBeCloseTo(least, 9);
      }),
    );
  });
});
