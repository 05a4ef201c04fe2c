import type { JobKind, JobResult, JobRun, JobSettings } from './schedules/schedule.model.js';
import type { PreviewJobAsk, SegmentPreviews } from './segments/segment-preview.service.js';
import { PREVIEW_ONCE_JOB, type KeptPreview } from './segments/segment-jobs.model.js';

/**
 * Says who would be in a segment, as `weft segment preview` does, by a worker and for as long as it takes. One that was
 * broken off begins anew: nothing is written before the end.
 */
export class PreviewJobKind implements JobKind {
  readonly kind = PREVIEW_ONCE_JOB;

  constructor(
    private readonly previews: Pick<SegmentPreviews, 'check' | 'preview'>,
    private readonly now: () => number,
  ) {}

  describe(job: JobSettings): string {
    const { segment, fromMs } = job as unknown as PreviewJobAsk;
    const what = 'key' in segment ? `segment ${segment.key}` : 'a condition';
    return fromMs === null ? `preview ${what}` : `preview ${what} over a span of the past`;
  }

  /** @throws WeftError BAD_REQUEST, NOT_FOUND, EXPRESSION_INVALID */
  async prepare(request: JobSettings): Promise<JobSettings> {
    await this.previews.check(request as unknown as PreviewJobAsk);
    return request;
  }

  async run(job: JobSettings, { dueAt, signal, report }: JobRun): Promise<JobResult> {
    const ask = job as unknown as PreviewJobAsk;
    // As of when it was asked for, in each attempt; clocks of two processes differ a little.
    const toMs = ask.toMs ?? Math.min(dueAt, this.now());
    const { sample: _nobody, ...kept } = await this.previews.preview({
      ...{ ...ask, toMs, signal },
      onProgress: (done, total) => {
        report({ done, total });
      },
    });
    const note = `${kept.size.toLocaleString('en-US')} of ${kept.profilesSeen.toLocaleString('en-US')} people`;
    return { isDone: true, note, result: { ...(kept satisfies KeptPreview) } };
  }
}
