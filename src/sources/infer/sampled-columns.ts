import type { FileHandle } from 'node:fs/promises';

import { WeftError } from '../../platform/errors.js';
import type { SampledColumn } from '../load.model.js';
import { profileColumn } from './infer-column.js';
import { readSample } from './read-sample.js';

/** Columns of a file from a sample. Of one that no mapping would be drafted from, none: its own may know better. */
export async function sampledColumns(file: FileHandle): Promise<SampledColumn[]> {
  try {
    const sample = await readSample(file);
    return sample.columns.map((name) => {
      const { type, time, distinct, filled, rows } = profileColumn(name, sample);
      return { name, type: time === null ? type : 'time', distinct, emptyShare: rows === 0 ? 0 : 1 - filled / rows };
    });
  } catch (error) {
    if (error instanceof WeftError) return [];
    throw error;
  }
}
