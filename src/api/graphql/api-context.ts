import type { AuditActor } from '../../audit/audit-entry.model.js';
import { WeftError } from '../../platform/errors.js';
import { hasScope, type ApiScope, type Principal } from '../auth/api-key.model.js';
import type { ApiServices } from '../api-services.js';
import { auditActorOf } from '../auth/audit-actor.js';
import type { DefinitionsWatch } from '../definitions-watch.js';
import { CachingNotes } from '../edge/caching.model.js';
import { AccessNote, type SelectedData } from './access-note.js';
import { Reads } from './reads.js';

/** What resolvers get: who asks, and a consistent view to read through. */
export class ApiContext {
  // Not a `#` field: Apollo copies the context of a request.
  private requestReads: Reads | null = null;
  private accesses = (): number => 1;

  constructor(
    readonly services: ApiServices,
    readonly watch: DefinitionsWatch,
    readonly principal: Principal,
    /** False once they may not ask any more, as when a key was revoked or has expired; for what outlives a request. */
    readonly isStillValid: () => Promise<boolean>,
    /** Whether a compiled query has failed on this request: graphql-js is to say with which errors. */
    readonly hasFailed = false,
    /** Shared by the copies that Apollo makes. */
    private readonly notes = { caching: new CachingNotes(), access: new AccessNote() },
  ) {}

  /** Who may keep the answer. */
  get caching(): CachingNotes {
    return this.notes.caching;
  }

  /** What it shows of people. */
  get access(): AccessNote {
    return this.notes.access;
  }

  get reads(): Reads {
    return (this.requestReads ??= this.freshReads());
  }

  /** For a second attempt at the request, which starts counting anew. */
  anew(): ApiContext {
    this.caching.clear();
    return new ApiContext(this.services, this.watch, this.principal, this.isStillValid, true, this.notes);
  }

  /** For what lasts longer than a request: reads at the present instant. */
  freshReads(): Reads {
    const { watch, services } = this;
    return new Reads(services, watch.current, watch.swept, services.clock.now(), (id) => {
      this.access.read(services.audit, () => this.who(), id, this.accesses());
    });
  }

  /** What is read is shown to several at once: how many, when it is read. */
  countAccessesAs(accesses: () => number): void {
    this.accesses = accesses;
  }

  /** Personal data is shown that is not of one profile. */
  noteAccess(selected: SelectedData): void {
    this.services.audit.seen({ ...selected, ...this.who() }, null);
  }

  // Not a `#` method: see above.
  private who(): { actor: AuditActor; outcome: string } {
    return { actor: auditActorOf(this.principal), outcome: this.has('pii') ? 'OK' : 'MASKED' };
  }

  has(scope: ApiScope): boolean {
    return hasScope(this.principal, scope);
  }

  /** @throws WeftError FORBIDDEN */
  demand(scopes: readonly ApiScope[]): void {
    if (scopes.some((scope) => this.has(scope))) return;
    const wanted = scopes.join(' or ');
    throw new WeftError('FORBIDDEN', `this key lacks the scope ${wanted}`, {
      hint: `use a key with the scope ${wanted}`,
    });
  }
}
