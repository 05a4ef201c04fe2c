import { CursorCodec } from '../../platform/cursor.js';
import { WeftError } from '../../platform/errors.js';

export { CHANGE_CURSOR } from '../../activation/change-cursor.model.js';

export const WEBHOOK_ENDPOINT_CURSOR = new CursorCodec({ kind: 'webhook_endpoints', version: 1 }, { key: 'text' });
export const CHANGE_SUBSCRIPTION_CURSOR = new CursorCodec(
  { kind: 'change_subscriptions', version: 1 },
  { key: 'text' },
);
/** `key`: what the profile is in order by; an instant, or bytes in base64url. */
export const PROFILE_CURSOR = new CursorCodec(
  { kind: 'profiles', version: 2 },
  { order: 'text', key: 'text', id: 'text' },
);
export const TIMELINE_CURSOR = new CursorCodec(
  { kind: 'timeline', version: 1 },
  { occurredAt: 'integer', pos: 'integer' },
);
/** `move`: of the merge or split; empty for an event. */
export const TIMELINE_ENTRY_CURSOR = new CursorCodec(
  { kind: 'timeline', version: 2 },
  { occurredAt: 'integer', pos: 'integer', move: 'text' },
);
export const MEMBER_CURSOR = new CursorCodec({ kind: 'members', version: 1 }, { since: 'integer', profileId: 'text' });
export const GROUP_MEMBER_CURSOR = new CursorCodec(
  { kind: 'group_members', version: 2 },
  { part: 'integer', hiddenId: 'text' },
);
export const DEAD_LETTER_CURSOR = new CursorCodec(
  { kind: 'dead_letters', version: 1 },
  { receivedAt: 'integer', id: 'integer' },
);
export const LOAD_CURSOR = new CursorCodec({ kind: 'loads', version: 1 }, { startedAt: 'integer', id: 'text' });
export const SCHEDULE_CURSOR = new CursorCodec({ kind: 'schedules', version: 1 }, { key: 'text' });
export const SCHEDULE_RUN_CURSOR = new CursorCodec(
  { kind: 'schedule_runs', version: 1 },
  { dueAt: 'integer', id: 'text' },
);
export const ENTITY_KEY_CURSOR = new CursorCodec({ kind: 'entity_keys', version: 1 }, { key: 'text' });
/** `source`: its id. */
export const ENTITY_RECORD_CURSOR = new CursorCodec(
  { kind: 'entity_records', version: 1 },
  { occurredAt: 'integer', source: 'integer', messageId: 'text' },
);
export const SEGMENT_JOB_CURSOR = new CursorCodec(
  { kind: 'segment_jobs', version: 1 },
  { requestedAt: 'integer', id: 'text' },
);
export const TRAINING_SET_CURSOR = new CursorCodec(
  { kind: 'training_sets', version: 1 },
  { createdAt: 'integer', id: 'text' },
);
export const LABEL_FILE_CURSOR = new CursorCodec(
  { kind: 'label_files', version: 1 },
  { createdAt: 'integer', id: 'text' },
);
export const ERASURE_CURSOR = new CursorCodec({ kind: 'erasures', version: 1 }, { requestedAt: 'integer', id: 'text' });
export const AUDIT_CURSOR = new CursorCodec({ kind: 'audit', version: 1 }, { seq: 'integer' });
export const REVISION_CURSOR = new CursorCodec({ kind: 'revisions', version: 1 }, { at: 'integer', id: 'text' });
export const LINK_CURSOR = new CursorCodec({ kind: 'identity_links', version: 1 }, { at: 'integer', id: 'text' });
export const LINKAGE_MODEL_CURSOR = new CursorCodec(
  { kind: 'identity_models', version: 1 },
  { at: 'integer', version: 'text' },
);
export const REVIEW_CURSOR = new CursorCodec({ kind: 'identity_reviews', version: 1 }, { weight: 'text', id: 'text' });
export const GENERIC_CURSOR = new CursorCodec({ kind: 'generic_values', version: 1 }, { at: 'integer', id: 'text' });
export const MERGE_CURSOR = new CursorCodec({ kind: 'merges', version: 1 }, { at: 'integer', id: 'text' });
export const SEGMENT_VERSION_CURSOR = new CursorCodec({ kind: 'segment_versions', version: 1 }, { version: 'integer' });
export const SEGMENT_REFRESH_CURSOR = new CursorCodec({ kind: 'segment_refreshes', version: 1 }, { id: 'integer' });
/** `jaccard`: as JavaScript writes the number. */
export const SEGMENT_PAIR_CURSOR = new CursorCodec(
  { kind: 'segment_pairs', version: 1 },
  { jaccard: 'text', segmentId: 'integer', otherId: 'integer' },
);
export const SEGMENT_PROPOSAL_CURSOR = new CursorCodec({ kind: 'segment_proposals', version: 1 }, { key: 'text' });
export const SEGMENT_CURSOR = new CursorCodec({ kind: 'segments', version: 1 }, { key: 'text' });
export const VIEW_CURSOR = new CursorCodec({ kind: 'views', version: 1 }, { key: 'text' });
export const VOCABULARY_CURSOR = new CursorCodec({ kind: 'vocabulary', version: 1 }, { key: 'text' });
export const FEATURE_SERVICE_CURSOR = new CursorCodec({ kind: 'feature_services', version: 1 }, { key: 'text' });
export const FEATURE_PARITY_CURSOR = new CursorCodec({ kind: 'feature_parity', version: 1 }, { key: 'text' });
export const FEATURE_ALERT_CURSOR = new CursorCodec({ kind: 'feature_alerts', version: 1 }, { id: 'integer' });
export const FEATURE_DRIFT_CURSOR = new CursorCodec({ kind: 'feature_drift', version: 1 }, { key: 'text' });
export const FEATURE_STATISTICS_CURSOR = new CursorCodec({ kind: 'feature_statistics', version: 1 }, { key: 'text' });
export const FEATURE_REFERENCE_CURSOR = new CursorCodec({ kind: 'feature_references', version: 1 }, { key: 'text' });
export const DEFINITION_VERSION_CURSOR = new CursorCodec(
  { kind: 'definition_versions', version: 1 },
  { version: 'integer' },
);
/** How far the log has to be applied; what the tracking API calls a token. */
export const APPLIED_CURSOR = new CursorCodec({ kind: 'applied', version: 1 }, { pos: 'integer' });
export const TRAIT_CURSOR = new CursorCodec({ kind: 'traits', version: 1 }, { key: 'text' });
export const LIST_CURSOR = new CursorCodec({ kind: 'profile_lists', version: 1 }, { key: 'text' });
export const PURPOSE_CURSOR = new CursorCodec({ kind: 'purposes', version: 1 }, { key: 'text' });
export const SOURCE_CURSOR = new CursorCodec({ kind: 'sources', version: 1 }, { key: 'text' });
export const API_KEY_CURSOR = new CursorCodec({ kind: 'api_keys', version: 1 }, { key: 'text' });
export const WEBHOOK_CURSOR = new CursorCodec({ kind: 'webhooks', version: 1 }, { key: 'text' });
export const DOCUMENT_CURSOR = new CursorCodec({ kind: 'documents', version: 1 }, { key: 'text' });
export const PLAN_CURSOR = new CursorCodec({ kind: 'plans', version: 1 }, { version: 'integer' });
export const IDENTITY_RULES_CURSOR = new CursorCodec({ kind: 'identity_rules', version: 1 }, { version: 'integer' });
export const IDENTITY_COMPONENT_CURSOR = new CursorCodec({ kind: 'identity_components', version: 1 }, { id: 'text' });
export const MODEL_CURSOR = new CursorCodec({ kind: 'models', version: 1 }, { key: 'text' });

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** As `String` writes finite numbers. */
const NUMBER = /^-?\d{1,22}(?:\.\d{1,20})?(?:e[+-]\d{1,3})?$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** An id that came in a cursor. @throws WeftError CURSOR_INVALID */
export function cursorId(id: string): string {
  return matching(id, UUID);
}

/** The id of a document that came in a cursor. @throws WeftError CURSOR_INVALID */
export function cursorDocumentId(id: string): string {
  return matching(id, SHA256);
}

/** The version of a model of record linkage that came in a cursor. @throws WeftError CURSOR_INVALID */
export function cursorVersion(version: string): string {
  return matching(version, SHA256);
}

/** A number that came in a cursor. @throws WeftError CURSOR_INVALID */
export function cursorNumber(text: string): number {
  return Number(matching(text, NUMBER));
}

function matching(text: string, form: RegExp): string {
  if (form.test(text)) return text;
  throw damagedCursor();
}

export function damagedCursor(): WeftError {
  return new WeftError('CURSOR_INVALID', 'the cursor is damaged', {
    where: 'after',
    hint: 'pass it as it was received',
  });
}
