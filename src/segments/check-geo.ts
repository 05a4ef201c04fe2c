import type { ASTNode } from '@marcbachmann/cel-js';
import { arity, at, type CallRule } from './call-arity.js';
import { span, type CheckContext } from './check-context.js';
import { isLatitude, isLongitude } from './geo.js';
import type { Expression, GeoExpression } from './segment-expression.model.js';

/* Places are latitudes and longitudes in degrees: traits, features or constants. */

const NEAR = 'near(traits.latitude, traits.longitude, 48.86, 2.35, 10)';
const DISTANCE = 'distance_km(traits.latitude, traits.longitude, 48.86, 2.35)';
const BOX = 'within_box(traits.latitude, traits.longitude, 47.2, 5.9, 55.1, 15.1)';

/** Kilometres between two places. */
export const distance: CallRule = (c, node, args) => {
  arity(c, node, args, DISTANCE, 4);
  return geo(c, node, 'distance_km', args);
};

/** Whether two places are at most so many kilometres apart. */
export const near: CallRule = (c, node, args) => {
  arity(c, node, args, NEAR, 5);
  const left = geo(c, node, 'distance_km', args.slice(0, 4));
  const right = number(c, at(args, 4), 'a distance in kilometres');
  if (right.kind === 'literal' && Number(right.value) <= 0) {
    return c.fail(at(args, 4), 'a distance is more than 0 km', `write ${NEAR}`);
  }
  return { kind: 'compare', type: 'bool', ...span(node), op: '<=', left, right };
};

/** Whether a place is in a box: south, west, north, east. */
export const withinBox: CallRule = (c, node, args) => {
  arity(c, node, args, BOX, 6);
  const box = geo(c, node, 'within_box', args);
  const [south, north] = [box.args[2], box.args[4]];
  if (south?.kind === 'literal' && north?.kind === 'literal' && Number(south.value) > Number(north.value)) {
    const hint = 'the order is south, west, north, east; over the 180th meridian west is more than east';
    return c.fail(at(args, 2), 'the south of the box is north of its north', hint);
  }
  return box;
};

function geo(c: CheckContext, node: ASTNode, name: GeoExpression['name'], args: readonly ASTNode[]): GeoExpression {
  const type = name === 'within_box' ? 'bool' : 'double';
  const checked = args.map((arg, i) => (i % 2 === 0 ? latitude(c, arg) : longitude(c, arg)));
  return { kind: 'geo', type, ...span(node), name, args: checked };
}

function latitude(c: CheckContext, node: ASTNode): Expression {
  const value = number(c, node, 'a latitude');
  if (value.kind !== 'literal' || isLatitude(Number(value.value))) return value;
  const hint = 'the latitude comes first, as 48.86, 2.35 for Paris';
  return c.fail(node, `a latitude is from -90 to 90, found ${String(value.value)}`, hint);
}

function longitude(c: CheckContext, node: ASTNode): Expression {
  const value = number(c, node, 'a longitude');
  if (value.kind !== 'literal' || isLongitude(Number(value.value))) return value;
  return c.fail(node, `a longitude is from -180 to 180, found ${String(value.value)}`, 'west of Greenwich is negative');
}

function number(c: CheckContext, node: ASTNode, what: string): Expression {
  const value = c.check(node);
  if (value.type === 'int' || value.type === 'double' || value.type === 'dyn') return value;
  const hint = value.type === 'string' ? 'turn text into a number with double(…)' : undefined;
  return c.fail(node, `expected ${what}, found ${value.type}`, hint);
}
