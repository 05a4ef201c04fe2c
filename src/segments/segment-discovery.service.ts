import { WeftError } from '../platform/errors.js';
import type { Database } from '../platform/postgres.js';
import { planDiscovery, type DiscoverableModel, type Discovery, type DiscoveryAsk } from './plan-discovery.js';
import { SegmentReader } from './segment.reader.js';
import type { SegmentService } from './segment.service.js';

export interface DiscoveryParts {
  readonly db: Database;
  readonly segments: Pick<SegmentService, 'createAll'>;
  /** The active version of a model; null: it has none. */
  readonly activeModel: (key: string) => Promise<DiscoverableModel | null>;
}

/** Segments out of the classes that a model puts people into: one for each. */
export class SegmentDiscovery {
  constructor(private readonly parts: DiscoveryParts) {}

  /**
   * What would be made. Writes nothing.
   * @throws WeftError NOT_FOUND if no version of the model is active, and as {@link planDiscovery}
   */
  async plan(ask: DiscoveryAsk): Promise<Discovery> {
    const model = await this.parts.activeModel(ask.model);
    if (model === null) {
      throw new WeftError('NOT_FOUND', `no version of model ${ask.model.slice(0, 100)} is active`, {
        where: 'model',
        hint: 'weft model list shows the models, weft model promote makes a version active',
      });
    }
    return planDiscovery(model, ask, await new SegmentReader(this.parts.db).all());
  }

  /**
   * Makes the segments that lack, all or none. Those that are there stay as they are, also in their names.
   * @param activate whether those that are made decide at once, or are drafts
   * @throws WeftError as {@link plan}, DEFINITION_INVALID where there is no room for as many segments
   */
  async discover(ask: DiscoveryAsk, by: string | null, activate: boolean): Promise<Discovery> {
    const plan = await this.plan(ask);
    const drafts = plan.classes.filter(({ standing }) => standing === null).map(({ draft }) => draft);
    if (drafts.length > 0) await this.parts.segments.createAll(drafts, by, activate);
    return plan;
  }
}
