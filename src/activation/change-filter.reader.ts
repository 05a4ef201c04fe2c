import { WeftError } from '../platform/errors.js';
import { isUuid } from '../platform/ids.js';
import { nameHint } from '../platform/near-names.js';
import type { Queryable } from '../platform/postgres.js';
import { ProfileReader } from '../profiles/profile.reader.js';
import { unknownPurpose } from '../profiles/purpose.model.js';
import { PurposeReader } from '../profiles/purpose.reader.js';
import type { StoredSegment } from '../segments/segment.reader.js';
import { SegmentReader } from '../segments/segment.reader.js';
import type { ChangeFilter } from './change-feed.reader.js';
import { CHANGE_FILTER_LIMITS, wantedCauses, type ChangeFilterSpec } from './change-filter.model.js';

/** Finds what filters that are kept as text mean now: keys become ids, a profile all ids that it has had. */
export class ChangeFilterReader {
  readonly #db: Queryable;
  readonly #profiles = new ProfileReader();

  constructor(db: Queryable) {
    this.#db = db;
  }

  /**
   * @throws WeftError NOT_FOUND (a segment, the profile), BAD_REQUEST (a list that is empty or too long, a purpose that
   *   there is not, a segment whose members need not allow the purposes)
   */
  async resolve(spec: ChangeFilterSpec): Promise<ChangeFilter> {
    const causes = wantedCauses(spec);
    if (causes?.length === 0) {
      throw new WeftError('BAD_REQUEST', 'no cause is left', {
        where: 'causes',
        hint: 'name a cause that is not among exceptCauses, or leave one of the two out',
      });
    }
    const segmentIds = await this.#segmentIds(spec);
    const profileIds = spec.profileId === null ? undefined : await this.#idsOf(spec.profileId);
    return {
      ...(segmentIds === undefined ? {} : { segmentIds }),
      ...(profileIds === undefined ? {} : { profileIds }),
      ...(spec.kind === null ? {} : { kinds: [spec.kind] }),
      ...(causes === undefined ? {} : { causes }),
    };
  }

  async #segmentIds({ segments, purposes }: ChangeFilterSpec): Promise<number[] | undefined> {
    await this.#checkPurposes(purposes);
    const reader = new SegmentReader(this.#db);
    if (segments === null) {
      if (purposes.length === 0) return undefined;
      const fit = (await reader.all()).filter((segment) => needsAll(segment, purposes));
      if (fit.length > 0) return fit.map(({ id }) => id);
      throw new WeftError('BAD_REQUEST', `there is no segment whose members have to allow ${purposes.join(', ')}`, {
        where: 'purposes',
        hint: `let one need them by purposes: [${purposes.join(', ')}] in its definition`,
      });
    }
    const { maxSegments } = CHANGE_FILTER_LIMITS;
    if (segments.length === 0 || segments.length > maxSegments) {
      throw new WeftError('BAD_REQUEST', `a list of segments has 1 to ${String(maxSegments)} keys`, {
        where: 'segments',
        hint: 'leave it out for all segments',
      });
    }
    const found = await reader.byKeys(segments);
    const missing = segments.find((key) => !found.some((segment) => segment.key === key));
    if (missing !== undefined) {
      const known = (await reader.standing()).map(({ key }) => key);
      throw new WeftError('NOT_FOUND', `there is no segment ${missing.slice(0, 100)}`, {
        where: 'segments',
        hint: nameHint(missing, known, 'weft segment list shows all of them'),
      });
    }
    const other = found.find((segment) => !needsAll(segment, purposes));
    if (other === undefined) return found.map(({ id }) => id);
    throw new WeftError('BAD_REQUEST', `the members of segment ${other.key} need not allow ${purposes.join(', ')}`, {
      where: 'segments',
      hint: `let it need them by purposes: [${purposes.join(', ')}] in its definition`,
    });
  }

  async #checkPurposes(purposes: readonly string[]): Promise<void> {
    if (purposes.length === 0) return;
    if (purposes.length > CHANGE_FILTER_LIMITS.maxPurposes) {
      const hint = `name at most ${String(CHANGE_FILTER_LIMITS.maxPurposes)}`;
      throw new WeftError('BAD_REQUEST', 'too many purposes are named', { where: 'purposes', hint });
    }
    const known = new Set((await new PurposeReader(this.#db).all()).map(({ key }) => key));
    const unknown = unknownPurpose(purposes, known);
    if (unknown !== null)
      throw new WeftError('BAD_REQUEST', unknown.message, { where: 'purposes', hint: unknown.hint });
  }

  async #idsOf(profileId: string): Promise<string[]> {
    const ids = isUuid(profileId) ? await this.#profiles.allIdsOf(this.#db, profileId) : [];
    if (ids.length > 0) return ids;
    throw new WeftError('NOT_FOUND', 'there is no such profile', {
      where: 'profile',
      hint: 'ask for it by identifier',
    });
  }
}

/** By the version that decides, else by the one that was written last, as of an archived segment. */
function needsAll({ activeRule, purposes }: StoredSegment, needed: readonly string[]): boolean {
  const own = activeRule?.purposes ?? purposes;
  return needed.every((purpose) => own.includes(purpose));
}
