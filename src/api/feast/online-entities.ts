import type { EntityFeatures } from '../../features/entity-features.js';
import { hasScope, type Principal } from '../auth/api-key.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import type { ApiServices } from '../api-services.js';
import type { DefinitionsWatch } from '../definitions-watch.js';
import { maskedFeatures } from '../graphql/personal.js';
import { readEntityValues, selectEntityFeatures } from '../graphql/read-entity-features.js';
import { readAskedEntities } from './asked-entities.js';
import { demandFeature, imputationsOf } from './asked-features.js';
import { isObject, wrong, type OnlineFeaturesRequest } from './feast-request.model.js';
import { cellOf, imputedJson, keyColumn, NOT_FOUND_CELL, packRow, writeColumns } from './online-cells.js';

export interface OnlineEntitiesOptions {
  readonly services: Pick<ApiServices, 'clock' | 'db' | 'damagedItems'>;
  readonly watch: Pick<DefinitionsWatch, 'current'>;
}

/** The entity whose join key the request names; null: it is about people. */
export function askedEntity(
  { entities }: Pick<ApiDefinitions, 'entities'>,
  request: OnlineFeaturesRequest,
): EntityFeatures | null {
  if (entities.size === 0 || !isObject(request.entities)) return null;
  for (const each of entities.values()) if (each.entity.joinKey in request.entities) return each;
  return null;
}

/** Answers `POST /get-online-features` for other entities than people, in the same columns. */
export class OnlineEntities {
  constructor(private readonly options: OnlineEntitiesOptions) {}

  /** JSON. @throws WeftError NOT_FOUND for definitions that there are not; BAD_REQUEST */
  async answer(entity: EntityFeatures, request: OnlineFeaturesRequest, principal: Principal): Promise<Buffer> {
    const { services, watch } = this.options;
    const { refs, service, maxAgeMs, isFullNamed } = request;
    const views = new Map(entity.views.map((view) => [view.name, view]));
    for (const [i, ref] of (refs ?? []).entries()) demandFeature({ views }, ref, `features.${String(i)}`);
    if (request.purposes.length > 0) {
      throw wrong(
        'purposes',
        'purposes are what people allow',
        `leave them out where ${entity.entity.joinKey} is asked`,
      );
    }
    const names = refs?.map(({ feature }) => feature);
    const asked = selectEntityFeatures(watch.current, entity, { names, service });
    const { joinKey, values } = readAskedEntities(request.entities, request.context, []);
    const nowMs = services.clock.now();
    const { rows, isComplete } = await readEntityValues(services, entity, values, asked, nowMs);
    const masked = maskedFeatures({ has: () => hasScope(principal, 'pii') }, watch.current);
    const impute = imputationsOf(watch.current, request);
    const shown = asked.map(({ definition }) => {
      const imputed = imputedJson(impute, definition);
      return { isMasked: masked.has(definition.name), t: nowMs + 1, maxAgeMs, imputed };
    });
    // Half of a history is no value, and nothing stands for it, as with features of people; nor for what cannot be read.
    const packed = rows.map((row, at) =>
      packRow(
        asked.map((feature, i) => {
          const [value, ask] = [row[i], shown[i]];
          const isKnown = isComplete(feature, at) && value !== undefined && ask !== undefined;
          return isKnown ? cellOf(value, feature.definition, ask) : NOT_FOUND_CELL;
        }),
      ),
    );
    const shownNames = asked.map(({ definition: { view, name } }) => (isFullNamed ? `${view}__${name}` : name));
    const versions = [...new Map(asked.map(({ definition, viewVersion }) => [definition.view, viewVersion]))].map(
      ([name, version]) => ({ name, version }),
    );
    const metadata = {
      feature_names: [joinKey, ...shownNames],
      ...(request.withVersions ? { feature_view_metadata: versions } : {}),
    };
    return writeColumns(packed, asked.length, {
      before: `{"results":[${keyColumn(values)}${asked.length === 0 ? '' : ','}`,
      after: `],"metadata":${JSON.stringify(metadata)}}`,
    });
  }
}
