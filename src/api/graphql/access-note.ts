import type { AuditActor } from '../../audit/audit-entry.model.js';
import type { AuditAccess, AuditRecorder, GatheredAccess } from '../../audit/audit-recorder.js';

/** What a root field shows of people, by its selection. */
export interface SelectedData {
  /** `Query.profile` */
  readonly operation: string;
  /** Fields of personal data below it, as `Profile.traits`; sorted. */
  readonly fields: readonly string[];
}

/**
 * Which personal data one request shows: gathered from its root fields as they are resolved, which all are before the
 * first profile is found. Profiles of a request with several root fields are put down to all of them.
 */
export class AccessNote {
  #selected: SelectedData | null = null;
  #gathered: GatheredAccess | null = null;
  #access: AuditAccess | null = null;

  add(selected: SelectedData): void {
    if (selected === this.#selected) return;
    this.#selected = this.#selected === null ? selected : joined(this.#selected, selected);
    this.#access = null;
    this.#gathered = null;
  }

  /** A profile was read for the request, and is shown so many times; nothing is noted where nothing of it is shown. */
  read(
    audit: AuditRecorder,
    actorOf: () => { readonly actor: AuditActor; readonly outcome: string },
    id: string,
    accesses: number,
  ): void {
    const selected = this.#selected;
    if (selected === null || selected.fields.length === 0) return;
    this.#access ??= { ...selected, ...actorOf() };
    this.#gathered = audit.seen(this.#access, id, this.#gathered, accesses);
  }
}

function joined(one: SelectedData, other: SelectedData): SelectedData {
  const operations = new Set([...one.operation.split(', '), other.operation]);
  return {
    operation: [...operations].sort().join(', '),
    fields: [...new Set([...one.fields, ...other.fields])].sort(),
  };
}
