const KEY = /^[a-z][a-z0-9_]{0,62}$/;

/** How a person is told of a text that is no key. */
export const KEY_HINT = 'use lower-case letters, digits and underscores, starting with a letter, at most 63 characters';

/** Whether sources, features, models and segments may be called so. */
export function isKey(text: string): boolean {
  return KEY.test(text);
}
