import { streamsOf } from '../features/stream.model.js';
import type { FeatureDefinition } from '../features/feature.model.js';
import type { ApiDefinitions } from './api-definitions.model.js';

/**
 * Which features every stored profile has in full. One that is new, or means something else, has its history folded in
 * first, and then everybody is written anew; until that is done, a profile may have a part of it, or nothing.
 *
 * What is in force when the process starts counts as settled as soon as history is folded in: whether all were written
 * before it started is not to be told.
 */
export class SettledFeatures {
  #streams: Set<string> | null = null;

  /** @param isSwept whether everybody was written with these very definitions */
  observe(definitions: ApiDefinitions, isSwept: boolean): void {
    const isFirst = this.#streams === null;
    const streams = (this.#streams ??= new Set());
    if (!isFirst && !isSwept) return;
    for (const [index, definition] of definitions.features.definitions.entries()) {
      if (!definitions.isReady(index)) continue;
      for (const { key } of streamsOf([definition])) streams.add(key);
    }
  }

  /** All that it reads, if it is computed from others. Once true, true for good. */
  has(definition: FeatureDefinition): boolean {
    const streams = this.#streams;
    return streams !== null && streamsOf([definition]).every(({ key }) => streams.has(key));
  }
}
