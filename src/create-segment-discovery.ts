import type { Database } from './platform/postgres.js';
import { ModelReader } from './scoring/model.reader.js';
import type { DiscoverableModel } from './segments/plan-discovery.js';
import { SegmentDiscovery, type DiscoveryParts } from './segments/segment-discovery.service.js';

/** Segments out of the classes of models as they stand in the registry. */
export function createSegmentDiscovery(db: Database, segments: DiscoveryParts['segments']): SegmentDiscovery {
  const activeModel = async (key: string): Promise<DiscoverableModel | null> => {
    const model = (await new ModelReader(db).active()).find((each) => each.key === key);
    if (model === undefined) return null;
    const { outputs, goldenVectors } = model.manifest;
    return {
      ...{ key, version: model.version, names: outputs.label?.names ?? null },
      ...{ hasCluster: outputs.cluster !== undefined, hasLabel: outputs.label !== undefined },
      expected: goldenVectors.map(({ expected }) => expected),
    };
  };
  return new SegmentDiscovery({ db, segments, activeModel });
}
