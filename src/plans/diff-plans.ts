import { contentOf, ruleName, type EventRule, type TrackingPlan } from './tracking-plan.model.js';

/** What another plan would change, in lines that say it to people: `+` more, `-` less, `~` otherwise. */
export function diffPlans(before: TrackingPlan | null, after: TrackingPlan): readonly string[] {
  const lines: string[] = [];
  const standing = new Map(before?.events.map((rule) => [ruleName(rule), rule]));
  if (before !== null && before.description !== after.description) lines.push('~ description');
  for (const [rule, action] of Object.entries(after.policy)) {
    const was = before?.policy[rule as keyof TrackingPlan['policy']];
    if (was !== action) lines.push(`~ policy: ${rule} ${was === undefined ? '' : `${was} -> `}${action}`);
  }
  for (const rule of after.events) {
    const name = ruleName(rule);
    const was = standing.get(name);
    standing.delete(name);
    if (was === undefined) lines.push(`+ ${name}`);
    else lines.push(...diffRules(name, was, rule));
  }
  for (const name of standing.keys()) lines.push(`- ${name}`);
  return lines;
}

function diffRules(name: string, before: EventRule, after: EventRule): string[] {
  const place = contentOf(after.type);
  const lines: string[] = [];
  for (const field of ['description', 'policy', 'additionalProperties', 'allOf'] as const) {
    if (!isSame(before[field], after[field])) lines.push(`~ ${name}: ${field}`);
  }
  const names = new Set([...Object.keys(before.properties), ...Object.keys(after.properties)]);
  for (const property of names) {
    const [was, is] = [before.properties[property], after.properties[property]];
    if (was === undefined) lines.push(`+ ${name}: ${place}.${property}`);
    else if (is === undefined) lines.push(`- ${name}: ${place}.${property}`);
    else if (!isSame(was, is)) lines.push(`~ ${name}: ${place}.${property}`);
  }
  const [wasRequired, isRequired] = [new Set(before.required), new Set(after.required)];
  for (const property of isRequired) {
    if (!wasRequired.has(property)) lines.push(`~ ${name}: ${place}.${property} is required`);
  }
  for (const property of wasRequired) {
    if (!isRequired.has(property)) lines.push(`~ ${name}: ${place}.${property} is no longer required`);
  }
  return lines;
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
