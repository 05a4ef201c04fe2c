import type { DefinitionPlan } from './definition-applier.js';
import type { ApplyPlan } from './features/feature.service.js';
import type { DefinitionChange, FieldChange } from './features/definition-plan.model.js';
import { changedFieldsText, type DefinitionChange as PlainChange, type FieldValue } from './platform/changed-fields.js';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import type { IdentityRulesChange } from './identity/identity-rules.service.js';
import { reresolutionJson } from './reresolution-report.js';

/** The plan as lines for people. */
export function describePlan(plan: DefinitionPlan, isReresolving = false): string {
  const { features, segments, traits, purposes, identity, isEmpty, defined } = plan;
  if (isEmpty) {
    const counts = [
      ...(defined.features === null
        ? []
        : [
            counted(
              defined.features.views.flatMap((v) => v.features),
              'feature',
            ),
          ]),
      ...(defined.segments === null ? [] : [counted(defined.segments, 'segment')]),
      ...(defined.traits === null ? [] : [counted(defined.traits, 'trait')]),
      ...(defined.identity === null ? [] : ['rules of who is who']),
      ...(defined.purposes === null ? [] : [counted(defined.purposes, 'purpose')]),
    ];
    return `Nothing to change: ${listed(counts)} as defined already.\n`;
  }
  const { unchangedFeatures, unchangedSegments, unchangedTraits, unchangedPurposes } = unchangedOf(plan);
  const lines = [
    ...(purposes === null
      ? []
      : section('Purposes', purposes.added, changesText(purposes.changes), purposes.removed, unchangedPurposes)),
    ...(features === null
      ? []
      : [
          ...section(
            'Features and services',
            features.added,
            features.changed.map((name) => featureText(features, name)),
            features.removed.map((name) => featureText(features, name)),
            unchangedFeatures,
          ),
          ...withdrawnLines(features),
        ]),
    ...(segments === null
      ? []
      : section('Segments', segments.added, segments.changed, segments.archived, unchangedSegments)),
    ...(traits === null
      ? []
      : section('Traits', traits.added, changesText(traits.changes), traits.removed, unchangedTraits)),
    ...(identity === null ? [] : identityLines(identity, isReresolving)),
    ...(segments === null || segments.activated.length === 0
      ? []
      : [`To be activated: ${segments.activated.join(', ')}.`]),
    ...(segments === null || segments.archived.length === 0
      ? []
      : [`To be archived, so that their members leave: ${segments.archived.join(', ')}.`]),
    ...historyLines(plan),
  ];
  return `${lines.join('\n')}\n`;
}

function section(
  title: string,
  added: readonly string[],
  changed: readonly string[],
  removed: readonly string[],
  unchanged: readonly string[],
): string[] {
  const counts = [
    `${String(added.length)} to create`,
    `${String(changed.length)} to change`,
    `${String(unchanged.length)} unchanged`,
    `${String(removed.length)} to remove`,
  ];
  return [
    `${title}: ${counts.join(', ')}`,
    ...added.map((name) => `  + ${name}`),
    ...changed.map((name) => `  ~ ${name}`),
    ...removed.map((name) => `  - ${name}`),
  ];
}

function changesText(changes: readonly PlainChange[]): string[] {
  return changes.map(({ name, fields }) => `${name}: ${changedFieldsText(fields)}`);
}

/** With what differs, and below it for whom that matters. */
function featureText({ changes }: ApplyPlan, name: string): string {
  const found = changes.filter((each) => each.name === name && each.change !== 'added');
  const told = found
    .flatMap((each) => each.fields)
    .map(({ field, before, after }) => ({ field, before: shown(before), after: shown(after) }));
  const text = told.length === 0 ? name : `${name}: ${changedFieldsText(told)}`;
  return [text, ...found.flatMap(breakingLines)].join('\n');
}

function shown(value: FieldChange['before']): FieldValue {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
}

function breakingLines({ breaking }: DefinitionChange): string[] {
  if (breaking === null) return [];
  const users = listed(breaking.users.map(({ kind, key }) => `${kind} ${key}`));
  const what = {
    removed: `breaking: read by ${users}`,
    retyped: `breaking: another type for ${users}`,
    redefined: `breaking: means something else than what models were trained on; read by ${users}`,
  };
  return [`      ${what[breaking.how]}`];
}

function withdrawnLines({ withdrawn }: ApplyPlan): string[] {
  if (withdrawn.length === 0) return [];
  const done = { segment: 'archived', model: 'retired', service: 'removed' } as const;
  return withdrawn.map(({ kind, key }) => `To go out of service by --force: ${kind} ${key} is ${done[kind]}.`);
}

function historyLines({ newStreams, features }: DefinitionPlan): string[] {
  if (newStreams === 0) return [];
  const events = features?.historyEvents ?? 0;
  const history = events === 0 ? 'History' : `History (${counted({ length: events }, 'event')})`;
  return [`${history} is to be folded into ${counted({ length: newStreams }, 'new stream')}.`];
}

function identityLines({ changes, causes, current }: IdentityRulesChange, isReresolving: boolean): string[] {
  const { version } = current.rules;
  if (changes.length === 0) return [`Rules of who is who: unchanged (version ${String(version)})`];
  return [
    `Rules of who is who: version ${String(version)} to ${String(version + 1)}, for what is accepted from then on`,
    ...changes.map((line) => `  ${line}`),
    ...(causes.length === 0
      ? ['  These concern nobody who is there.']
      : [
          `  Those who are there are concerned by: ${causes.join(', ')}.`,
          isReresolving
            ? '  They are resolved anew once the rules are applied.'
            : '  weft identity rules preview says what that would come to; --re-resolve resolves them anew.',
        ]),
  ];
}

/** What the files define as it stands. */
function unchangedOf({ features, segments, traits, purposes, defined }: DefinitionPlan): {
  readonly unchangedFeatures: readonly string[];
  readonly unchangedSegments: readonly string[];
  readonly unchangedTraits: readonly string[];
  readonly unchangedPurposes: readonly string[];
} {
  const given = [
    ...(defined.features?.views.flatMap((view) => view.features) ?? []),
    ...(defined.features?.services ?? []),
  ];
  const touchedFeatures = new Set([...(features?.added ?? []), ...(features?.changed ?? [])]);
  const { added = [], changed = [], activated = [], archived = [] } = segments ?? {};
  const touchedSegments = new Set([...added, ...changed, ...activated, ...archived]);
  const touchedTraits = new Set([...(traits?.added ?? []), ...(traits?.changed ?? [])]);
  const touchedPurposes = new Set([...(purposes?.added ?? []), ...(purposes?.changed ?? [])]);
  return {
    unchangedPurposes: (defined.purposes ?? []).map(({ key }) => key).filter((key) => !touchedPurposes.has(key)),
    unchangedTraits: (defined.traits ?? []).map(({ name }) => name).filter((name) => !touchedTraits.has(name)),
    unchangedFeatures: given.map(({ name }) => name).filter((name) => !touchedFeatures.has(name)),
    unchangedSegments: (defined.segments ?? []).map(({ key }) => key).filter((key) => !touchedSegments.has(key)),
  };
}

function listed(items: readonly string[]): string {
  return items.length < 3 ? items.join(' and ') : `${items.slice(0, -1).join(', ')} and ${items.at(-1) ?? ''}`;
}

function counted({ length }: { readonly length: number }, what: string): string {
  return `${String(length)} ${what}${length === 1 ? '' : 's'}`;
}

/** The plan as `--json` prints it. */
export function planJson(plan: DefinitionPlan, applied: boolean, revision: IdentityRevisionRecord | null): unknown {
  const { features, segments, traits, purposes, identity, newStreams, warnings } = plan;
  const { unchangedFeatures, unchangedSegments, unchangedTraits, unchangedPurposes } = unchangedOf(plan);
  return {
    applied,
    features:
      features === null
        ? null
        : {
            added: features.added,
            changed: features.changed,
            removed: features.removed,
            unchanged: unchangedFeatures,
            changes: features.changes,
            withdrawn: features.withdrawn,
            historyEvents: features.historyEvents,
          },
    segments:
      segments === null
        ? null
        : {
            added: segments.added,
            changed: segments.changed,
            removed: segments.archived,
            unchanged: unchangedSegments,
            activated: segments.activated,
          },
    traits: traits === null ? null : { ...traits, unchanged: unchangedTraits },
    identity:
      identity === null
        ? null
        : {
            version: identity.current.rules.version,
            changes: identity.changes,
            concerns: identity.causes,
            reresolution: revision === null ? null : reresolutionJson(revision),
          },
    purposes: purposes === null ? null : { ...purposes, unchanged: unchangedPurposes },
    newStreams,
    warnings,
  };
}
