import type { IdentifierPolicy } from '../events/event.model.js';
import { knownIds } from '../identity/identifier-forms.model.js';
import type { IdentityHistoryReader } from '../identity/identity-history.reader.js';
import { WeftError } from '../platform/errors.js';
import type { Database } from '../platform/postgres.js';
import { chunksOf } from './chunks-of.js';
import { personOf, ProfileSplitter, TimeSplitter, type Splitter, type SplitSpec } from './split.model.js';
import type { LabelRow } from './training-set.model.js';

interface PlanSplitParts {
  readonly db: Database;
  readonly policy: IdentifierPolicy;
  readonly identity: IdentityHistoryReader;
}

interface SplitAsk {
  readonly labels: AsyncIterable<LabelRow> | Iterable<LabelRow>;
  /** Index of the cell that is the label; -1: there is none. */
  readonly labelCell: number;
  readonly spec: SplitSpec;
  readonly signal?: AbortSignal;
}

const CHUNK_ROWS = 5_000;
/** Of whom it is held in memory which part they are in: some hundred bytes each. */
const MAX_PEOPLE = 5_000_000;

/** Looks at all rows, and for a split by profile at whom they are about now. @throws WeftError PAYLOAD_TOO_LARGE */
export async function planSplit(
  { db, policy, identity }: PlanSplitParts,
  { labels, labelCell, spec, signal }: SplitAsk,
): Promise<Splitter> {
  if (spec.by === 'time') {
    const times = new TimeSplitter(spec);
    for await (const { timeMs } of labels) times.add({ timeMs, person: '' });
    return times.finish();
  }
  const people = new ProfileSplitter(spec);
  for await (const chunk of chunksOf(labels, CHUNK_ROWS)) {
    signal?.throwIfAborted();
    const forms = chunk.map((label) => knownIds(policy, label));
    const profiles = await identity.profilesOf(db, forms.flat());
    chunk.forEach(({ ns, value, timeMs, cells }, i) => {
      const known = forms[i]?.find((id) => profiles.has(id));
      const profileId = known === undefined ? null : (profiles.get(known) ?? null);
      people.add({ timeMs, person: personOf(profileId, ns, value) }, cells[labelCell] ?? null);
    });
    if (people.people > MAX_PEOPLE) {
      throw new WeftError('PAYLOAD_TOO_LARGE', `there are more than ${String(MAX_PEOPLE)} people to part`, {
        where: 'split',
        hint: 'split by time, or take labels of a sample of them',
      });
    }
  }
  return people.finish();
}
