/** Of the values that are there: so many make a column what they are. */
const MOST = 0.98;
/** From so many values on, one that does not fit is a mistake in any case. */
const MIN_VALUES = 5;

/** Whether so many that do not fit are few enough to be mistakes: one of five or more, and two of a hundred. */
export function areMistakes(misfits: number, values: number): boolean {
  return misfits === 0 || (values >= MIN_VALUES && misfits <= Math.max(1, Math.floor(values * (1 - MOST) + 1e-9)));
}

/** False of none. */
export function nearlyAll<T>(values: readonly T[], fits: (value: T) => boolean): boolean {
  if (values.length === 0) return false;
  let misfits = 0;
  for (const value of values) if (!fits(value)) misfits++;
  return areMistakes(misfits, values.length);
}
