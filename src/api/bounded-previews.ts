import { WeftError } from '../platform/errors.js';

const MAX_AT_ONCE = 2;
const TIME_LIMIT_MS = 20_000;
const MAX_PROFILES = 20_000;

interface SampleAsk {
  /** Null: all. */
  readonly maxProfiles: number | null;
  readonly timeLimitMs?: number;
}

interface Previewer<Ask extends SampleAsk, Answer> {
  preview(ask: Ask): Promise<Answer>;
}

type OfSample<Ask extends SampleAsk> = Omit<Ask, 'timeLimitMs' | 'maxProfiles'> & { readonly maxProfiles: number };

/** As many profiles as a request may ask about. */
export interface Previewed<Ask extends SampleAsk, Answer> {
  preview(ask: OfSample<Ask>): Promise<Answer>;
}

/** Previews that are answered at once: of a sample, two at a time, for at most 20 s each, in steps of a few ms. */
export class BoundedPreviews<Ask extends SampleAsk, Answer> implements Previewed<Ask, Answer> {
  readonly #previews: Previewer<Ask, Answer>;
  readonly #words: { readonly what: string; readonly command: string };
  #running = 0;

  /** @param words what is previewed, as `segments`, and the command that looks at all profiles */
  constructor(previews: Previewer<Ask, Answer>, words: { readonly what: string; readonly command: string }) {
    this.#previews = previews;
    this.#words = words;
  }

  /** @throws WeftError as the preview, and OVERLOADED */
  async preview(ask: OfSample<Ask>): Promise<Answer> {
    const { what, command } = this.#words;
    if (ask.maxProfiles > MAX_PROFILES) {
      throw new WeftError('BAD_REQUEST', `at most ${String(MAX_PROFILES)} profiles are looked at at once`, {
        where: 'maxProfiles',
        hint: `${command} looks at all of them`,
      });
    }
    if (ask.maxProfiles < 1) {
      throw new WeftError('BAD_REQUEST', 'not even one profile is asked about', {
        where: 'maxProfiles',
        hint: 'give at least 1',
      });
    }
    if (this.#running >= MAX_AT_ONCE) {
      throw new WeftError('OVERLOADED', `${what} are being previewed for others`, { retryAfterMs: 5_000 });
    }
    this.#running++;
    try {
      return await this.#previews.preview({ ...ask, timeLimitMs: TIME_LIMIT_MS } as unknown as Ask);
    } finally {
      this.#running--;
    }
  }
}
