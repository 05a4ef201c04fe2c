import { Arg, Authorized, Ctx, Field, Float, Int, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { ModelReader, type ModelPosition } from '../../scoring/model.reader.js';
import type { ListedModel, ModelProbe as FoundOut } from '../../scoring/model-manifest.model.js';
import { parseManifest } from '../../scoring/parse-manifest.js';
import { mayRunInline } from '../../scoring/run-inline.model.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { damagedCursor, MODEL_CURSOR } from './cursors.js';
import { ModelStage } from './enums.js';
import { resultUnion } from './failure.types.js';
import { DateTime, Json } from './scalars.js';

@ObjectType('ModelTensor', { simpleResolvers: true, description: 'An input or output of a graph.' })
class ModelTensor {
  @Field(() => String, { description: 'Its name, as `features`.' })
  name!: string;

  @Field(() => String, { nullable: true, description: 'As `float32` or `int64`; null: it is not a tensor.' })
  type!: string | null;

  @Field(() => [Int, { nullable: true }], {
    description: 'How many there are along each of its dimensions; null where that is free.',
  })
  shape!: readonly (number | null)[];
}

@ObjectType('ModelOpset', { simpleResolvers: true, description: 'A set of operators that a graph uses.' })
class ModelOpset {
  @Field(() => String, { description: 'As `ai.onnx`.' })
  domain!: string;

  @Field(() => Int, { description: 'Its version, as 20.' })
  version!: number;
}

@ObjectType('ModelProbe', {
  simpleResolvers: true,
  description: 'What was found out about a version when it was registered, in a process of its own.',
})
class ModelProbe {
  @Field(() => Int, { description: 'Size of its ONNX file, bytes.' })
  bytes!: number;

  @Field(() => [ModelOpset], { description: 'The sets of operators that it uses; at most 100.' })
  opsets!: readonly ModelOpset[];

  @Field(() => [ModelTensor], { description: 'Inputs of the graph; at most 1,000.' })
  inputs!: readonly ModelTensor[];

  @Field(() => [ModelTensor], { description: 'All outputs of the graph, each by its name.' })
  outputs!: readonly ModelTensor[];

  @Field(() => [String], {
    description:
      'Operators that it uses by which the values of a row decide what a run takes, as `Loop`; at most 20. A version ' +
      'that has any is run in a process of its own.',
  })
  unboundedOps!: readonly string[];

  @Field(() => Boolean, {
    description:
      'Whether it is so quick, for any row, that it is run by whoever asks, and not in a process of its own.',
  })
  inline!: boolean;

  @Field(() => Int, {
    nullable: true,
    description: 'Version of the feature service that it was checked against; null: none of that name was registered.',
  })
  featureServiceVersion!: number | null;

  @Field(() => Float, { description: 'Time to load it, ms.' })
  loadMs!: number;

  @Field(() => Float, { description: 'Time for one row, the 99th percentile of up to 200 runs, ms.' })
  oneRowP99Ms!: number;

  @Field(() => Float, { description: 'Time for a row among many, ms.' })
  rowMs!: number;

  @Field(() => Boolean, {
    description:
      'Whether rows that are run together change each other, as where activations are quantised; it is then asked one ' +
      'row at a time.',
  })
  mixesRows!: boolean;
}

@ObjectType('Model', { simpleResolvers: true, description: 'A version of a model.' })
class Model {
  @Field(() => String, { description: 'What segments and queries call it by, as `purchase_intent`.' })
  key!: string;

  @Field(() => Int, { description: '1, 2, …, for each key.' })
  version!: number;

  @Field(() => String, { description: "The trainer's own label of this version." })
  label!: string;

  @Field(() => ModelStage, { description: 'What it is used for.' })
  stage!: string;

  @Field(() => Int, {
    nullable: true,
    description:
      'Share of all profiles that it answers for, percent, 1 to 99; null where it is not of stage `CANARY`. They are told by a hash of their ids.',
  })
  canaryPercent!: number | null;

  @Field(() => Boolean, {
    description: 'Whether edge keys, which sit in browsers, may be told what it says while it is active.',
  })
  edge!: boolean;

  @Field(() => [String], {
    description:
      'Keys of the purposes that somebody has to allow to be scored, by its manifest; at most 10. Views of its features ' +
      'may need more.',
  })
  purposes!: readonly string[];

  @Field(() => String, { description: 'SHA-256 of its ONNX bytes, 64 hexadecimal digits, as `9f86d081…`.' })
  digest!: string;

  @Field(() => String, { description: 'What it predicts, in words for people; may be empty.' })
  description!: string;

  @Field(() => String, { description: 'The feature service that it reads.' })
  featureService!: string;

  @Field(() => [String], { description: 'The features of that service, in the order of the input; at most 2,000.' })
  features!: readonly string[];

  @Field(() => Json, { description: 'What its trainer said of it.' })
  metrics!: unknown;

  @Field(() => Json, { nullable: true, description: 'What it was trained on, by its manifest; null: not told.' })
  trainingSet!: unknown;

  @Field(() => Json, {
    nullable: true,
    description: 'How it treats groups of people, as its trainer reports; null: not told.',
  })
  fairness!: unknown;

  @Field(() => ModelProbe, {
    nullable: true,
    description: 'What was found out about it when it was registered; null for versions from before there was any.',
  })
  probe!: ModelProbe | null;

  @Field(() => DateTime, { description: 'When it was registered.' })
  createdAt!: number;
}

@ObjectType('ModelRegistration', { simpleResolvers: true, description: 'A registered version of a model.' })
class ModelRegistration {
  @Field(() => Model, { description: 'The version.' })
  model!: Model;

  @Field(() => Boolean, { description: 'False where the same bytes with the same manifest were registered before.' })
  created!: boolean;
}

const ModelConnection = connectionTypes<Model>(Model, 'Model');
const Registered = resultUnion<ModelRegistration>(
  'RegisterModelResult',
  { type: ModelRegistration, name: 'ModelRegistration' },
  ['InvalidDefinition', 'PayloadTooLarge', 'BadRequest'],
);
const Promoted = resultUnion<Model>('PromoteModelResult', { type: Model, name: 'Model' }, [
  'NotFound',
  'InvalidDefinition',
]);

const RolledBack = resultUnion<Model>('RollbackModelResult', { type: Model, name: 'Model' }, [
  'NotFound',
  'Conflict',
  'InvalidDefinition',
]);

const Canary = resultUnion<Model>('SetModelCanaryResult', { type: Model, name: 'Model' }, [
  'NotFound',
  'Conflict',
  'InvalidDefinition',
  'BadRequest',
]);
const Aborted = resultUnion<Model>('AbortModelCanaryResult', { type: Model, name: 'Model' }, ['NotFound', 'Conflict']);

const VERSION_DIGITS = 10;
const MAX_VERSION = 2_147_483_647;

@Resolver()
export class ModelResolver {
  @Authorized('read')
  @Query(() => ModelConnection, { description: 'All versions of all models, by key and version.' })
  async models(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<Model>>> {
    const from = typeof after === 'string' ? positionOf(MODEL_CURSOR.decode(after).key) : null;
    const models = await new ModelReader(services.db).page(from, pageSize(first) + 1);
    return pageByKey(models.map(modelOf), sortKey, MODEL_CURSOR, { first, after });
  }

  @Authorized('admin')
  @Mutation(() => Registered.type, { description: 'Checks a model in every way and stores it, as `SHADOW`.' })
  registerModel(
    @Ctx() { services }: ApiContext,
    @Arg('onnx', () => String, { description: 'The bytes of the ONNX file, in base64; pass them as a variable.' })
    onnx: string,
    @Arg('manifest', () => String, { description: 'The manifest, YAML or JSON.' }) manifest: string,
  ): Promise<unknown> {
    return Registered.attempt(async () => {
      const parsed = parseManifest(manifest);
      const { model, created } = await services.models.register(base64Bytes(onnx), parsed);
      return { model: modelOf(model), created };
    });
  }

  @Authorized('admin')
  @Mutation(() => Promoted.type, {
    description: 'Lets a version answer; the one that answered is retired. `rollbackModel` takes it back.',
  })
  promoteModel(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the model, as `purchase_intent`.' }) key: string,
    @Arg('version', () => Int, { description: 'Which version of the model, 1, 2, …' }) version: number,
  ): Promise<unknown> {
    return Promoted.attempt(async () => {
      const promoted = await services.models.promote(key, version);
      await watch.reload();
      return modelOf(promoted);
    });
  }

  @Authorized('admin')
  @Mutation(() => Canary.type, {
    description:
      'Lets a version answer for some of the people, beside the active one. Whoever is among 5 percent is among 20; a merge keeps what the survivor has. `promoteModel` and `abortModelCanary` end it.',
  })
  setModelCanary(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the model, as `purchase_intent`.' }) key: string,
    @Arg('version', () => Int, { description: 'Which version of the model, 1, 2, …' }) version: number,
    @Arg('percent', () => Int, { description: 'For how many of 100 profiles it answers, 1 to 99.' }) percent: number,
  ): Promise<unknown> {
    return Canary.attempt(async () => {
      const model = await services.models.canary(key, version, percent);
      await watch.reload();
      return modelOf(model);
    });
  }

  @Authorized('admin')
  @Mutation(() => Aborted.type, {
    description: 'Ends the canary of a model, which is `SHADOW` then: the active version answers for everybody again.',
  })
  abortModelCanary(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the model, as `purchase_intent`.' }) key: string,
  ): Promise<unknown> {
    return Aborted.attempt(async () => {
      const model = await services.models.abort(key);
      await watch.reload();
      return modelOf(model);
    });
  }

  @Authorized('admin')
  @Mutation(() => RolledBack.type, {
    description: 'Takes the last promotion back: the version that was active before answers again.',
  })
  rollbackModel(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the model, as `purchase_intent`.' }) key: string,
  ): Promise<unknown> {
    return RolledBack.attempt(async () => {
      const promoted = await services.models.rollback(key);
      await watch.reload();
      return modelOf(promoted);
    });
  }
}

function modelOf({ key, version, stage, edge, digest, manifest, createdAt, probe, canaryPercent }: ListedModel): Model {
  const { description, featureService, metrics, purposes = [] } = manifest;
  return {
    key,
    version,
    label: manifest.version,
    stage,
    canaryPercent,
    edge,
    purposes,
    digest,
    description,
    featureService: featureService.name,
    features: featureService.features,
    metrics,
    trainingSet: manifest.trainingSet ?? null,
    fairness: manifest.fairness ?? null,
    probe: probe === null ? null : probeOf(probe),
    createdAt,
  };
}

function probeOf(probe: FoundOut): ModelProbe {
  const { opsets, speed, ...rest } = probe;
  return {
    ...rest,
    ...speed,
    inline: mayRunInline(probe),
    opsets: Object.entries(opsets).map(([domain, version]) => ({ domain, version })),
  };
}

function sortKey({ key, version }: Model): string {
  return `${key} ${String(version).padStart(VERSION_DIGITS, '0')}`;
}

/** Of a sort key. @throws WeftError CURSOR_INVALID */
function positionOf(text: string): ModelPosition {
  const [key = '', digits = ''] = text.split(' ');
  const version = Number(digits);
  if (/^\d{10}$/.test(digits) && version <= MAX_VERSION) return { key, version };
  throw damagedCursor();
}

function base64Bytes(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  // Buffer.from skips what is not base64 instead of refusing it.
  if (bytes.length > 0 && bytes.length >= Math.floor((text.length * 3) / 4) - 3) return bytes;
  throw new WeftError('BAD_REQUEST', 'the model is not base64', { where: 'onnx', hint: 'encode the file as base64' });
}
