import { Arg, Authorized, Ctx, Int, Mutation, Query, Resolver } from 'type-graphql';
import { IDENTITY_RULE_LIMITS } from '../../identity/identity-rules.model.js';
import { IdentityRulesReader } from '../../identity/identity-rules.reader.js';
import { parseIdentityRules } from '../../identity/parse-identity-rules.js';
import { WeftError } from '../../platform/errors.js';
import { nameOf } from '../auth/api-key.model.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, damagedCursor, IDENTITY_COMPONENT_CURSOR, IDENTITY_RULES_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import { IdentityRulesPreviewType, rulesPreviewView } from './identity-rules-preview.types.js';
import { actorOf } from './identity.resolver.js';
import {
  identityRulesChangeView,
  IdentityRulesChangeType,
  IdentityRulesConnection,
  IdentityRulesType,
  identityRulesView,
} from './identity-rules.types.js';

const Applied = resultUnion<IdentityRulesChangeType>(
  'ApplyIdentityRulesResult',
  { type: IdentityRulesChangeType, name: 'IdentityRulesChange' },
  ['InvalidDefinition', 'Conflict'],
);

/** Of one preview: that concern the rules, and that are looked at for these. */
const MAX_COMPONENTS = 5_000;
const MAX_LOOKED = 100_000;

const IN_FORCE = { rules: null, warnings: [] };

/** The rules by which events say who is who. */
@Resolver()
export class IdentityRulesResolver {
  @Authorized('admin')
  @Query(() => IdentityRulesType, {
    nullable: true,
    description:
      'The rules by which events say who is who: those in force, or an older version. Null: there is no such version.',
  })
  async identityRules(
    @Ctx() { services, reads }: ApiContext,
    @Arg('version', () => Int, { nullable: true, description: 'As `2`; default: the version in force.' })
    version: number | null | undefined,
  ): Promise<IdentityRulesType | null> {
    reads.countSingleRead('identityRules');
    const reader = new IdentityRulesReader(services.db);
    if (version == null) return identityRulesView(await reader.current());
    if (version < 1 || version > IDENTITY_RULE_LIMITS.maxVersion) return null;
    const found = await reader.version(version);
    return found === null ? null : identityRulesView(found);
  }

  @Authorized('admin')
  @Query(() => IdentityRulesConnection, {
    description: 'Every version of the rules of who is who, the newest first, the built-in ones last.',
  })
  async identityRulesVersions(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<IdentityRulesType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('identityRulesVersions');
    const before = typeof after === 'string' ? IDENTITY_RULES_CURSOR.decode(after).version : null;
    if (before !== null && (before < 1 || before > IDENTITY_RULE_LIMITS.maxVersion)) throw damagedCursor();
    const versions = await new IdentityRulesReader(services.db).versions(before, limit + 1);
    const edges = versions.map((each) => ({
      cursor: IDENTITY_RULES_CURSOR.encode({ version: each.rules.version }),
      node: identityRulesView(each),
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Mutation(() => Applied.type, {
    description:
      'Puts rules of who is who in force, for what is accepted from now on, in all processes at once. They are all of the rules: what they leave out is as it is built in. What is in force already is left alone.',
  })
  applyIdentityRules(
    @Ctx() { services, principal }: ApiContext,
    @Arg('rules', () => String, {
      description: 'The rules as YAML or JSON: `identity: { namespaces: { email: { limit: 3 } } }`.',
    })
    text: string,
    @Arg('dryRun', () => Boolean, { defaultValue: false, description: 'Whether only to say what would change.' })
    isDryRun: boolean,
    @Arg('reresolve', () => Boolean, {
      defaultValue: false,
      description:
        'Whether those who are there and whom the change concerns are resolved anew at once; workers do it. See `identityRulesPreview` for what that would do.',
    })
    isReresolving: boolean,
  ): Promise<unknown> {
    return Applied.attempt(async () => {
      const { rules, warnings } = parseIdentityRules(text, 'rules');
      const reresolve = isReresolving ? { actor: actorOf(principal), reason: 'the rules changed' } : undefined;
      const change = await services.identityRules.apply(rules, { by: nameOf(principal), isDryRun, reresolve });
      const { revisionId } = change;
      const revision = revisionId === null ? null : await services.identity.revisions.get(revisionId);
      return identityRulesChangeView(change, warnings, revision);
    });
  }

  @Authorized('admin')
  @Query(() => IdentityRulesPreviewType, {
    description:
      'What rules of who is who would make of those who are there, were they resolved anew by them: by the code that does so, and without changing anything. Worked through in parts: `endCursor` says where to go on.',
  })
  async identityRulesPreview(
    @Ctx() { services, reads }: ApiContext,
    @Arg('rules', () => String, {
      nullable: true,
      description:
        'The rules as YAML or JSON: `identity: { namespaces: { email: { limit: 3 } } }`; default: those in force, for everybody, as `reresolveIdentities` does it.',
    })
    text: string | null | undefined,
    @Arg('components', () => Int, {
      defaultValue: 1_000,
      description: 'How many components that the rules concern are worked through at most, from 1 to 5,000.',
    })
    components: number,
    @Arg('after', () => String, {
      nullable: true,
      description: 'Where to begin: `endCursor` of a preview before, opaque, as `eyJ2IjoxfQ`; default: at the start.',
    })
    after: string | null | undefined,
  ): Promise<IdentityRulesPreviewType> {
    reads.countOnce('identityRulesPreview');
    if (components < 1 || components > MAX_COMPONENTS) {
      throw new WeftError('BAD_REQUEST', `components must be from 1 to ${String(MAX_COMPONENTS)}`, {
        where: 'components',
        hint: 'go on by after: endCursor',
      });
    }
    const { rules, warnings } = typeof text === 'string' ? parseIdentityRules(text, 'rules') : IN_FORCE;
    const place = typeof after === 'string' ? cursorId(IDENTITY_COMPONENT_CURSOR.decode(after).id) : null;
    const asked = { place, maxExamined: components, maxLooked: MAX_LOOKED };
    return rulesPreviewView(await services.identity.rulesPreviews.preview(rules, asked), warnings);
  }
}
