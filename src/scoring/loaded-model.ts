import { WeftError } from '../platform/errors.js';
import { bindRows, compileBinding, readOutputs, type FeatureBinding, type Feeds } from './bind-features.js';
import type { ModelManifest, ModelOutput } from './model-manifest.model.js';
import { OnnxSession, type ModelSession } from './onnx-session.js';
import type { FeatureRow } from './prediction.model.js';

/**
 * The least number of rows in a run. With one row the runtime takes matrix-vector kernels, whose sums end in other last
 * bits than its matrix-matrix kernels give; from two rows on a row's answer is the same in every batch. So a lone row
 * is run twice over, or a score on a segment's threshold would depend on who was scored beside it.
 */
export const MIN_ROWS = 2;

/** A session with the binding of one manifest. */
export class LoadedModel {
  readonly session: ModelSession;
  /** The outputs of the graph that the manifest maps. */
  readonly outputs: readonly string[];
  readonly #binding: FeatureBinding;
  readonly #features: number;

  readonly #mixesRows: boolean;

  /** @param mixesRows whether rows of a run change each other's answers: then each is run by itself */
  constructor(session: ModelSession, manifest: ModelManifest, mixesRows = false) {
    const ranks = new Map(session.inputs.map((input) => [input.name, input.shape.length === 1 ? 1 : 2] as const));
    const { score, label, cluster, embedding } = manifest.outputs;
    this.session = session;
    this.#mixesRows = mixesRows;
    this.#binding = compileBinding(manifest, (tensor) => ranks.get(tensor) ?? 2);
    this.#features = manifest.featureService.features.length;
    this.outputs = [
      ...new Set([score, label, cluster, embedding].flatMap((mapped) => (mapped === undefined ? [] : [mapped.output]))),
    ];
  }

  static async load(bytes: Uint8Array, manifest: ModelManifest, mixesRows = false): Promise<LoadedModel> {
    return new LoadedModel(await OnnxSession.load(bytes), manifest, mixesRows);
  }

  /**
   * Answers to rows `from` (inclusive) to `to` (exclusive), in one run, or in one a row where the model mixes rows.
   * @throws WeftError BAD_REQUEST if a row does not hold one value per feature; MODEL_INVALID if the run fails.
   */
  async answer(rows: readonly FeatureRow[], from = 0, to = rows.length): Promise<ModelOutput[]> {
    if (to <= from) return [];
    for (let i = from; i < to; i++) this.#checkRow(rows[i] as FeatureRow, i);
    if (to - from >= MIN_ROWS && !this.#mixesRows) return this.#run(rows, from, to);
    const answers: ModelOutput[] = [];
    for (let i = from; i < to; i++) {
      const lone = rows[i] as FeatureRow;
      answers.push(...(await this.#run([lone, lone], 0, MIN_ROWS)).slice(0, 1));
    }
    return answers;
  }

  /** Tensors of `count` rows, these over and over. */
  feedsOf(rows: readonly FeatureRow[], count: number): Feeds {
    const repeated = Array.from({ length: count }, (_, i) => rows[i % rows.length] as FeatureRow);
    return bindRows(this.#binding, repeated, 0, count);
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  async #run(rows: readonly FeatureRow[], from: number, to: number): Promise<ModelOutput[]> {
    const count = to - from;
    const tensors = await this.session.run(bindRows(this.#binding, rows, from, to), this.outputs);
    for (const name of this.outputs) {
      const dims = tensors[name]?.dims ?? [];
      if (dims[0] === count && dims.length <= 2) continue;
      throw new WeftError('MODEL_INVALID', `output ${name} has shape [${dims.join(', ')}] for ${String(count)} rows`, {
        where: 'outputs',
        hint: 'an output has the shape [rows] or [rows, columns]',
      });
    }
    return readOutputs(this.#binding, tensors, count);
  }

  #checkRow(row: FeatureRow, index: number): void {
    if (row.length === this.#features) return;
    throw new WeftError('BAD_REQUEST', `row has ${String(row.length)} values, not ${String(this.#features)}`, {
      where: `rows[${String(index)}]`,
      hint: 'give one value for each feature of the model, in the order of its feature service',
    });
  }
}
