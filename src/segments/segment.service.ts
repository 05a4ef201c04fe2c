import type { FeatureUse } from '../features/definition-plan.model.js';
import { traitsReadBy } from '../features/feature-questions.model.js';
import type { FeatureDefinition, FeatureType } from '../features/feature.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { touchMarks } from '../platform/installation.js';
import type { Database, Transaction } from '../platform/postgres.js';
import type { Warning } from '../platform/warning.js';
import { checkDraft, checkPurposes } from './check-draft.js';
import { demandUnsealed } from './demand-unsealed.js';
import { evaluatedVersions, isShadowed } from './evaluated-versions.js';
import type { ParsedSegment, SegmentRequirements } from './parse-segment.js';
import { questionRule, type KnownToSegments } from './question-segment.js';
import { orderSegments } from './segment-graph.js';
import type { SegmentSchema } from './segment-schema.model.js';
import type { SegmentTrial } from './segment-preview.model.js';
import {
  checkTerms,
  isSameRule,
  NO_TERMS,
  parseRule,
  ruleOf,
  type SegmentDraft,
  type SegmentRule,
} from './segment-rule.model.js';
import { SegmentVersionReader } from './segment-version.reader.js';
import { MAX_SEGMENTS, SegmentReader, type StoredSegment } from './segment.reader.js';
import { SegmentStore } from './segment.store.js';
import { parseShadowKey, shadowKeyOf } from './shadow.model.js';

/** What segments rest on and what they leave to other modules, all within the same transaction. */
export interface SegmentCatalog {
  /** Waits for others that change definitions, and keeps them waiting until the transaction ends. */
  lock(tx: Transaction): Promise<void>;
  features(tx: Transaction): Promise<ReadonlyMap<string, FeatureType>>;
  models(tx: Transaction): Promise<Pick<SegmentSchema, 'models' | 'waitingModels' | 'requestModels'>>;
  purposes(tx: Transaction): Promise<ReadonlySet<string>>;
  lists(tx: Transaction): Promise<ReadonlySet<string>>;
  /** Names of the traits whose values nothing may keep in plain text. */
  sealedTraits(tx: Transaction): Promise<ReadonlySet<string>>;
  known(tx: Transaction): Promise<KnownToSegments>;
  /** What is live was changed: streams are to be registered, and everybody is to load the definitions anew. */
  changed(tx: Transaction): Promise<void>;
}

/** What an active segment rests on. */
export interface SegmentReferences {
  readonly key: string;
  readonly features: readonly string[];
  readonly inlineFeatures: readonly FeatureDefinition[];
  readonly models: readonly string[];
  readonly segments: readonly string[];
}

/** What is to be tried: a segment as it was written last, or a rule of its own. */
export type TrialAsk =
  { readonly key: string } | (Partial<Omit<SegmentRule, 'expression'>> & Pick<SegmentRule, 'expression'>);

/** What a rule that is only tried is called; no key has brackets. */
export const TRIAL_KEY = '(preview)';

type SegmentConditions = Pick<SegmentRule, 'expression' | 'exitExpression'>;

const NO_RULE: SegmentRule = { expression: '', exitExpression: null, purposes: [], ...NO_TERMS };
/** Segments as their authors handle them: drafted, tried in the shadow, activated, archived. Every edit of the condition is a version. */
export class SegmentService {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #catalog: SegmentCatalog;
  readonly #store = new SegmentStore();

  constructor(db: Database, clock: Clock, catalog: SegmentCatalog) {
    this.#db = db;
    this.#clock = clock;
    this.#catalog = catalog;
  }

  /**
   * Creates a segment or writes a new version of it. What is live stays live until `activate`. Equal text is no new
   * version.
   * @param by who writes it, for people; null: not known
   * @throws WeftError BAD_REQUEST, EXPRESSION_INVALID (with position and hint), DEFINITION_INVALID (too many segments)
   */
  async upsert(draft: SegmentDraft, by: string | null = null): Promise<StoredSegment> {
    checkDraft(draft);
    return this.#change(async (tx, reader) => {
      const nowMs = this.#clock.now();
      const author = { by, restoredFrom: null };
      const standing = await reader.byKey(draft.key);
      const rule = { ...(standing === null ? NO_RULE : ruleOf(standing)), ...givenOf(draft) };
      await this.#parse(tx, reader, draft.key, rule);
      checkTerms(rule);
      checkPurposes(rule.purposes, await this.#catalog.purposes(tx));
      if (standing === null) {
        await checkRoom(reader);
        await this.#store.insert(tx, draft, { rule, author }, nowMs);
      } else {
        const { id } = standing;
        const edited = !isSameRule(standing, rule);
        const version = edited ? standing.version + 1 : standing.version;
        if (edited) await this.#store.insertVersion(tx, { id, version, rule, author }, nowMs);
        await this.#store.update(tx, standing.id, version, draft, nowMs);
        if (draft.edge !== undefined && draft.edge !== standing.edge) await touchMarks(tx);
      }
      return found(await reader.byKey(draft.key), draft.key);
    });
  }

  /**
   * Makes new segments, all or none.
   * @param drafts that refer to no segment of theirs
   * @param activate whether they decide at once
   * @param by who writes them, for people; null: not known
   * @throws WeftError as {@link upsert}, CONFLICT if one is there
   */
  async createAll(drafts: readonly SegmentDraft[], by: string | null, activate: boolean): Promise<void> {
    drafts.forEach(checkDraft);
    await this.#db.transaction(async (tx) => {
      await this.#catalog.lock(tx);
      const reader = new SegmentReader(tx);
      const nowMs = this.#clock.now();
      const [standing] = await reader.byKeys(drafts.map(({ key }) => key));
      if (standing !== undefined) {
        const hint = 'give another key';
        throw new WeftError('CONFLICT', `segment ${standing.key} is there`, { where: standing.key, hint });
      }
      const count = (await reader.countStanding()) + drafts.length;
      if (count > MAX_SEGMENTS) throw tooManySegments(count);
      const [schema, sealed] = [await this.#schema(tx, reader, null), await this.#catalog.sealedTraits(tx)];
      for (const draft of drafts) {
        const rule = { ...NO_RULE, ...givenOf(draft) };
        // What refers only to segments that were there before closes no circle.
        demandUnsealed(parseRule(rule, schema).requires, sealed);
        checkTerms(rule);
        checkPurposes(rule.purposes, schema.purposes);
        const id = await this.#store.insert(tx, draft, { rule, author: { by, restoredFrom: null } }, nowMs);
        if (activate) await this.#store.activate(tx, id, 1, nowMs);
      }
      if (activate) await this.#catalog.changed(tx);
    });
  }

  /**
   * Writes what an older version said as a new one. As with every version, what is live stays live until `activate`. What
   * the version that was written last says already is no new version.
   * @param by who restores it, for people; null: not known
   * @throws WeftError NOT_FOUND, EXPRESSION_INVALID or BAD_REQUEST if what it refers to is gone
   */
  async restore(key: string, version: number, by: string | null = null): Promise<StoredSegment> {
    return this.#change(async (tx, reader) => {
      const segment = found(await reader.byKey(key), key);
      const rule = await new SegmentVersionReader(tx).find(segment.id, version);
      if (rule === null) {
        throw new WeftError('NOT_FOUND', `segment ${key} has no version ${String(version)}`, {
          where: 'version',
          hint: `it has the versions 1 to ${String(segment.version)}`,
        });
      }
      if (isSameRule(segment, rule)) return segment;
      await this.#parse(tx, reader, key, rule);
      checkPurposes(rule.purposes, await this.#catalog.purposes(tx));
      const [nowMs, next] = [this.#clock.now(), segment.version + 1];
      const author = { by, restoredFrom: version };
      await this.#store.insertVersion(tx, { id: segment.id, version: next, rule: ruleOf(rule), author }, nowMs);
      await this.#store.setVersion(tx, segment.id, next, nowMs);
      return found(await reader.byKey(key), key);
    });
  }

  /**
   * Makes the version that was written last decide membership.
   * @throws WeftError NOT_FOUND, EXPRESSION_INVALID if what it refers to is gone or refers back to it,
   * DEFINITION_INVALID if it was archived and there is no room for it any more
   */
  async activate(key: string): Promise<StoredSegment> {
    return this.#change(async (tx, reader) => {
      const segment = found(await reader.byKey(key), key);
      if (segment.stage === 'active' && segment.activeVersion === segment.version) return segment;
      if (segment.stage === 'archived') await checkRoom(reader);
      const parsed = await this.#parse(tx, reader, key, segment);
      checkPurposes(segment.purposes, await this.#catalog.purposes(tx));
      await this.#checkOrder(tx, reader, key, parsed);
      const nowMs = this.#clock.now();
      await this.#store.activate(tx, segment.id, segment.version, nowMs);
      await this.#catalog.changed(tx);
      return found(await reader.byKey(key), key);
    });
  }

  /**
   * Has the version that was written last evaluated in the shadow: who would be in is computed, and told to nobody. What
   * is live stays so.
   * @throws WeftError NOT_FOUND, CONFLICT if that version is live, or the segment archived; EXPRESSION_INVALID if what it
   *   refers to is not there
   */
  async shadow(key: string): Promise<StoredSegment> {
    return this.#change(async (tx, reader) => {
      const segment = found(await reader.byKey(key), key);
      const { id, stage, version, activeVersion, shadowVersion } = segment;
      if (stage === 'archived' || version === activeVersion) {
        const what = stage === 'archived' ? 'is archived' : `is live in its last version, ${String(version)}`;
        throw new WeftError('CONFLICT', `segment ${key} ${what}`, {
          where: key,
          hint: 'write a new version of it first, by upsertSegment in GraphQL or weft segment restore',
        });
      }
      if (shadowVersion === version) return segment;
      const parsed = await this.#parse(tx, reader, key, segment);
      checkPurposes(segment.purposes, await this.#catalog.purposes(tx));
      await this.#checkOrder(tx, reader, shadowKeyOf(key), parsed);
      await this.#store.setShadow(tx, id, version, this.#clock.now());
      await this.#catalog.changed(tx);
      return found(await reader.byKey(key), key);
    });
  }

  /**
   * Ends the shadow of a segment; what is live stays so.
   * @throws WeftError NOT_FOUND
   */
  async endShadow(key: string): Promise<StoredSegment> {
    return this.#change(async (tx, reader) => {
      const segment = found(await reader.byKey(key), key);
      if (!isShadowed(segment)) return segment;
      await this.#store.setShadow(tx, segment.id, null, this.#clock.now());
      await this.#catalog.changed(tx);
      return found(await reader.byKey(key), key);
    });
  }

  /**
   * Takes a segment out of service: its members leave.
   * @throws WeftError NOT_FOUND, CONFLICT while an active segment refers to it
   */
  async archive(key: string): Promise<StoredSegment> {
    return this.#change(async (tx, reader) => {
      const segment = found(await reader.byKey(key), key);
      if (segment.stage === 'archived') return segment;
      for (const other of await this.#activeParsed(tx, reader)) {
        // A shadow that refers to it waits.
        const isOther = other.key !== key && !parseShadowKey(other.key).isShadow;
        if (!isOther || !other.parsed.requires.segments.includes(key)) continue;
        throw new WeftError('CONFLICT', `segment ${other.key} refers to ${key}`, {
          where: key,
          hint: `archive or change ${other.key} first`,
        });
      }
      await this.#store.archive(tx, segment.id, this.#clock.now());
      await this.#catalog.changed(tx);
      return found(await reader.byKey(key), key);
    });
  }

  /**
   * What a segment with this condition would read, and the names in it that nothing has sent so far. Writes nothing.
   * @throws WeftError EXPRESSION_INVALID
   */
  async check(
    expression: string,
    exitExpression: string | null = null,
  ): Promise<{ requires: SegmentRequirements; warnings: readonly Warning[] }> {
    return this.#db.transaction(async (tx) => {
      const rule = { expression, exitExpression };
      const { requires } = await this.#parse(tx, new SegmentReader(tx), null, rule);
      const features = await this.#catalog.features(tx);
      return { requires, warnings: questionRule(rule, { features }, await this.#catalog.known(tx)) };
    });
  }

  /**
   * A rule as it would decide, checked like one that is written and activated. Writes nothing.
   * @param asked the key of a segment, for the version of it that was written last, or a rule
   * @throws WeftError NOT_FOUND, BAD_REQUEST, EXPRESSION_INVALID
   */
  async trial(asked: TrialAsk): Promise<SegmentTrial> {
    return this.#db.transaction(async (tx) => {
      const reader = new SegmentReader(tx);
      const stored = 'key' in asked ? found(await reader.byKey(asked.key), asked.key) : null;
      const key = stored?.key ?? TRIAL_KEY;
      const rule = stored === null ? { ...NO_RULE, ...asked } : ruleOf(stored);
      const parsed = await this.#parse(tx, reader, stored?.key ?? null, rule);
      checkTerms(rule);
      checkPurposes(rule.purposes, await this.#catalog.purposes(tx));
      await this.#checkOrder(tx, reader, key, parsed);
      return { key, rule: ruleOf(rule), parsed };
    });
  }

  /**
   * For each rule the names in its conditions that nothing has sent so far; none for one that is not valid, or is so no
   * more.
   */
  async questions(rules: readonly SegmentConditions[]): Promise<Warning[][]> {
    return this.#db.transaction(async (tx) => {
      const features = await this.#catalog.features(tx);
      const known = await this.#catalog.known(tx);
      return rules.map((rule) => {
        try {
          return questionRule(rule, { features }, known);
        } catch (error) {
          if (error instanceof WeftError) return [];
          throw error;
        }
      });
    });
  }

  /** What active segments read of features. */
  async featureUses(tx: Transaction): Promise<FeatureUse[]> {
    return (await this.#activeParsed(tx, new SegmentReader(tx))).flatMap(({ key, parsed }) =>
      parsed.requires.features.map((feature) => ({ kind: 'segment' as const, key, feature })),
    );
  }

  /** What active segments ask and refer to, those first that others refer to. */
  async references(tx: Transaction): Promise<SegmentReferences[]> {
    const parsed = await this.#activeParsed(tx, new SegmentReader(tx));
    const nodes = new Map(parsed.map(({ key, parsed: { requires } }) => [key, { key, ...requires }]));
    const order = orderSegments([...nodes.values()].map(({ key, segments }) => ({ key, segmentDeps: segments })));
    return order.map((key) => nodes.get(key)).filter((node) => node !== undefined);
  }

  /** Archives segments that nothing left refers to, or ends their shadows, as a part of a larger change. */
  async withdraw(tx: Transaction, keys: readonly string[]): Promise<void> {
    const reader = new SegmentReader(tx);
    for (const { key, isShadow } of keys.map(parseShadowKey)) {
      const segment = await reader.byKey(key);
      if (segment === null) continue;
      if (isShadow) await this.#store.setShadow(tx, segment.id, null, this.#clock.now());
      else await this.#store.archive(tx, segment.id, this.#clock.now());
    }
  }

  /** Keys of the models that active segments ask, each with a segment that does. */
  async modelUses(tx: Transaction): Promise<Map<string, string>> {
    const uses = new Map<string, string>();
    for (const { key, parsed } of await this.#activeParsed(tx, new SegmentReader(tx))) {
      for (const model of parsed.requires.models) uses.set(model, `segment ${key}`);
    }
    return uses;
  }

  /** Keys of the purposes that active segments need or ask about, each with a segment that does. */
  async purposeUses(tx: Transaction): Promise<Map<string, string>> {
    const uses = new Map<string, string>();
    for (const { key, parsed, rule } of await this.#activeParsed(tx, new SegmentReader(tx))) {
      for (const purpose of [...parsed.requires.purposes, ...rule.purposes]) uses.set(purpose, `segment ${key}`);
    }
    return uses;
  }

  /** Keys of the lists that active segments ask about, each with a segment that does. */
  async listUses(tx: Transaction): Promise<Map<string, string>> {
    const uses = new Map<string, string>();
    for (const { key, parsed } of await this.#activeParsed(tx, new SegmentReader(tx))) {
      for (const list of parsed.requires.lists) uses.set(list, `segment ${key}`);
    }
    return uses;
  }

  /** Names of the traits that active segments read, also by features of their own, each with a segment that does. */
  async traitUses(tx: Transaction): Promise<Map<string, string>> {
    const uses = new Map<string, string>();
    for (const { key, parsed } of await this.#activeParsed(tx, new SegmentReader(tx))) {
      const { traits, inlineFeatures } = parsed.requires;
      for (const name of [...traits, ...inlineFeatures.flatMap(traitsReadBy)]) uses.set(name, `segment ${key}`);
    }
    return uses;
  }

  /** The features that active segments define in place. */
  async inlineFeatures(tx: Transaction): Promise<FeatureDefinition[]> {
    return (await this.#activeParsed(tx, new SegmentReader(tx))).flatMap(
      ({ parsed }) => parsed.requires.inlineFeatures,
    );
  }

  async #change(work: (tx: Transaction, reader: SegmentReader) => Promise<StoredSegment>): Promise<StoredSegment> {
    return this.#db.transaction(async (tx) => {
      await this.#catalog.lock(tx);
      return work(tx, new SegmentReader(tx));
    });
  }

  async #parse(
    tx: Transaction,
    reader: SegmentReader,
    key: string | null,
    rule: SegmentConditions,
  ): Promise<ParsedSegment> {
    const parsed = parseRule(rule, await this.#schema(tx, reader, key));
    demandUnsealed(parsed.requires, await this.#catalog.sealedTraits(tx));
    return parsed;
  }

  /** @param key of a segment, which is not to refer to itself; null: of none */
  async #schema(tx: Transaction, reader: SegmentReader, key: string | null) {
    const segments = new Set((await reader.standing()).map((segment) => segment.key));
    if (key !== null) segments.delete(key);
    const features = await this.#catalog.features(tx);
    const purposes = await this.#catalog.purposes(tx);
    const lists = await this.#catalog.lists(tx);
    return { features, ...(await this.#catalog.models(tx)), segments, purposes, lists };
  }

  async #activeParsed(
    tx: Transaction,
    reader: SegmentReader,
  ): Promise<{ key: string; parsed: ParsedSegment; rule: SegmentRule }[]> {
    const features = await this.#catalog.features(tx);
    return (await reader.evaluated())
      .flatMap(evaluatedVersions)
      .map(({ key, rule }) => ({ key, rule, parsed: parseRule(rule, { features }) }));
  }

  async #checkOrder(tx: Transaction, reader: SegmentReader, key: string, parsed: ParsedSegment): Promise<void> {
    const others = (await this.#activeParsed(tx, reader)).filter((other) => other.key !== key);
    orderSegments([...others, { key, parsed }].map((s) => ({ key: s.key, segmentDeps: s.parsed.requires.segments })));
  }
}

/** What a draft says of the rule. */
function givenOf(draft: SegmentDraft): Partial<SegmentRule> {
  const { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes } = draft;
  const given = { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** Before one more stands. The definitions are locked: nobody else takes the place meanwhile. */
async function checkRoom(reader: SegmentReader): Promise<void> {
  const count = await reader.countStanding();
  if (count >= MAX_SEGMENTS) throw tooManySegments(count + 1);
}

/** @param count how many there would be, archived ones left out */
export function tooManySegments(count: number): WeftError {
  return new WeftError('DEFINITION_INVALID', `there would be ${String(count)} segments that are not archived`, {
    where: 'segments',
    hint: `at most ${String(MAX_SEGMENTS)} can be: archive some first`,
  });
}

function found(segment: StoredSegment | null, key: string): StoredSegment {
  if (segment !== null) return segment;
  throw new WeftError('NOT_FOUND', `there is no segment ${key}`, { where: 'key', hint: 'list the segments' });
}
