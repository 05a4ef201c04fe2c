import type { AuditActor } from '../../audit/audit-entry.model.js';
import { nameOf, type Principal } from './api-key.model.js';

/** Whom the audit log names for a request. */
export function auditActorOf(principal: Principal): AuditActor {
  const kind = principal.id.startsWith('oidc:') ? 'person' : 'key';
  return { kind, id: principal.id, name: nameOf(principal) };
}
