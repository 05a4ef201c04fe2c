import type { StoredSegment } from '../../segments/segment.reader.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import type { ApiServices } from '../api-services.js';
import type { DefinitionsIndex } from './definitions-index.js';

/** What all reads of one request have in common. */
export interface ReadScope {
  readonly services: ApiServices;
  readonly definitions: ApiDefinitions;
  readonly index: DefinitionsIndex;
  /** Whether every profile was evaluated with these definitions. */
  readonly isSwept: boolean;
  /** The instant of the request, ms. */
  readonly nowMs: number;
  /** The segment with this key, at once unless it has to be looked up. @throws WeftError NOT_FOUND */
  segment(key: string): StoredSegment | Promise<StoredSegment>;
  /** Counts a list that costs a statement of its own. @throws WeftError BAD_REQUEST past the bound */
  countSingleRead(what: string): void;
  /** @throws WeftError BAD_REQUEST past the bound */
  countFeatureValues(count: number): void;
}
