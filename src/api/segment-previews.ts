import { WeftError } from '../platform/errors.js';
import type { SegmentPreview } from '../segments/segment-preview.model.js';
import type { PreviewAsk, SegmentPreviews } from '../segments/segment-preview.service.js';

const MAX_AT_ONCE = 2;
const TIME_LIMIT_MS = 20_000;
const MAX_PROFILES = 20_000;

type Ask = Omit<PreviewAsk, 'timeLimitMs' | 'maxProfiles'> & { readonly maxProfiles: number };

/** Previews that are answered at once: of a sample, two at a time, for at most 20 s each, in steps of a few ms. */
export class BoundedSegmentPreviews {
  readonly #previews: Pick<SegmentPreviews, 'preview'>;
  #running = 0;

  constructor(previews: Pick<SegmentPreviews, 'preview'>) {
    this.#previews = previews;
  }

  /** @throws WeftError as {@link SegmentPreviews.preview}, and OVERLOADED */
  async preview(ask: Ask): Promise<SegmentPreview> {
    if (ask.maxProfiles > MAX_PROFILES) {
      throw new WeftError('BAD_REQUEST', `at most ${String(MAX_PROFILES)} profiles are looked at at once`, {
        where: 'maxProfiles',
        hint: 'weft segment preview looks at all of them',
      });
    }
    if (this.#running >= MAX_AT_ONCE) {
      throw new WeftError('OVERLOADED', 'segments are being previewed for others', { retryAfterMs: 5_000 });
    }
    this.#running++;
    try {
      return await this.#previews.preview({ ...ask, timeLimitMs: TIME_LIMIT_MS });
    } finally {
      this.#running--;
    }
  }
}
