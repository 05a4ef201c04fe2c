import type { Command } from 'commander';
import type { App } from './app.js';
import type { Session } from './command-sessions.js';
import { EventSampleReader } from './events/event-sample.reader.js';
import { DefinitionHistoryReader } from './features/definition-history.reader.js';
import { PROFILE_ENTITY } from './features/entity.model.js';
import { EntityStateReader } from './features/entity-state.reader.js';
import { FeatureReader } from './features/feature.reader.js';
import { featuresCommand } from './features/features.command.js';
import { VocabularyReader } from './features/vocabulary.reader.js';
import { FeatureAlertReader } from './monitoring/feature-alert.reader.js';
import { addDriftCommand, type DriftCommandServices } from './monitoring/feature-drift.command.js';
import { addReferenceCommand } from './monitoring/feature-reference.command.js';
import { FeatureReferenceReader } from './monitoring/feature-reference.reader.js';
import { FeatureReferenceService } from './monitoring/feature-reference.service.js';
import { addParityCommand } from './monitoring/feature-parity.command.js';
import { addStatisticsCommand, type StatisticsCommandServices } from './monitoring/feature-statistics.command.js';
import { FeatureStatisticsReader } from './monitoring/feature-statistics.reader.js';
import { chooseItems } from './item-walk.js';
import { chooseProfiles } from './parity-watch.js';
import type { CommandIo } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import { nameHint } from './platform/near-names.js';
import { maskPayload } from './privacy/mask.model.js';
import { LineageReader } from './segments/lineage.reader.js';
import { createItemParitySampler, createParitySampler } from './start-parity.js';
import { createStatisticsRun } from './start-statistics.js';

/** `weft features`, with what looks at how features are doing. */
export function createFeaturesCommand(io: CommandIo, looking: Session, signal: AbortSignal): Command {
  const features = featuresCommand({
    ...io,
    withFeatures: (use) =>
      looking(({ db }) =>
        use({
          reader: new FeatureReader(db),
          history: new DefinitionHistoryReader(db),
          lineage: new LineageReader(db),
        }),
      ),
    withVocabulary: (use) =>
      looking(({ db, engine, clock }) => {
        const samples = new EventSampleReader(db, engine.sealer);
        return use(() => new VocabularyReader({ db, clock, samples, mask: maskPayload }).entries());
      }),
  });
  addParityCommand(features, {
    ...io,
    signal,
    compareProfiles: ({ count, maxEvents }, onProgress) =>
      looking(async (app) => {
        const ids = await chooseProfiles(app.db, count, app.clock.now());
        const onDone = (done: number): void => {
          onProgress(done, ids.length);
        };
        return createParitySampler(app, maxEvents).compare(ids, onDone, signal);
      }),
    compareItems: (entity, { count, maxEvents }, onProgress) =>
      looking(async (app) => {
        const meanings = await meaningsOf(app, entity);
        const items = await chooseItems(app.db, meanings, count, app.clock.now());
        if (items.length === 0) throw await noItems(app, entity, meanings);
        const onDone = (done: number): void => {
          onProgress(done, items.length);
        };
        return createItemParitySampler(app, maxEvents).compare(items, onDone, signal);
      }),
  });
  addDriftCommand(features, { ...io, signal, withDrift: (use) => looking((app) => use(driftServices(app, signal))) });
  addReferenceCommand(features, {
    ...io,
    withReferences: (use) =>
      looking(({ db, clock }) =>
        use({ reader: new FeatureReferenceReader(db), service: new FeatureReferenceService({ db, clock }) }),
      ),
  });
  return addStatisticsCommand(features, {
    ...io,
    signal,
    withStatistics: (use) => looking((app) => use(statisticsServices(app, signal))),
  });
}

/** What the views of an entity mean whose features are computed from events. @throws WeftError NOT_FOUND, BAD_REQUEST */
async function meaningsOf({ engine }: App, name: string): Promise<readonly Uuid[]> {
  const { entities } = await engine.definitions.current();
  const entity = entities.get(name);
  if (entity === undefined) {
    throw new WeftError('NOT_FOUND', `there is no entity ${name.slice(0, 100)}`, {
      where: '--entity',
      hint: nameHint(name, entities.keys(), 'leave it out for people'),
    });
  }
  if (entity.folds.length > 0) return entity.folds.map(({ meaning }) => meaning);
  throw new WeftError('BAD_REQUEST', `no feature of ${entity.entity.name} is computed from events`, {
    where: '--entity',
    hint: 'columns of records are read as they are; there is nothing to compare them with',
  });
}

/** Why there is no item to compare. */
async function noItems({ db }: App, entity: string, meanings: readonly Uuid[]): Promise<WeftError> {
  const standings = await new EntityStateReader(db).standings(meanings);
  const isFolded = meanings.every((meaning) => standings.get(meaning)?.isComplete === true);
  return isFolded
    ? new WeftError('NOT_FOUND', `no event has named an item of ${entity} yet`, {
        hint: 'send some that have the key of a view of it, as its definition says: weft features list',
      })
    : new WeftError('NOT_FOUND', `events are not folded into items of ${entity} yet`, {
        hint: 'a worker does that: run weft serve, and ask again once weft doctor says that items are up to date',
      });
}

function driftServices(app: App, signal: AbortSignal): DriftCommandServices {
  const { db, clock } = app;
  const references = new FeatureReferenceReader(db);
  return {
    views: () => new FeatureReader(db).allViews(),
    days: (features, fromMs, toMs) => new FeatureAlertReader(db).daysBetween(features, fromMs, toMs),
    compute: (features) => createStatisticsRun(app).tally(signal, features),
    reference: (name) => references.features(name),
    references: async () => (await references.all()).map(({ name }) => name),
    nowMs: () => clock.now(),
  };
}

function statisticsServices(app: App, signal: AbortSignal): StatisticsCommandServices {
  const { db, clock } = app;
  return {
    names: async () =>
      (await new FeatureReader(db).allViews()).flatMap((view) => view.features.map(({ name }) => name)),
    latest: (feature) => new FeatureStatisticsReader(db).latest(feature),
    compute: async (feature) => {
      const [tallied] = await createStatisticsRun(app).tally(signal, [feature]);
      if (tallied === undefined) return null;
      const { statistics } = tallied;
      return { ...statistics, entity: statistics.entity ?? PROFILE_ENTITY, computedAt: clock.now() };
    },
  };
}
