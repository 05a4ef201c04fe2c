import { Field, ID, Int, ObjectType } from 'type-graphql';
import type { ApiScope } from '../auth/api-key.model.js';
import { ApiScopeType } from './enums.js';
import { DateTime } from './scalars.js';

@ObjectType('ApiKey', { simpleResolvers: true, description: 'A key to this API, without its secret.' })
export class ApiKeyType {
  @Field(() => ID, { description: 'What it is rotated and revoked by, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => String, { description: 'Whose key it is, in words for people.' })
  name!: string;

  @Field(() => String, { description: 'The first characters of its secret, to recognise it by, as `weft_r_x7Kp`.' })
  prefix!: string;

  @Field(() => [ApiScopeType], { description: 'What it may do; each scope once.' })
  scopes!: readonly ApiScope[];

  @Field(() => [String], {
    description:
      'For `EDGE`: origins of the pages that may ask by it, as in `https://shop.example`, or `*` for all. Empty: requests without the header `Origin` only, as servers send them.',
  })
  origins!: readonly string[];

  @Field(() => Int, {
    nullable: true,
    description: 'GraphQL requests, or events, a second in the long run; null: as the installation limits all.',
  })
  ratePerSecond!: number | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Id of the key that it takes the place of, as `01900000-0000-7000-8000-000000000000`; null if of none.',
  })
  rotatedFrom!: string | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it ends; null: not by itself.' })
  expiresAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was revoked; null if it was not.' })
  revokedAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was last used, to the minute; null if never.' })
  lastUsedAt!: number | null;
}
