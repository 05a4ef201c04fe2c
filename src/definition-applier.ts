import {
  featuresOfModels,
  knownToSegments,
  modelNames,
  purposesOfInputs,
  purposesOfModels,
  type DefinitionServices,
} from './definition-changes.js';
import { parseDefinitionFiles, type DefinedInFiles, type DefinitionText } from './definition-files.js';
import { isOfPeople, type FeatureDefinition, type FeatureType, type FeatureView } from './features/feature.model.js';
import { FeatureReader } from './features/feature.reader.js';
import type { ApplyPlan, FeatureDefinitions } from './features/feature.service.js';
import { linkOnDemand } from './features/link-on-demand.js';
import { withoutRequests } from './features/on-demand.model.js';
import { streamsOf } from './features/stream.model.js';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import type {
  ApplyRulesOptions,
  IdentityRulesChange,
  IdentityRulesService,
} from './identity/identity-rules.service.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import type { PurposePlan } from './profiles/purpose.model.js';
import { ListReader } from './profiles/list.reader.js';
import { PurposeReader } from './profiles/purpose.reader.js';
import { undeclaredPersonal, undeclaredPersonalText } from './profiles/personal-name.model.js';
import { isSealed, type TraitDefinition, type TraitPlan } from './profiles/trait-definition.model.js';
import { TraitDefinitionReader } from './profiles/trait-definition.reader.js';
import type { Warning } from './platform/warning.js';
import { FEATURE_EXPRESSIONS } from './segments/feature-expression.js';
import { SegmentFileService, type SegmentPlan } from './segments/segment-file.service.js';

export interface DefinitionPlan {
  /** Null: the files are not about that. */
  readonly features: ApplyPlan | null;
  readonly segments: SegmentPlan | null;
  readonly traits: TraitPlan | null;
  readonly identity: IdentityRulesChange | null;
  readonly purposes: PurposePlan | null;
  /** Streams that history has to be folded into, before features and segments that read them are complete. */
  readonly newStreams: number;
  /** Names in the files that nothing has sent so far. */
  readonly warnings: readonly Warning[];
  readonly isEmpty: boolean;
  readonly defined: DefinedInFiles;
  /** Features that go, but not before the segments that read them now have changed. */
  readonly heldFeatures: readonly FeatureDefinition[];
  readonly prune: boolean;
  readonly force: boolean;
}

export interface DefinitionPlanOptions {
  /** Removes what the files leave out, of each kind only where the files define something of that kind. */
  readonly prune?: boolean;
  /** Removes and retypes features that are in use, too, and puts out of service what uses them. */
  readonly force?: boolean;
  /** Resolves those anew whom other rules of identity concern. */
  readonly isReresolving?: boolean;
}

/** Applies files of features, segments, traits, purposes and rules of identity together: all is checked before anything is written. */
export class DefinitionApplier {
  readonly #db: Database;
  readonly #services: DefinitionServices;
  readonly #segmentFiles: SegmentFileService;
  readonly #by: string;

  /** @param by who applies them, for people */
  constructor(db: Database, services: DefinitionServices, by = 'command line') {
    this.#db = db;
    this.#services = services;
    this.#by = by;
    this.#segmentFiles = new SegmentFileService(db, services.segments);
  }

  /**
   * What applying would do.
   * @throws WeftError DEFINITION_INVALID, EXPRESSION_INVALID
   */
  async plan(files: readonly DefinitionText[], options: DefinitionPlanOptions = {}): Promise<DefinitionPlan> {
    const { prune = false, force = false, isReresolving = false } = options;
    const reader = new FeatureReader(this.#db);
    const standing = await reader.views();
    const defined = parseDefinitionFiles(
      files,
      prune ? [] : featuresOf(await reader.allViews()).map(({ name }) => name),
    );
    const after = featuresAfter(standing, defined.features?.views ?? [], prune && defined.features !== null);
    const purposes = await this.#purposesAfter(defined, prune);
    const sealed = await this.#sealed(defined, prune);
    // Standing segments count, too, for the streams that they need and for what they refer to.
    const segments = await this.#segmentFiles.plan(defined.segments ?? [], {
      features: typesOf(withoutRequests(after)),
      standingFeatures: typesOf([...after, ...featuresOf(standing)]),
      ...(await modelNames(this.#db, after)),
      purposes,
      lists: await new ListReader(this.#db).keys(),
      sealedTraits: sealed.unread,
      known: await knownToSegments(this.#db),
      prune: prune && defined.segments !== null,
    });
    const uses = [...(await featuresOfModels(this.#db)), ...segments.usesAfter];
    const features =
      defined.features === null
        ? null
        : await this.#services.features.apply(defined.features, {
            dryRun: true,
            prune,
            force,
            uses,
            askedModels: segments.modelsAfter,
            purposes,
            sealedTraits: sealed.unread,
          });
    const known = await reader.streamIds();
    const streams = streamsOf([...after, ...segments.inlineFeatures]);
    const changes = features?.changes.length ?? 0;
    const readNow = new Set(segments.usesBefore.map(({ feature }) => feature));
    const traits =
      defined.traits === null ? null : await this.#services.traits.apply(defined.traits, { dryRun: true, prune });
    const purposePlan =
      defined.purposes === null ? null : await this.#services.purposes.apply(defined.purposes, { dryRun: true, prune });
    const others = [traits, purposePlan].flatMap((plan) =>
      plan === null ? [] : [...plan.added, ...plan.changed, ...plan.removed],
    );
    const identity =
      defined.identity === null
        ? null
        : await this.#services.identityRules.apply(defined.identity.rules, this.#ruleOptions(true, isReresolving));
    const left = typesOf(after);
    return {
      features,
      segments: defined.segments === null ? null : segments,
      traits,
      purposes: purposePlan,
      identity,
      newStreams: streams.filter((stream) => !known.has(stream.key)).length,
      warnings: [
        ...(features?.warnings ?? []),
        ...segments.warnings,
        ...(defined.identity?.warnings ?? []),
        ...(identity?.warnings ?? []),
        ...openedWarnings(sealed.before, sealed.after),
        ...personalWarnings(defined.traits ?? []),
      ],
      isEmpty: changes + segments.steps.length + others.length + (identity?.changes.length ?? 0) === 0,
      defined,
      heldFeatures: featuresOf(standing).filter(({ name }) => !left.has(name) && readNow.has(name)),
      prune,
      force,
    };
  }

  /**
   * Rules of identity are applied first, then purposes, then features at once, then segments one after the other; features
   * that a segment read until then go last, and so do purposes that are needed no more.
   * What is done when one step fails stays done; applying the same files again goes on from there.
   *
   * @param isReresolving whether those are resolved anew whom other rules of identity concern
   * @returns the revision that does so; null: there is none
   */
  async apply(plan: DefinitionPlan, isReresolving = false): Promise<Uuid | null> {
    const { identity } = plan.defined;
    const options = this.#ruleOptions(false, isReresolving);
    const change = identity === null ? null : await this.#services.identityRules.apply(identity.rules, options);
    await this.#applyElse(plan);
    return change?.revisionId ?? null;
  }

  #ruleOptions(isDryRun: boolean, isReresolving: boolean): ApplyRulesOptions {
    const reresolve = isReresolving ? { actor: this.#by, reason: 'the rules changed' } : undefined;
    return { by: this.#by, isDryRun, reresolve };
  }

  /** Waits until those are resolved anew whom other rules of identity concern, as {@link IdentityRulesService.reresolved}. */
  reresolved(...asked: Parameters<IdentityRulesService['reresolved']>): Promise<IdentityRevisionRecord | null> {
    return this.#services.identityRules.reresolved(...asked);
  }

  async #applyElse({ defined, segments, heldFeatures, prune, force }: DefinitionPlan): Promise<void> {
    const { features, purposes } = this.#services;
    if (defined.purposes !== null) await purposes.apply(defined.purposes);
    if (defined.features !== null) {
      if (heldFeatures.length === 0) await features.apply(defined.features, { prune, force });
      else await features.apply(await this.#withHeld(defined.features, heldFeatures), { force });
    }
    if (defined.traits !== null) await this.#services.traits.apply(defined.traits, { prune });
    if (segments !== null) await this.#segmentFiles.apply(segments, this.#by);
    if (defined.features !== null && heldFeatures.length > 0) await features.apply(defined.features, { prune, force });
    if (defined.purposes !== null && prune) await purposes.apply(defined.purposes, { prune });
  }

  /**
   * Names of traits that are sealed, that will be, and that nothing can read, because they are, will be, or are being
   * opened, which takes until the stored values have been.
   */
  async #sealed({ traits }: DefinedInFiles, prune: boolean) {
    const given = traits ?? [];
    const replaced = new Set(given.map(({ name }) => name));
    const reader = new TraitDefinitionReader(this.#db);
    const before = new Set((await reader.all()).filter(isSealed).map(({ name }) => name));
    const kept = [...before].filter((name) => !replaced.has(name) && !(prune && traits !== null));
    const after = new Set([...kept, ...given.filter(isSealed).map(({ name }) => name)]);
    return { before, after, unread: new Set([...(await reader.sealedNames()), ...after]) };
  }

  /** @throws WeftError DEFINITION_INVALID for one that would go while a model, or a view that stays, needs it */
  async #purposesAfter({ purposes, features }: DefinedInFiles, prune: boolean): Promise<Set<string>> {
    const standing = await new PurposeReader(this.#db).keys();
    if (purposes === null) return standing;
    const given = purposes.map(({ key }) => key);
    const after = new Set(prune ? given : [...standing, ...given]);
    // Views in the files are checked against what will be; so are segments.
    const users = features === null ? await purposesOfInputs(this.#db) : await purposesOfModels(this.#db);
    for (const [key, user] of users) {
      if (after.has(key)) continue;
      throw new WeftError('DEFINITION_INVALID', `the purpose ${key} is needed by ${user}`, {
        where: key,
        hint: `keep it in the files, or change the ${user} first`,
      });
    }
    return after;
  }

  /** The definitions, and in their views what may not go yet. */
  async #withHeld(given: FeatureDefinitions, held: readonly FeatureDefinition[]): Promise<FeatureDefinitions> {
    const views = given.views.map((view) => ({
      ...view,
      features: [...view.features, ...held.filter((feature) => feature.view === view.name)],
    }));
    // Views that the files leave out stay as they are, but for what has moved from them to another.
    const names = new Set(given.views.map((view) => view.name));
    const moved = new Set(featuresOf(given.views).map((feature) => feature.name));
    const others = (await new FeatureReader(this.#db).views())
      .filter((view) => !names.has(view.name))
      .map((view) => ({ ...view, features: view.features.filter((feature) => !moved.has(feature.name)) }));
    return { ...given, views: [...views, ...others] };
  }
}

/** Of traits that the files seal no more, or leave out where they are pruned. */
function openedWarnings(standing: ReadonlySet<string>, after: ReadonlySet<string>): Warning[] {
  const opened = [...standing].filter((name) => !after.has(name));
  return opened.map((name) => ({
    message: `the trait ${name} is sealed no more: what is stored of it would be opened`,
    where: 'traits',
    hint: 'say sealed: true to keep it sealed',
  }));
}

/** Of traits in the files that look personal and say nothing of it. */
function personalWarnings(given: readonly TraitDefinition[]): Warning[] {
  const silent = given.filter(({ pii }) => pii === undefined).map(({ name }) => name);
  const names = undeclaredPersonal(silent, given);
  return names.length === 0 ? [] : [{ ...undeclaredPersonalText(names), where: 'traits' }];
}

function typesOf(features: readonly FeatureDefinition[]): Map<string, FeatureType> {
  return new Map(features.map((feature) => [feature.name, feature.type]));
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
  return featuresOf(linkOnDemand([...kept, ...given], FEATURE_EXPRESSIONS).filter(isOfPeople));
}
