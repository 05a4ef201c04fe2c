import type { YamlValue } from '../platform/yaml-file.js';
import type { DefinitionMetadata } from './feature.model.js';

/** Fields that every definition may have beside those of its kind. */
export const METADATA_FIELDS = ['description', 'owner', 'tags'];

const MAX_TEXT_LENGTH = 4_000;
const MAX_OWNER_LENGTH = 200;
const MAX_TAGS = 20;
const MAX_TAG_LENGTH = 100;

/** What a definition says of itself. Fields that it leaves out are left out, so that older versions compare equal. */
export function readMetadata(fields: ReadonlyMap<string, YamlValue>): DefinitionMetadata {
  const description = fields.get('description')?.text('the description', MAX_TEXT_LENGTH) ?? '';
  const owner = fields.get('owner')?.text('the owner', MAX_OWNER_LENGTH);
  const tags = readTags(fields.get('tags'));
  return {
    description,
    ...(owner === undefined ? {} : { owner }),
    ...(tags.length === 0 ? {} : { tags }),
  };
}

function readTags(list: YamlValue | undefined): string[] {
  const items = list?.items('tags') ?? [];
  if (items.length > MAX_TAGS) list?.problem('there are too many tags', `give at most ${String(MAX_TAGS)}`);
  const tags = items.map((item) => item.text('a tag', MAX_TAG_LENGTH)).filter((tag) => tag !== undefined);
  return [...new Set(tags)];
}
