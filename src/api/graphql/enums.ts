import { registerEnumType } from 'type-graphql';
import { DEAD_LETTER_STAGES, DEAD_LETTER_STATES } from '../../events/dead-letter.model.js';
import { REPLAY_STATUSES } from '../../events/remap-letter.model.js';
import { EVENT_TYPES } from '../../events/event.model.js';
import { FEATURE_STATUSES, FEATURE_TYPES } from '../../features/feature.model.js';
import { MODEL_STAGES } from '../../scoring/model-manifest.model.js';
import { INPUT_STATUSES } from '../../scoring/prediction.model.js';
import { PAYLOAD_TEMPLATE_NAMES } from '../../activation/endpoints/payload-templates.js';
import { RUN_STATUSES, RUN_TRIGGERS } from '../../schedules/schedule.model.js';
import { RECOMPUTE_STATUSES } from '../../segments/recompute.model.js';
import { CAUSE_KINDS, SEGMENT_STAGES } from '../../segments/segment.model.js';
import { LOAD_STATUSES } from '../../sources/load.model.js';
import { SOURCE_KINDS } from '../../sources/source.model.js';
import { WEBHOOK_ADAPTERS } from '../../sources/webhooks/webhook.model.js';
import { API_SCOPES } from '../auth/api-key.model.js';

/** Values on the wire are upper case; in the program they are as they are stored. */
export function enumOf<T extends string>(
  name: string,
  description: string,
  values: readonly T[],
  descriptions: Readonly<Record<NoInfer<T>, string>>,
): Readonly<Record<string, T>> {
  const type = Object.fromEntries(values.map((value) => [value.toUpperCase(), value]));
  const valuesConfig = Object.fromEntries(
    values.map((value) => [value.toUpperCase(), { description: descriptions[value] }]),
  );
  registerEnumType(type, { name, description, valuesConfig });
  return type;
}

/** What is not told, because the person does not allow it. */
export const WITHHELD = 'WITHHELD' as const;

export const Evaluation = enumOf('Evaluation', 'How an answer came about.', ['LIVE', 'NOW'], {
  LIVE: 'Maintained by the pipeline, event by event and by the clock; what the feed of changes tells.',
  NOW: 'Computed for this request, as of its instant; models are asked anew.',
});

export const FeatureStatus = enumOf('FeatureStatus', 'What is known of a feature.', [...FEATURE_STATUSES, WITHHELD], {
  PRESENT: 'It has a value.',
  NULL_VALUE: 'It is known to be null.',
  NOT_FOUND: 'Nothing that it is computed from has happened.',
  OUTSIDE_MAX_AGE: 'What it is computed from is too old.',
  WITHHELD: 'The person does not allow what it, or the question, is for.',
});

export const FeatureKind = enumOf('FeatureType', 'Of what type the values of a feature are.', FEATURE_TYPES, {
  int: 'A whole number.',
  double: 'A number, which may have a fraction.',
  string: 'A text, as it was sent.',
  bool: 'True or false.',
  timestamp: 'An instant, as a DateTime.',
  times: 'A list of instants, newest first.',
  string_list: 'A list of texts.',
  int_list: 'A list of whole numbers.',
  double_list: 'A list of numbers.',
  bool_list: 'A list of true and false.',
  timestamp_list: 'A list of instants, as DateTime.',
  int_map: 'A map from text to a whole number, as `{ "shoes": 3 }`.',
  double_map: 'A map from text to a number, as `{ "shoes": 12.5 }`.',
});

export const InputStatus = enumOf(
  'InputStatus',
  'Whether a model saw what it asked for.',
  [...INPUT_STATUSES, WITHHELD],
  {
    COMPLETE: 'All features were present.',
    PARTIAL: 'Some were missing and filled as the manifest says.',
    ABSENT: 'All were missing and filled.',
    WITHHELD: 'It was not asked: the person does not allow what it is for.',
  },
);

export const ModelStage = enumOf('ModelStage', 'What a version of a model is used for.', MODEL_STAGES, {
  shadow: 'Registered; does not answer.',
  canary: 'Answers for a part of the profiles.',
  active: 'Answers queries and decides segments.',
  retired: 'Out of service; can be promoted again.',
});

export const SegmentStageType = enumOf('SegmentStage', 'Where a segment stands.', SEGMENT_STAGES, {
  draft: 'Written; decides nothing yet.',
  shadow: 'Not live yet; who would be in it is computed, and told to nobody.',
  active: 'Decides membership.',
  archived: 'Out of service; has no members.',
});

export const ChangeKindType = enumOf('ChangeKind', 'What a change was.', ['enter', 'leave'], {
  enter: 'The profile became a member.',
  leave: 'The profile stopped being a member.',
});

export const CauseKindType = enumOf('CauseKind', 'Why a membership changed.', CAUSE_KINDS, {
  event: 'An event of the profile.',
  timer: 'Time alone: a window that was left, a clock that struck.',
  merge: 'The profile turned out to be the same person as another.',
  unmerge: 'The profile was taken apart.',
  model: 'Another version of a model.',
  edit: 'The definition was changed, or a list that it asks about.',
  consent: 'A consent was given or withdrawn.',
  erasure: 'The profile was erased.',
  load: 'Loaded history.',
  revert: 'Events were taken back, as of a load that was reverted.',
  group: 'The traits of a group that the profile belongs to changed, or became known to it.',
  recompute: 'Everybody was evaluated anew because somebody asked for it.',
});

export const RecomputeStatusType = enumOf('RecomputeStatus', 'Where a recomputation stands.', RECOMPUTE_STATUSES, {
  waiting: 'For a worker, or for the one before it.',
  running: 'Profiles are being evaluated, unless work on segments rests.',
  done: 'Everybody was evaluated.',
  cancelled: 'It was ended; whoever was evaluated stays so.',
});

export const EventTypeType = enumOf('EventType', 'The kind of an event, as in the tracking API.', EVENT_TYPES, {
  identify: 'Who somebody is: identifiers and traits.',
  track: 'Somebody did something that has a name.',
  page: 'Somebody saw a page.',
  screen: 'Somebody saw a screen of an app.',
  group: 'Somebody belongs to a group.',
  alias: 'Two identifiers are one person.',
});

export const EventOutcome = enumOf('EventOutcome', 'What became of an event.', ['accepted', 'duplicate', 'refused'], {
  accepted: 'It is durable and will be applied.',
  duplicate: 'An event with its message id was accepted before.',
  refused: 'It cannot be taken; `code`, `reason` and `hint` say why.',
});

export const DeadLetterStageType = enumOf('DeadLetterStage', 'Where an input was given up.', DEAD_LETTER_STAGES, {
  accept: 'At the door: a tracking call, or an event that was sent.',
  load: 'As a row of a file.',
  apply: 'Accepted, and failed when it was applied.',
});

export const DeadLetterStateType = enumOf('DeadLetterState', 'What became of a dead letter.', DEAD_LETTER_STATES, {
  open: 'Nothing yet.',
  replayed: 'Its input is in the log after all.',
  discarded: 'Nobody wants it.',
});

export const ReplayStatusType = enumOf('ReplayStatus', 'What became of a replay.', REPLAY_STATUSES, {
  accepted: 'It is in the log now; of a dry run: it would be.',
  duplicate: 'An event with its message id is in the log already; the letter is done with.',
  refused: 'It is refused again: it stays open, with the new reason.',
  settled: 'It was replayed or discarded before.',
  missing: 'There is no such letter.',
});

export const LoadStatusType = enumOf('LoadStatus', 'Where a load stands.', LOAD_STATUSES, {
  running: 'Not complete, whether a process is at it or not; the same load again goes on.',
  done: 'The whole file is in.',
  failed: 'Stopped by an error or by too many refused rows; the same load again goes on.',
  reverting: 'What it brought in is being taken back.',
  reverted: 'What it brought in is taken back; the file may be loaded again.',
});

export const ScheduleRunStatusType = enumOf('ScheduleRunStatus', 'Where a run of a schedule stands.', RUN_STATUSES, {
  waiting: 'For its first attempt, or for the next.',
  running: 'A process is at it.',
  done: 'It did what it is for.',
  failed: 'It was given up; `errorCode` and `note` say why.',
  cancelled: 'Somebody did not want it any more; what it had done stays.',
});

export const ScheduleRunTriggerType = enumOf('ScheduleRunTrigger', 'Why a schedule ran.', RUN_TRIGGERS, {
  cron: 'Its time had come.',
  manual: 'Somebody asked for it.',
});

export const SourceKindType = enumOf('SourceKind', 'How a source sends its data.', SOURCE_KINDS, {
  http: 'Events, as they happen.',
  batch: 'Files and tables.',
  webhook: 'Deliveries of a social network, a helpdesk or another program; see `createWebhook`.',
});

export const ApiScopeType = enumOf('ApiScope', 'What a key may do.', API_SCOPES, {
  admin: 'Do all that there is to do.',
  read: 'Read profiles, segments, features and models; personal data masked.',
  pii: 'Read personal data as it is. Goes with `READ`; `ADMIN` includes it.',
  ingest: 'Send events of its source.',
  edge: 'Ask by stored documents for what pages may show. It may be in a browser.',
});

export const WebhookAdapterType = enumOf('WebhookAdapter', 'Who delivers to a webhook.', WEBHOOK_ADAPTERS, {
  meta: 'Facebook pages, Messenger and Instagram.',
  x: 'X, by its Account Activity API.',
  zendesk: 'Zendesk: tickets.',
  slack: 'Slack, by its Events API.',
  json: 'Any program that sends JSON; a mapping says what becomes of it.',
});

export const HmacAlgorithmType = enumOf('HmacAlgorithm', 'The hash of a signature.', ['sha256', 'sha512'], {
  sha256: 'HMAC with SHA-256.',
  sha512: 'HMAC with SHA-512.',
});

export const SignatureEncodingType = enumOf('SignatureEncoding', 'How a signature is written.', ['hex', 'base64'], {
  hex: 'Hexadecimal digits, in either case.',
  base64: 'Base64 with padding.',
});

export const EndpointTemplateType = enumOf(
  'WebhookTemplate',
  'In what form changes are posted.',
  PAYLOAD_TEMPLATE_NAMES,
  {
    standard: 'As Standard Webhooks proposes: type, timestamp and data.',
    zapier: 'One flat object, whose members become fields of a step.',
    hubspot: 'The batch upsert of contacts of HubSpot, by e-mail address.',
    marketo: 'Sync Leads of Marketo, by e-mail address.',
  },
);

export const UndeliveredStatusType = enumOf('UndeliveredStatus', 'What becomes of a change.', ['waiting', 'dead'], {
  waiting: 'It is tried again, or for the first time, when it is due.',
  dead: 'It was given up, and is kept until it is replayed or discarded.',
});
