import type { Readable } from 'node:stream';

import { openLoadFile } from '../load-file.js';
import { parseMapping } from '../parse-mapping.js';
import { draftMapping } from './draft-mapping.js';
import { readSample } from './read-sample.js';
import { notesOf, writeDraft } from './write-draft.js';

export interface InferredMapping {
  /** YAML with comments. It is a valid mapping of the file. */
  readonly text: string;
  /** What to look at before it is used. */
  readonly notes: readonly string[];
}

/**
 * Drafts a mapping for a file from a sample of its rows; nothing is loaded and no database is needed.
 * @param path `-` is standard input
 * @throws WeftError BAD_REQUEST where it cannot be read, is empty or nothing that can be loaded
 */
export async function inferMapping(path: string, stdin: Readable): Promise<InferredMapping> {
  const file = await openLoadFile(path, stdin);
  try {
    const draft = draftMapping(await readSample(file.handle), file.name);
    const text = writeDraft(draft);
    parseMapping(text, 'the drafted mapping');
    return { text, notes: notesOf(draft) };
  } finally {
    await file.handle.close();
  }
}
