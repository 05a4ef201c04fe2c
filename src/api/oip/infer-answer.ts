import type { OutputData } from '../../scoring/bind-features.js';
import type { AskedOutput } from './infer-request.js';
import { bytesOfOutput, jsonOfOutput } from './tensor-codec.js';

/** The body of an answer; `headerLength`: how much of it is JSON, where tensors follow as bytes. */
export interface InferAnswer {
  readonly body: Buffer;
  readonly headerLength: number | null;
}

/** What the outputs of a run are told as. */
export function writeInferAnswer(
  told: { readonly model: string; readonly version: number; readonly id: string | null },
  outputs: readonly AskedOutput[],
  tensors: Readonly<Record<string, OutputData>>,
): InferAnswer {
  const binary: Buffer[] = [];
  const written = outputs.flatMap(({ name, datatype, isBinary }) => {
    const tensor = tensors[name];
    if (tensor === undefined) return [];
    const head = `"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":${JSON.stringify(tensor.dims)}`;
    if (!isBinary) return [`{${head},"data":${jsonOfOutput(tensor, datatype)}}`];
    const bytes = bytesOfOutput(tensor, datatype);
    binary.push(bytes);
    return [`{${head},"parameters":{"binary_data_size":${String(bytes.length)}}}`];
  });
  const id = told.id === null ? '' : `"id":${JSON.stringify(told.id)},`;
  const head = `"model_name":${JSON.stringify(told.model)},"model_version":"${String(told.version)}"`;
  const json = Buffer.from(`{${id}${head},"outputs":[${written.join()}]}`);
  if (binary.length === 0) return { body: json, headerLength: null };
  return { body: Buffer.concat([json, ...binary]), headerLength: json.length };
}
