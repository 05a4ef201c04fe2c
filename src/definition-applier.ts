import type { DefinitionServices } from './definition-changes.js';
import { parseDefinitionFiles, type DefinedInFiles, type DefinitionText } from './definition-files.js';
import type { FeatureDefinition, FeatureView } from './features/feature.model.js';
import { FeatureReader } from './features/feature.reader.js';
import type { ApplyPlan } from './features/feature.service.js';
import { streamsOf } from './features/stream.model.js';
import type { Database } from './platform/postgres.js';
import { ModelReader } from './scoring/model.reader.js';
import { SegmentFileService, type SegmentPlan } from './segments/segment-file.service.js';

export interface DefinitionPlan {
  /** Null: the files are not about that. */
  readonly features: ApplyPlan | null;
  readonly segments: SegmentPlan | null;
  /** Streams that history has to be folded into, before features and segments that read them are complete. */
  readonly newStreams: number;
  readonly isEmpty: boolean;
  readonly defined: DefinedInFiles;
  readonly prune: boolean;
}

/** Applies files of features and segments together: all is checked before anything is written. */
export class DefinitionApplier {
  readonly #db: Database;
  readonly #services: DefinitionServices;
  readonly #segmentFiles: SegmentFileService;

  constructor(db: Database, services: DefinitionServices) {
    this.#db = db;
    this.#services = services;
    this.#segmentFiles = new SegmentFileService(db, services.segments);
  }

  /**
   * What applying would do. Pruning removes what the files leave out, features only where the files define features and
   * segments only where they define segments.
   * @throws WeftError DEFINITION_INVALID, EXPRESSION_INVALID
   */
  async plan(files: readonly DefinitionText[], prune: boolean): Promise<DefinitionPlan> {
    const reader = new FeatureReader(this.#db);
    const standing = await reader.views();
    const defined = parseDefinitionFiles(files, prune ? [] : featuresOf(standing).map((feature) => feature.name));
    const features =
      defined.features === null ? null : await this.#services.features.apply(defined.features, { dryRun: true, prune });
    const after = featuresAfter(standing, defined.features?.views ?? [], prune && defined.features !== null);
    const models = await new ModelReader(this.#db).active();
    // Standing segments count, too, for the streams that they need and for what they refer to.
    const segments = await this.#segmentFiles.plan(defined.segments ?? [], {
      features: new Map(after.map((feature) => [feature.name, feature.type])),
      models: new Set(models.map((model) => model.key)),
      prune: prune && defined.segments !== null,
    });
    const known = await reader.streamIds();
    const streams = streamsOf([...after, ...segments.inlineFeatures]);
    const changes = features === null ? 0 : features.added.length + features.changed.length + features.removed.length;
    return {
      features,
      segments: defined.segments === null ? null : segments,
      newStreams: streams.filter((stream) => !known.has(stream.key)).length,
      isEmpty: changes + segments.steps.length === 0,
      defined,
      prune,
    };
  }

  /**
   * Features are applied at once, then segments one after the other. What is done when one fails stays done; applying
   * the same files again goes on from there.
   */
  async apply({ defined, segments, prune }: DefinitionPlan): Promise<void> {
    if (defined.features !== null) await this.#services.features.apply(defined.features, { prune });
    if (segments !== null) await this.#segmentFiles.apply(segments);
  }
}

function featuresOf(views: readonly Pick<FeatureView, 'features'>[]): FeatureDefinition[] {
  return views.flatMap((view) => view.features);
}

function featuresAfter(
  standing: readonly FeatureView[],
  given: readonly FeatureView[],
  prune: boolean,
): FeatureDefinition[] {
  const replaced = new Set(given.map((view) => view.name));
  const kept = prune ? [] : standing.filter((view) => !replaced.has(view.name));
  return featuresOf([...kept, ...given]);
}
