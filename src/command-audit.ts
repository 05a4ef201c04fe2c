import type { Command } from 'commander';
import type { AuditActor } from './audit/audit-entry.model.js';
import type { AuditRecorder } from './audit/audit-recorder.js';
import { WeftError } from './platform/errors.js';
import { isUuid } from './platform/ids.js';
import { isKey } from './platform/key.js';

/** Commands that only look, and show nothing of anybody. What is not here is noted. */
export const LOOKING: ReadonlySet<string> = new Set([
  'audit export',
  'audit list',
  'audit verify',
  'dead-letters count',
  'documents list',
  'endpoints list',
  'endpoints show',
  'endpoints undelivered',
  'entities history',
  'entities keys',
  'features drift',
  'features history',
  'features lineage',
  'features list',
  'features parity',
  'features reference list',
  'features show',
  'features stats',
  'identity models list',
  'identity revisions',
  'identity rules diff',
  'identity rules history',
  'identity rules show',
  'keys list',
  'list ls',
  'list show',
  'load list',
  'materialize',
  'model drift',
  'model list',
  'plan infer',
  'plan list',
  'plan show',
  'plan violations',
  'privacy receipt',
  'privacy receipts',
  'schedule list',
  'schedule show',
  'segment check',
  'segment jobs',
  'segment list',
  'segment overlaps',
  'segment preview',
  'segment progress',
  'segment proposals',
  'segment proposals file',
  'segment show',
  'segment versions',
  'sources list',
  'sources show',
  'subscriptions list',
  'subscriptions show',
  'traits changes',
  'traits infer',
  'traits list',
  'webhooks list',
  'webhooks show',
]);

/** Commands that show personal data. */
export const SHOWING: ReadonlySet<string> = new Set([
  'dead-letters export',
  'dead-letters list',
  'dead-letters show',
  'export events',
  'export identities',
  'export labels',
  'export people',
  'export profiles',
  'export training-set',
  'identity explain',
  'identity links',
  'identity rules preview',
  'identity review list',
  'identity review show',
  'profiles export',
  'profiles find',
  'profiles show',
  'segment explain',
  'segment export',
]);

/** Arguments and options that name something which is no person, by how commands call them. */
const NAMING: ReadonlySet<string> = new Set(['key', 'source', 'name', 'segment', 'model', 'entity']);
/** An API key as far as it may be told: the first characters, which lists show. */
const KEY_PREFIX = /^weft_[a-z]_\w{4}/;
const NUMBERS = /^\d{1,9}$/;

type Kind = 'change' | 'access' | null;

/** What the audit log is told of a command: its name, and ids and keys among its arguments; never what may be a person. */
export class CommandAudit {
  readonly #actor: AuditActor;
  #operation = '';
  #kind: Kind = null;
  #targets: string[] = [];
  readonly #noted = new Set<string>();

  /** @param user who runs it */
  constructor(user: string) {
    this.#actor = { kind: 'user', id: user, name: user };
  }

  /** To be called before a command runs. */
  begin(command: Command): void {
    const path = pathOf(command);
    const options = command.opts<Readonly<Record<string, unknown>>>();
    this.#operation = `weft ${path}`;
    this.#kind = kindOf(path, options);
    const given = command.registeredArguments.map(
      (argument, i) => [argument.name(), command.processedArgs[i] as unknown] as const,
    );
    // The name that an option gives to something may be anybody's.
    const chosen = Object.entries(options).filter(([name]) => name !== 'name');
    this.#targets = [...given, ...chosen].flatMap(([name, value]) => targetsOf(name, value));
  }

  /** Something that the command turned out to be about, by id. */
  readonly concerns = (id: string): void => {
    this.#targets.push(id);
  };

  /** Notes how the work of the command ended; alike ends of one command once. */
  async around<T>(audit: AuditRecorder, work: Promise<T>): Promise<T> {
    try {
      const result = await work;
      await this.#note(audit, 'OK');
      return result;
    } catch (error) {
      await this.#note(audit, error instanceof WeftError ? error.code : 'INTERNAL');
      throw error;
    }
  }

  async #note(audit: AuditRecorder, outcome: string): Promise<void> {
    const event = { actor: this.#actor, operation: this.#operation, fields: [], outcome };
    const key = JSON.stringify([outcome, this.#targets]);
    if (this.#kind === null || this.#noted.has(key)) return;
    this.#noted.add(key);
    if (this.#kind === 'change') await audit.change({ ...event, targets: [...new Set(this.#targets)] });
    else for (const target of this.#targets.length > 0 ? this.#targets : [null]) audit.seen(event, target);
  }
}

/** As it is typed, without `weft`. */
function pathOf(command: Command): string {
  const names: string[] = [];
  for (let each = command; each.parent !== null; each = each.parent) names.unshift(each.name());
  return names.join(' ');
}

/** Null: not to be noted. */
function kindOf(path: string, options: Readonly<Record<string, unknown>>): Kind {
  if (LOOKING.has(path) || options['dryRun'] === true) return null;
  return SHOWING.has(path) ? 'access' : 'change';
}

function targetsOf(name: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown) => targetsOf(name, item));
  if (typeof value !== 'string') return [];
  const prefix = KEY_PREFIX.exec(value)?.[0];
  if (prefix !== undefined) return [prefix];
  const isId = isUuid(value) || (NUMBERS.test(value) && /^(id|ids|version|load id)$/.test(name));
  return isId || (NAMING.has(name) && isKey(value)) ? [value] : [];
}
