import type { FeatureType, Imputations } from '../features/feature.model.js';
import { goldenRow } from './bind-features.js';
import { checkFeatures, checkFills, checkGolden, checkGraph } from './check-model.js';
import { LoadedModel } from './loaded-model.js';
import type { ModelManifest } from './model-manifest.model.js';
import { OnnxSession } from './onnx-session.js';
import { modelInvalid } from './parse-manifest.js';

/** What the registry of features says; handed in by the composition root. */
export interface FeatureCatalog {
  /** Undefined: there is no such feature. */
  typeOf(feature: string): FeatureType | undefined;
  /** What a feature reads of a request and has no default for, as `amount`; undefined: nothing. */
  neededFieldOf(feature: string): string | undefined;
  /** The features of a registered service, in order; undefined: there is no such service. */
  serviceFeatures(service: string): readonly string[] | undefined;
  /** What a registered service says stands for missing values; undefined: nothing, or there is no such service. */
  imputationsOf(service: string): Imputations | undefined;
}

/**
 * Loads the bytes, compares them with the manifest and the features, and asks the golden vectors through the binding.
 * @throws WeftError MODEL_INVALID
 */
export async function verifyModel(bytes: Uint8Array, manifest: ModelManifest, catalog: FeatureCatalog): Promise<void> {
  const session = await OnnxSession.load(bytes);
  try {
    const problems = [
      ...checkFills(manifest),
      ...checkGraph(manifest, session.inputs, session.outputs),
      ...checkFeatures(manifest, (name) => catalog.typeOf(name), catalog.serviceFeatures(manifest.featureService.name)),
    ];
    if (problems.length > 0) throw modelInvalid(problems);
    const { features } = manifest.featureService;
    const rows = manifest.goldenVectors.map((vector) => goldenRow(features, vector));
    const miss = checkGolden(manifest, await new LoadedModel(session, manifest).answer(rows));
    if (miss !== null) throw modelInvalid([miss]);
  } finally {
    await session.release();
  }
}
