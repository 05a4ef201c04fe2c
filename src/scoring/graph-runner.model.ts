import type { ModelProbe, RegisteredModel } from './model-manifest.model.js';

/** A version whose graph may be asked with tensors. */
export interface RegisteredGraph extends Pick<RegisteredModel, 'key' | 'version' | 'digest' | 'manifest'> {
  readonly probe: ModelProbe;
}
