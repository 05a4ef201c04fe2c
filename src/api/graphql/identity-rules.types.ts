import { Field, Int, ObjectType } from 'type-graphql';
import { identityRulesYaml } from '../../identity/identity-rules-yaml.js';
import type { IdentityRevisionRecord } from '../../identity/identity-revision.model.js';
import type { IdentityRulesVersion } from '../../identity/identity-rules.reader.js';
import type { IdentityRulesChange } from '../../identity/identity-rules.service.js';
import { storedRules } from '../../identity/stored-identity-rules.js';
import { connectionTypes } from './connection.types.js';
import { IdentityRevisionType, revisionView } from './identity.types.js';
import { DateTime, Json } from './scalars.js';
import { DefinitionWarning } from './warning.types.js';

@ObjectType('IdentityRules', {
  simpleResolvers: true,
  description: 'The rules by which events say who is who, as of one version.',
})
export class IdentityRulesType {
  @Field(() => Int, { description: 'From 1 on, which are the built-in ones; one more with each change.' })
  version!: number;

  @Field(() => DateTime, { nullable: true, description: 'When they were applied; null: they are the built-in ones.' })
  appliedAt!: number | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Who applied them: the name of a key, or of a user of the command line; null: they are the built-in ones.',
  })
  appliedBy!: string | null;

  @Field(() => String, { description: 'The rules as YAML, as `applyIdentityRules` and `weft apply` take them.' })
  text!: string;

  @Field(() => Json, {
    description:
      'The rules as JSON, complete: `namespaces`, `fallback`, `blockedValues`, `blockedMailboxes`, `blockedPatterns`, `emails`, `defaultRegion`; windows in ms.',
  })
  rules!: unknown;
}

export const IdentityRulesConnection = connectionTypes<IdentityRulesType>(IdentityRulesType, 'IdentityRules');

@ObjectType('IdentityRulesChange', {
  simpleResolvers: true,
  description: 'Rules of who is who that were applied, or would be.',
})
export class IdentityRulesChangeType {
  @Field(() => Boolean, {
    description: 'Whether anything was changed: false for a dry run, and where nothing differs.',
  })
  applied!: boolean;

  @Field(() => [String], {
    description: 'What differs from the rules that were in force, in lines for people, as `~ email: limit 5 -> 3`.',
  })
  changes!: readonly string[];

  @Field(() => [String], {
    description:
      'Which of it concerns those who are there, at most one of each namespace, as `email (limit)`: they are resolved by it once an event touches them, or if `reresolve` asks for it.',
  })
  concerns!: readonly string[];

  @Field(() => [DefinitionWarning], {
    description:
      'What is allowed and yet probably not meant, as a mistyped namespace, or not done, as to part who was joined by a value blocked now, unless `reresolve` asks for it; at most one of each.',
  })
  warnings!: readonly DefinitionWarning[];

  @Field(() => IdentityRulesType, { description: 'The rules in force now.' })
  current!: IdentityRulesType;

  @Field(() => IdentityRevisionType, {
    nullable: true,
    description:
      'How far it is that those whom it concerns are resolved anew; null: nobody asked for that, or it concerns nobody.',
  })
  revision!: IdentityRevisionType | null;
}

export function identityRulesView({ rules, appliedAt, appliedBy }: IdentityRulesVersion): IdentityRulesType {
  return { version: rules.version, appliedAt, appliedBy, text: identityRulesYaml(rules), rules: storedRules(rules) };
}

export function identityRulesChangeView(
  { applied, changes, causes, current, warnings }: IdentityRulesChange,
  ofText: readonly DefinitionWarning[],
  revision: IdentityRevisionRecord | null,
): IdentityRulesChangeType {
  return {
    ...{ applied, changes, warnings: [...ofText, ...warnings], concerns: causes },
    current: identityRulesView(current),
    revision: revision === null ? null : revisionView(revision),
  };
}
