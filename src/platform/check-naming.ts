import { WeftError } from './errors.js';

export interface NamingLimits {
  readonly maxNameLength: number;
  readonly maxDescriptionLength: number;
}

/**
 * Refuses how people call something, such as a segment, where the name is blank or one of the texts is too long.
 * @throws WeftError BAD_REQUEST, where `name` or `description`
 */
export function checkNaming(
  { name, description }: { readonly name: string; readonly description: string },
  { maxNameLength, maxDescriptionLength }: NamingLimits,
): void {
  if (name.trim() === '' || name.length > maxNameLength) {
    throw new WeftError('BAD_REQUEST', 'the name is empty or too long', {
      where: 'name',
      hint: `give it 1 to ${String(maxNameLength)} characters`,
    });
  }
  if (description.length > maxDescriptionLength) {
    throw new WeftError('BAD_REQUEST', 'the description is too long', {
      where: 'description',
      hint: `give it at most ${String(maxDescriptionLength)} characters`,
    });
  }
}
