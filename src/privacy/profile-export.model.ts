import type { Uuid } from '../platform/ids.js';

/** The form of an export; grows by fields, and changes its number where a reader would be wrong. */
export const PROFILE_EXPORT_FORMAT = 'weft.profile/1';

/** All that is known of one person, as JSON text in pieces. */
export interface ProfileExport {
  readonly profileId: Uuid;
  readonly chunks: AsyncIterable<string>;
}

/** Opens exports. */
export interface ProfileExports {
  /** Null where there is no such profile. The profile's present id or any that it had. */
  open(profileId: Uuid): Promise<ProfileExport | null>;
}

/** A member of a JSON object: a value, or items that come one after the other. */
export type ExportMember = { readonly value: unknown } | { readonly items: AsyncIterable<unknown> };

/** JSON text of an object, one line for each value and item, so that a large one can be read line by line. */
export async function* jsonLines(members: Readonly<Record<string, ExportMember>>): AsyncGenerator<string> {
  yield '{';
  let separator = '\n';
  for (const [name, member] of Object.entries(members)) {
    yield `${separator}${JSON.stringify(name)}: `;
    separator = ',\n';
    if ('value' in member) {
      yield JSON.stringify(member.value);
      continue;
    }
    let between = '\n';
    yield '[';
    for await (const item of member.items) {
      yield `${between}${JSON.stringify(item)}`;
      between = ',\n';
    }
    yield ']';
  }
  yield '\n}\n';
}
