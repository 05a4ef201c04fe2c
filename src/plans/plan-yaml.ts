import { Document, isMap, isScalar } from 'yaml';
import { contentOf, ruleName, type EventRule, type TrackingPlan } from './tracking-plan.model.js';

/** Remarks to be written behind names: by what `ruleName` says, and for properties `<rule name>.<property>`. */
export type PlanRemarks = ReadonlyMap<string, string>;

/** A plan as its author would write it; `parsePlan` reads it back as the same plan. */
export function planYaml(source: string, plan: TrackingPlan, remarks: PlanRemarks = new Map(), head?: string): string {
  const document = new Document({
    tracking_plan: source,
    ...(plan.description === '' ? {} : { description: plan.description }),
    policy: plan.policy,
    events: plan.events.map(ruleFields),
  });
  if (head !== undefined) document.commentBefore = head;
  const events = document.get('events');
  plan.events.forEach((rule, i) => {
    const place = contentOf(rule.type);
    remark(document.getIn(['events', i, place]), rule, remarks);
    const item: unknown = document.getIn(['events', i]);
    const comment = remarks.get(ruleName(rule));
    if (isMap(item) && comment !== undefined) item.commentBefore = ` ${comment}`;
  });
  if (typeof events === 'object' && events !== null && 'spaceBefore' in events) events.spaceBefore = true;
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

function ruleFields(rule: EventRule): Record<string, unknown> {
  const { type, name, description, policy, required, properties, additionalProperties, allOf } = rule;
  return {
    type,
    ...(name === null ? {} : { name }),
    ...(description === '' ? {} : { description }),
    ...(Object.keys(policy).length === 0 ? {} : { policy }),
    ...(required.length === 0 ? {} : { required }),
    ...(Object.keys(properties).length === 0 ? {} : { [contentOf(type)]: properties }),
    ...(additionalProperties ? { additionalProperties } : {}),
    ...(allOf.length === 0 ? {} : { allOf }),
  };
}

/** Puts each schema on the line of its name, with the remark behind it. */
function remark(properties: unknown, rule: EventRule, remarks: PlanRemarks): void {
  if (!isMap(properties)) return;
  for (const { key, value } of properties.items) {
    if (!isMap(value)) continue;
    value.flow = true;
    const comment = isScalar(key) ? remarks.get(`${ruleName(rule)}.${String(key.value)}`) : undefined;
    if (comment !== undefined) value.comment = ` ${comment}`;
  }
}
