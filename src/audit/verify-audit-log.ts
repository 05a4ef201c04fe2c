import { chainHash, GENESIS, parsePlace, placeText, type StoredAuditEntry } from './audit-entry.model.js';
import type { AuditLogReader } from './audit-log.reader.js';

/** What a check of the chain came to. */
export interface AuditVerdict {
  /** Entries that are as they were written. */
  readonly verified: number;
  /** Of those, how many were chained without a secret, so that whoever can write to the database could forge them. */
  readonly unkeyed: number;
  /** Seq of the first one that is there; null: there is none. */
  readonly first: number | null;
  /** The place of the last one, to be noted outside the database; null for an empty log. */
  readonly head: string | null;
  /** What is wrong, and where; null: nothing. */
  readonly problem: string | null;
}

const PAGE = 1_000;

/** Follows the chain, entry by entry. Pure; one instance a check. */
export class ChainVerifier {
  #before: Buffer;
  #seq: number;
  #hasKeyed = false;
  verified = 0;
  unkeyed = 0;

  /**
   * @param key null where the installation has no secret
   * @param start what the chain goes on behind
   */
  constructor(
    private readonly key: Buffer | null,
    start: { readonly seq: number; readonly hash: Buffer },
  ) {
    this.#seq = start.seq;
    this.#before = start.hash;
  }

  get place(): { readonly seq: number; readonly hash: Buffer } {
    return { seq: this.#seq, hash: this.#before };
  }

  /** What is wrong with the next entry; null: nothing. */
  check(entry: StoredAuditEntry): string | null {
    const at = `entry ${String(entry.seq)}`;
    if (entry.seq !== this.#seq + 1) return `entries ${String(this.#seq + 1)} to ${String(entry.seq - 1)} are missing`;
    if (!entry.isKeyed && this.#hasKeyed) return `${at} was written without the secret`;
    if (entry.isKeyed && this.key === null) return `${at} cannot be checked without the secret of the installation`;
    const hash = chainHash(entry.isKeyed ? this.key : null, this.#before, entry);
    if (!hash.equals(entry.hash)) return `${at} is not as it was written, or not what came after the one before it`;
    this.#hasKeyed ||= entry.isKeyed;
    this.#seq = entry.seq;
    this.#before = hash;
    this.verified += 1;
    if (!entry.isKeyed) this.unkeyed += 1;
    return null;
  }
}

export interface VerifyOptions {
  /** A place that was noted before, as `head` of an earlier verdict: has to be on the chain. */
  readonly noted?: string | undefined;
  readonly onProgress?: ((verified: number) => void) | undefined;
}

/**
 * Whether the log is as it was written, from its first entry to its last. That the newest entries were cut off together
 * with the note of the head shows only by a place that was noted elsewhere.
 */
export async function verifyAuditLog(
  reader: Pick<AuditLogReader, 'following' | 'head' | 'lastExpiry'>,
  key: Buffer | null,
  { noted, onProgress }: VerifyOptions = {},
): Promise<AuditVerdict> {
  const head = await reader.head();
  const expiry = await reader.lastExpiry();
  const start = startAfter(expiry);
  const verifier = new ChainVerifier(key, start);
  const wanted = noted === undefined ? null : parsePlace(noted);
  let problem: string | null = null;
  let isNotedSeen = wanted === null || wanted.seq <= start.seq;
  let first: number | null = null;
  for (let isWhole = false; !isWhole && problem === null;) {
    const page = await reader.following(verifier.place.seq, PAGE);
    // What was appended since the head was read is another check's.
    isWhole = page.length < PAGE;
    for (const entry of page.filter(({ seq }) => seq <= head.seq)) {
      first ??= entry.seq;
      problem = verifier.check(entry);
      if (problem !== null) break;
      if (wanted?.seq === entry.seq) {
        isNotedSeen = entry.hash.equals(wanted.hash);
        if (!isNotedSeen) problem = `entry ${String(entry.seq)} is not the one that was noted`;
      }
    }
    onProgress?.(verifier.verified);
  }
  const { place } = verifier;
  if (problem === null && (place.seq !== head.seq || !place.hash.equals(head.hash))) {
    problem = `the last entry is not ${String(head.seq)}, as it was when it was written: entries at the end are missing`;
  }
  if (problem === null && !isNotedSeen) problem = `entry ${String(wanted?.seq)}, which was noted, is missing`;
  // The retention took what was about to be looked at.
  if (problem !== null && (await reader.lastExpiry())?.seq !== expiry?.seq) {
    return verifyAuditLog(reader, key, { noted, onProgress });
  }
  const { verified, unkeyed } = verifier;
  return { verified, unkeyed, first, head: verified === 0 ? null : placeText(place), problem };
}

/** Where the chain begins: at the first entry, or behind those that the retention took, as it said itself. */
function startAfter(expiry: StoredAuditEntry | null): { seq: number; hash: Buffer } {
  const [seq, hash] = (expiry?.targets ?? []).map((target) => target.slice(target.indexOf(':') + 1));
  return parsePlace(`${seq ?? ''}:${hash ?? ''}`) ?? { seq: 0, hash: GENESIS };
}
