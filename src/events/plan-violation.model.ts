/** What an event may violate of the tracking plan of its source. */
export const VIOLATION_RULES = ['unplanned_event', 'missing_property', 'invalid_value', 'unplanned_property'] as const;
export type ViolationRule = (typeof VIOLATION_RULES)[number];

export interface PlanViolation {
  readonly rule: ViolationRule;
  /**
   * Where in the event: `properties.total`, `traits.plan`; '' for the event itself. Names that are not planned and no
   * plain words are given as `properties.*`: they may be data.
   */
  readonly path: string;
}

/** The field of an event's context that says what it violates, where its source has a plan. */
export const VIOLATIONS_FIELD = 'violations';

/** As it stands there: `missing_property properties.total`. */
export function violationText({ rule, path }: PlanViolation): string {
  return path === '' ? rule : `${rule} ${path}`;
}

/** What stands in a context; empty where nothing does that a plan has put there. */
export function violationTexts(context: Readonly<Record<string, unknown>>): readonly string[] {
  const found = context[VIOLATIONS_FIELD];
  return Array.isArray(found) ? found.filter((text) => typeof text === 'string') : [];
}
