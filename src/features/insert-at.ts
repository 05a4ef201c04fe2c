/** Arrays of up to so many elements are made anew for each further one. */
const FEW = 8;

/*
 * Most arrays of a stream hold an element or two for good, and there are many of them. V8 gives an array that grows in place
 * room for 16 more; one that is made anew has none.
 */

/** The array with one more element at `position`, in place or anew. */
export function insertAt<T>(array: T[], position: number, element: T): T[] {
  if (array.length === 0) return [element];
  if (array.length <= FEW) return array.toSpliced(position, 0, element);
  array.splice(position, 0, element);
  return array;
}

/** The array, without room for more where it is short; to be called once it has grown for the time being. */
export function trimmed<T>(array: T[]): T[] {
  return array.length <= FEW ? array.slice() : array;
}
