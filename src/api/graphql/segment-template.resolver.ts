import { Arg, Authorized, Ctx, Query, Resolver } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { fillTemplate, missingFor } from '../../segments/fill-template.model.js';
import { SEGMENT_TEMPLATES } from '../../segments/segment-template.model.js';
import type { ApiContext } from './api-context.js';
import { FilledSegmentTemplateType, SegmentTemplateType, SegmentTemplateValueInput } from './segment-template.types.js';

const MAX_VALUES = 50;

@Resolver()
export class SegmentTemplateResolver {
  @Authorized('read')
  @Query(() => [SegmentTemplateType], { description: 'The usual segments of marketing, to begin with.' })
  segmentTemplates(): SegmentTemplateType[] {
    return SEGMENT_TEMPLATES.map(({ exit, tags, parameters, ...template }) => ({
      ...template,
      ...{ exitExpression: exit, tags: [...tags], parameters: [...parameters] },
    }));
  }

  @Authorized('admin')
  @Query(() => FilledSegmentTemplateType, {
    description: 'The conditions of a template with values for its parameters. Nothing is written.',
  })
  async segmentFromTemplate(
    @Ctx() { services, reads }: ApiContext,
    @Arg('template', () => String, { description: 'Key of the template, as `cart_abandoned`.' }) template: string,
    @Arg('values', () => [SegmentTemplateValueInput], {
      defaultValue: [],
      description: 'Values of parameters, at most 50; the others are their defaults.',
    })
    values: SegmentTemplateValueInput[],
  ): Promise<FilledSegmentTemplateType> {
    reads.countSingleRead('segmentFromTemplate');
    if (values.length > MAX_VALUES) {
      const hint = 'give each parameter once';
      throw new WeftError('BAD_REQUEST', 'there are too many values', { where: 'values', hint });
    }
    const filled = fillTemplate(template, new Map(values.map(({ name, value }) => [name, value])));
    const { expression, exitExpression } = filled;
    return { expression, exitExpression, warnings: await missingFor(filled, services.segments) };
  }
}
