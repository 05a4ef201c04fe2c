import type { IdentifierPolicy, RawIdentifier } from '../events/event.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import type { Database } from '../platform/postgres.js';
import type { GenericValue } from './generic-value.model.js';
import { standsForNobody } from './nobody.model.js';
import { GenericValueReader } from './generic-value.reader.js';
import type { GenericValueStore } from './generic-value.store.js';
import { formsOf, knownForm } from './identifier-forms.model.js';
import { IdentityDecisionReader } from './identity-decision.reader.js';
import { MAX_REASON_LENGTH, type IdentityRevisionRecord } from './identity-revision.model.js';
import type { Asker, IdentityRevisionService } from './identity-revision.service.js';

interface GenericValueDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly policy: IdentifierPolicy;
  readonly generics: GenericValueStore;
  readonly revisions: IdentityRevisionService;
}

/** Lists values that stand for many people, and takes down what people decide about them. */
export class GenericValueService {
  constructor(private readonly deps: GenericValueDependencies) {}

  page(before: { readonly at: number; readonly id: string } | null, limit: number): Promise<GenericValue[]> {
    return new GenericValueReader(this.deps.db).page(before, limit);
  }

  /**
   * Says of a value that it is not generic, however many it was seen with.
   * @throws WeftError BAD_REQUEST, OVERLOADED
   */
  keep(value: RawIdentifier, asker: Asker): Promise<IdentityRevisionRecord> {
    return this.#decide(value, true, asker);
  }

  /**
   * Takes that back: the evidence decides.
   * @throws WeftError BAD_REQUEST, NOT_FOUND (nobody decided anything about it), OVERLOADED
   */
  clear(value: RawIdentifier, asker: Asker): Promise<IdentityRevisionRecord> {
    return this.#decide(value, false, asker);
  }

  async #decide(raw: RawIdentifier, isKept: boolean, asker: Asker): Promise<IdentityRevisionRecord> {
    const { clock, db, generics, policy, revisions } = this.deps;
    if (asker.reason.length > MAX_REASON_LENGTH) {
      throw new WeftError('BAD_REQUEST', `a reason has at most ${String(MAX_REASON_LENGTH)} characters`, {
        where: 'reason',
      });
    }
    const forms = formsOf(policy, raw);
    const seen = await new IdentityDecisionReader().identifiers(db, forms.ids);
    const identifier = knownForm(forms, new Map(seen.map((each) => [each.id, each])));
    if (identifier === undefined) throw standsForNobody(raw, policy, 'value');
    const standing = await new GenericValueReader(db).find(identifier.id);
    if (!isKept && standing?.isKept !== true) {
      throw new WeftError('NOT_FOUND', 'nobody has decided that this value is kept', {
        where: 'value',
        hint: 'identityGenericValues lists those that are',
      });
    }
    if (isKept && standing?.isBlocked === true) {
      throw new WeftError('BAD_REQUEST', 'the value is blocked by the rules, however many share it', {
        where: 'value',
        hint: 'take it out of identity.blocked and apply that with --re-resolve',
      });
    }
    await generics.decide(db, identifier, { isKept, by: asker.actor, reason: asker.reason, nowMs: clock.now() });
    return revisions.request({ kind: 'generic', input: { ids: [identifier.id] } }, asker);
  }
}
