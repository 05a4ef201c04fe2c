/** Longest name that is compared; the distance is quadratic in it. */
const MAX_NAME_LENGTH = 80;

/**
 * Edit distance with adjacent transpositions (optimal string alignment), so that a swapped pair of letters counts once.
 */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforePrevious[j - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/**
 * The known name nearest to a mistyped one, or undefined where none is near enough to be what was meant: at most a
 * third of the letters may differ. Ties go to the name that sorts first, so that messages are stable.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  if (name.length > MAX_NAME_LENGTH) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= bestDistance + 1) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance || (distance === bestDistance && best !== undefined && candidate < best)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Names that a message lists; of more, none, and where to find them. */
const MAX_LISTED = 8;

/**
 * What to do about a name that there is not: the one that was meant, or those that there are where they are few.
 * @param otherwise what to do where there are none, or many
 */
export function nameHint(name: string, known: Iterable<string>, otherwise: string): string {
  const names = [...known];
  const near = nearestName(name, names);
  if (near !== undefined) return `did you mean ${near}?`;
  const isListed = names.length > 0 && names.length <= MAX_LISTED;
  return isListed ? `use one of those that there are: ${names.sort().join(', ')}` : otherwise;
}
