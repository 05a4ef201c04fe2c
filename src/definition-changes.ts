import { FeatureReader } from './features/feature.reader.js';
import { FeatureStore } from './features/feature.store.js';
import { FeatureDefinitionService } from './features/feature.service.js';
import { streamsOf } from './features/stream.model.js';
import type { Clock } from './platform/clock.js';
import type { Database, Transaction } from './platform/postgres.js';
import { ModelReader } from './scoring/model.reader.js';
import { SegmentService } from './segments/segment.service.js';

/** The services through which definitions change, tied so that each change is one version of the whole. */
export interface DefinitionServices {
  readonly features: FeatureDefinitionService;
  readonly segments: SegmentService;
}

export function createDefinitionServices(db: Database, clock: Clock): DefinitionServices {
  const store = new FeatureStore();
  const definedFeatures = async (tx: Transaction) =>
    (await new FeatureReader(tx).views()).flatMap((view) => view.features);
  const changed = async (tx: Transaction): Promise<void> => {
    const features = [...(await definedFeatures(tx)), ...(await segments.inlineFeatures(tx))];
    await store.syncStreams(
      tx,
      streamsOf(features).map((stream) => stream.key),
      clock.now(),
    );
    await store.touchDefinitions(tx);
  };
  const segments = new SegmentService(db, clock, {
    lock: (tx) => store.lockDefinitions(tx),
    features: async (tx) => new Map((await definedFeatures(tx)).map((feature) => [feature.name, feature.type])),
    models: async (tx) => new Set((await new ModelReader(tx).active()).map((model) => model.key)),
    changed,
  });
  const features = new FeatureDefinitionService(db, clock, { uses: (tx) => segments.featureUses(tx), changed });
  return { features, segments };
}
