import { readAppliedPos } from '../events/applied-log.reader.js';
import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import type { Queryable } from '../platform/postgres.js';
import { DefinitionHistoryReader } from './definition-history.reader.js';
import { isPersonalFeature } from './feature-statistics.model.js';
import { isPersonal } from '../profiles/trait-definition.model.js';
import { TraitDefinitionReader } from '../profiles/trait-definition.reader.js';
import { isEntityStream, meaningOf } from './entity-fold.model.js';
import { EntityStateReader } from './entity-state.reader.js';
import { FeatureReader, type StoredFeatureView } from './feature.reader.js';
import type { FeatureDefinition, FeatureService, FeatureView, Imputations, RequestValues } from './feature.model.js';
import { requestFieldsOf, requestOfCells } from './on-demand.model.js';
import type { LabelRow, PlannedFeature, TrainingSetPlan } from './training-set.model.js';
import type { PinnedVersions, TrainingSetRequest } from './training-set-request.model.js';

const MAX_FEATURES = 2_000;

/**
 * What an export rests on: features in versions, what may be known, and where the log is cut.
 * @throws WeftError NOT_FOUND (no such service, feature or version), BAD_REQUEST (nothing to export, or from the future)
 */
export async function planTrainingSet(
  db: Queryable,
  request: TrainingSetRequest,
  nowMs: number,
): Promise<TrainingSetPlan> {
  const { knownAsOf = 'now', consentAsOf = 'now', fullNames = false, isImputed = false } = request;
  if (typeof knownAsOf === 'number' && knownAsOf > nowMs) {
    throw new WeftError('BAD_REQUEST', 'what will be known in the future cannot be exported', {
      where: 'known-as-of',
      hint: 'name an instant of the past, or leave it out for all that is known now',
    });
  }
  if (isImputed && request.service === undefined) {
    throw new WeftError('BAD_REQUEST', 'what is imputed is said by a feature service, and none is named', {
      where: 'imputed',
      hint: 'name a service that imputes, or leave missing values as they are',
    });
  }
  const { features, service, impute } = await selectFeatures(db, request);
  if (request.versions !== undefined && consentAsOf === 'now') checkUngated(features);
  if (request.versions !== undefined) await demandInForce(db, features);
  const foldedPos = await readFoldedPos(db, features);
  const toPos = request.cut?.toPos ?? Math.min(foldedPos, await readAppliedPos(db));
  if (foldedPos < toPos) throw stillFolding(features);
  const [head] = await db.query<{ pos: number }>('SELECT pos FROM log_head');
  const waitingEvents = Math.max(0, (head?.pos ?? toPos) - toPos);
  const plan = { features, service, knownAsOf, consentAsOf, fullNames, toPos, waitingEvents };
  return isImputed ? { ...plan, imputed: impute } : plan;
}

/**
 * Up to where events are in the items that these features are of; Infinity where none is computed from events.
 * @throws WeftError UNAVAILABLE while history is being folded in
 */
async function readFoldedPos(db: Queryable, features: readonly PlannedFeature[]): Promise<number> {
  const meanings = [...new Set(features.flatMap(({ fold }) => fold ?? []))];
  if (meanings.length === 0) return Infinity;
  const standings = await new EntityStateReader(db).standings(meanings);
  return meanings.reduce((least, meaning) => {
    const standing = standings.get(meaning);
    if (standing?.isComplete !== true) throw stillFolding(features.filter(({ fold }) => fold === meaning));
    return Math.min(least, standing.pos);
  }, Infinity);
}

/** Of a view that means something else by now nothing is folded in ever again. @throws WeftError CONFLICT */
async function demandInForce(db: Queryable, features: readonly PlannedFeature[]): Promise<void> {
  if (!features.some(({ fold }) => fold !== undefined)) return;
  const inForce = new Set((await new FeatureReader(db).allViews()).filter(isEntityStream).map(meaningOf));
  const former = features.find(({ fold }) => fold !== undefined && !inForce.has(fold));
  if (former === undefined) return;
  const { view, name } = former.definition;
  throw new WeftError(
    'CONFLICT',
    `the view ${view} means something else by now, and what it meant is kept of no item`,
    {
      where: name,
      hint: 'make a new set of the view as it is, or apply the view as it was and make this one again once history is in',
    },
  );
}

function stillFolding(features: readonly PlannedFeature[]): WeftError {
  const { view = '', name = '' } = features.find(({ fold }) => fold !== undefined)?.definition ?? {};
  return new WeftError('UNAVAILABLE', `events are still being folded into the items of ${view}`, {
    where: name,
    hint: 'try again once history is in',
  });
}

/** Who has withdrawn since is to be in no set that is made today, and what they said since is behind the cut. */
function checkUngated(features: readonly PlannedFeature[]): void {
  const gated = features.find(({ purposes = [] }) => purposes.length > 0);
  if (gated === undefined) return;
  const { name } = gated.definition;
  throw new WeftError(
    'BAD_REQUEST',
    `the set has the feature ${name}, which people have to allow, and cannot be made again`,
    {
      where: name,
      hint: 'make a new set, which is without those who have withdrawn since',
    },
  );
}

async function selectFeatures(
  db: Queryable,
  { service: name, features: more = [], versions, maxAges }: TrainingSetRequest,
): Promise<Pick<TrainingSetPlan, 'features' | 'service'> & { readonly impute: Imputations }> {
  const service = name === undefined ? null : await serviceOf(db, name, versions?.service ?? null);
  const known = new Map<string, PlannedFeature>();
  const personal = new Set((await new TraitDefinitionReader(db).all()).filter(isPersonal).map((trait) => trait.name));
  for (const view of await viewsOf(db, versions)) {
    const { version: viewVersion, purposes = [], entity } = view;
    const fold = isEntityStream(view) ? { fold: meaningOf(view) } : {};
    const shared = { viewVersion, purposes, ...(entity === undefined ? {} : { entity }), ...fold };
    for (const definition of view.features) known.set(definition.name, { definition, ...shared });
  }
  const names = [...new Set([...(service?.features ?? []), ...more])];
  if (names.length === 0 || names.length > MAX_FEATURES) {
    throw new WeftError('BAD_REQUEST', names.length === 0 ? 'there is no feature to export' : 'too many features', {
      where: 'features',
      hint: `name a feature service, or 1 to ${String(MAX_FEATURES)} features`,
    });
  }
  const odd = [...(maxAges?.byFeature.keys() ?? [])].find((each) => !names.includes(each));
  if (odd !== undefined) {
    throw new WeftError('BAD_REQUEST', `the feature ${odd} has a greatest age and is not exported`, {
      where: 'max-age',
      hint: nameHint(odd, names, 'name features that are exported'),
    });
  }
  const features = names.map((feature) => {
    const found = known.get(feature) ?? notFound('feature', feature, [...known.keys()]);
    const planned = { ...found, isPersonal: isPersonalFeature(found.definition, personal) };
    const maxAgeMs = maxAges?.byFeature.get(feature) ?? maxAges?.others ?? null;
    return maxAgeMs === null ? planned : { ...planned, maxAgeMs };
  });
  const named = service === null ? null : { name: service.name, version: service.version };
  return { features, service: named, impute: service?.impute ?? {} };
}

/** The views in force, but for those of which another version is wanted, also where they are gone since. */
async function viewsOf(db: Queryable, versions: PinnedVersions | undefined): Promise<StoredFeatureView[]> {
  const inForce = await new FeatureReader(db).allViews();
  const former: StoredFeatureView[] = [];
  for (const [name, version] of versions?.views ?? []) {
    const current = inForce.find((view) => view.name === name);
    if (current?.version === version) continue;
    const body = await formerBody<FeatureView>(db, 'view', name, version);
    // What has to be allowed today has to be for what was defined before, too.
    const purposes = [...new Set([...(body.purposes ?? []), ...(current?.purposes ?? [])])];
    former.push({ ...body, name, version, purposes });
  }
  const replaced = new Set(former.map(({ name }) => name));
  const moved = new Set(former.flatMap(({ features }) => features.map((feature) => feature.name)));
  const kept = inForce
    .filter(({ name }) => !replaced.has(name))
    .map((view) => ({ ...view, features: view.features.filter((feature) => !moved.has(feature.name)) }));
  return [...kept, ...former];
}

async function serviceOf(db: Queryable, name: string, version: number | null) {
  const services = await new FeatureReader(db).services();
  const current = services.find((service) => service.name === name);
  if (version !== null && current?.version !== version) {
    return { ...(await formerBody<FeatureService>(db, 'service', name, version)), name, version };
  }
  const names = services.map((service) => service.name);
  return current ?? notFound('feature service', name, names);
}

async function formerBody<Body>(
  db: Queryable,
  kind: 'view' | 'service',
  name: string,
  version: number,
): Promise<Omit<Body, 'name'>> {
  const found = await new DefinitionHistoryReader(db).version(kind, name, version);
  if (found?.definition == null) {
    throw new WeftError('NOT_FOUND', `there is no version ${String(version)} of the ${kind} ${name}`, {
      where: name,
      hint: `weft features history ${name} lists those that there are`,
    });
  }
  return found.definition as unknown as Omit<Body, 'name'>;
}

/**
 * Reads from cells what on-demand features read of a request; null: none does.
 *
 * @throws WeftError BAD_REQUEST for one without a column and a default: a model would be trained on nothing
 */
export function requestReader(
  definitions: readonly FeatureDefinition[],
  columns: readonly string[],
): ((label: LabelRow) => RequestValues) | null {
  const fields = definitions.flatMap(requestFieldsOf);
  if (fields.length === 0) return null;
  const missing = fields.find((field) => field.default === undefined && !columns.includes(field.name));
  if (missing !== undefined) {
    throw new WeftError(
      'BAD_REQUEST',
      `the labels have no column ${missing.name}, and features read it of the request`,
      {
        where: 'labels',
        hint: `add the column ${missing.name} with what each row's request would say, of type ${missing.type}`,
      },
    );
  }
  const places = new Map(columns.map((name, place) => [name, place]));
  return ({ cells }) => requestOfCells(fields, (name) => cells[places.get(name) ?? -1]);
}

function notFound(what: string, name: string, known: readonly string[]): never {
  throw new WeftError('NOT_FOUND', `there is no ${what} ${name}`, {
    where: what.replace(' ', '-'),
    hint: nameHint(name, known, known.length === 0 ? 'apply a feature file first' : 'see the feature files'),
  });
}
