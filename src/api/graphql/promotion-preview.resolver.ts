import { Arg, Authorized, Ctx, Int, Query, Resolver } from 'type-graphql';
import { traitAsked } from '../../scoring/promotion-preview.model.js';
import type { ApiContext } from './api-context.js';
import { ModelPromotionPreview } from './promotion-preview.types.js';

@Resolver()
export class PromotionPreviewResolver {
  @Authorized('admin')
  @Query(() => ModelPromotionPreview, {
    description:
      'What would change if a version of a model were promoted, in segments and scores: people as they are now are evaluated with it. Of a sample of people, for at most 20 s; `weft model promote --dry-run` looks at all. Nothing is changed.',
  })
  modelPromotionPreview(
    @Ctx() { services, reads }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the model, as `purchase_intent`.' }) key: string,
    @Arg('version', () => Int, { description: 'Which version of the model, 1, 2, …' }) version: number,
    @Arg('maxProfiles', () => Int, {
      defaultValue: 2_000,
      description: 'About how many profiles are looked at, drawn at random, always the same; at most 20,000.',
    })
    maxProfiles: number,
    @Arg('by', () => String, {
      nullable: true,
      description: 'A trait by whose values it is compared whom segments select, as `trait.gender`. Default: none.',
    })
    by: string | null | undefined,
  ): Promise<ModelPromotionPreview> {
    reads.countSingleRead('modelPromotionPreview');
    return services.promotionPreviews.preview({ key, version, maxProfiles, by: by == null ? null : traitAsked(by) });
  }
}
