import { describe, expect, it } from 'vitest';
import type { FeatureType } from '../features/feature.model.js';
import { WeftError } from '../platform/errors.js';
import { parseSegment } from './parse-segment.js';

const schema = {
  features: new Map<string, FeatureType>([
    ['orders_30d', 'int'],
    ['spend', 'double'],
    ['network', 'string'],
    ['is_known', 'bool'],
  ]),
  models: new Set(['purchase_intent']),
  segments: new Set(['customers']),
};

function faultOf(expression: string): WeftError {
  try {
    parseSegment(expression, schema);
  } catch (error) {
    if (error instanceof WeftError) return error;
    throw error;
  }
  throw new Error(`${expression} is valid`);
}

describe('the hint of a condition that is not valid', () => {
  it.each([
    // Signs of other languages.
    ['f.orders_30d => 3', '1:14', 'write >= for =>'],
    ['f.orders_30d =< 3', '1:14', 'write <= for =<'],
    ['f.orders_30d = 3', '1:14', 'write == for ='],
    ['f.network === "x"', '1:11', 'write == for ==='],
    ['f.network !== "x"', '1:11', 'write != for !=='],
    ['f.orders_30d <> 3', '1:14', 'write != for <>'],
    ['f.orders_30d ≥ 3', '1:14', 'write >= for ≥'],
    ['f.orders_30d ≠ 3', '1:14', 'write != for ≠'],
    ['f.spend > 1.0 & f.spend < 3.0', '1:15', 'write && for &'],
    ['f.spend > 1.0 | f.spend < 3.0', '1:15', 'write || for |'],
    ['f.spend > 1.0;', '1:14', 'take ; out; join conditions by && or ||'],
    ['# new\nf.spend > 1.0', '1:1', 'a comment begins with //'],
    ['f.spend > 1,000', '1:11', 'write 1000 for 1,000'],
    ['f.spend > €50', '1:11', 'write the number without €'],
    ['score("purchase_intent") > 50%', '1:28', 'write 50 for 50%'],
    ['traits.email ~ "x"', '1:14', 'for a pattern write regex(traits.email, "…") in place of ~'],
    ['f.spend >\u00a03.0', '1:10', 'write an ordinary space for the invisible character here'],
    // Words.
    ['f.spend > 1.0 and f.spend < 3.0', '1:15', 'write && for and'],
    ['f.spend > 1.0\n  OR f.spend < 3.0', '2:3', 'write || for OR'],
    ['not performed("purchase")', '1:1', 'write ! for not'],
    ['f.spend > 1.0 && NOT f.is_known', '1:18', 'write ! for NOT'],
    ['traits.country is null', '1:16', 'write !has(traits.name) for is null'],
    ['traits.country is not null', '1:16', 'write has(traits.name) for is not null'],
    ['traits.city like "L%"', '1:13', 'write traits.name.contains("…") for like'],
    ['f.orders_30d between 1 and 3', '1:14', 'write x >= 1 && x <= 3 for between'],
    ['if f.is_known then true', '1:1', 'write condition ? value : other value'],
    ['WHERE f.is_known', '1:1', 'write the condition alone, without WHERE'],
    // Quotation marks, brackets, commas, ends.
    ['performed(“purchase”)', '1:11', 'write plain quotation marks "…" for “'],
    ['performed(‘purchase’)', '1:11', 'write plain quotation marks "…" for ‘'],
    ['performed("purchase)', '1:11', 'close the text with the quotation mark that it begins with'],
    ['(f.is_known || f.spend > 1.0', '1:29', 'add ) to close (f.is_known || f.spe…'],
    ['performed("purchase"', '1:21', 'add ) to close ("purchase"'],
    ['f.is_known)', '1:11', 'take this ) out, or open it before'],
    ['f.network in ["a", "b"', '1:23', 'add ] to close ["a", "b"'],
    ['f.network in ["a", "b")', '1:23', 'write ] for ), or close the [ before'],
    ['f.network in ("a", "b")', '1:18', 'write the list in square brackets: x in ["a", "b"]'],
    ['count("purchase" "24h") > 1', '1:18', 'put a comma between the arguments'],
    ['f.is_known &&', '1:14', 'write a value or a condition after &&'],
    ['f.is_known && || f.is_known', '1:15', 'write a value or a condition before this ||'],
    ['f.is_known ? true', '1:18', 'write what holds otherwise: condition ? value : other value'],
    ['f.is_known perhaps', '1:12', 'a condition looks like f.orders_30d >= 3 && traits.country == "AT"'],
    // Durations.
    ['performed("purchase", "7 days")', '1:23', 'write "7d"'],
    ['performed("purchase", "2 Weeks")', '1:23', 'write "14d"'],
    ['since("purchase") > "1.5h"', '1:21', 'write "90m"'],
    ['since("purchase") > "P30D"', '1:21', 'write "30d"'],
    ['since("purchase") > "soon"', '1:21', 'durations are written as 30s, 5m, 24h or 90d'],
    ['performed("purchase", 7d)', '1:23', 'put the duration in quotes: "7d"'],
    ['since("purchase") > 5m', '1:21', 'put the duration in quotes: "5m"'],
    ['performed("purchase", 7)', '1:23', 'write the unit, too: "7d" for days, "7h" for hours, "7m" for minutes'],
    ['since("purchase") > 90', '1:21', 'write the unit, too: "90d" for days, "90h" for hours, "90m" for minutes'],
    ['since("purchase")', '1:1', 'compare it with a duration, as in `since("event") > "7d"`'],
    ['last("purchase") > "7d"', '1:20', 'to ask how long ago it was, write since(…) in place of last(…)'],
    ['last("purchase") > "2026-01-31"', '1:20', 'write timestamp("2026-01-31")'],
    // Steps in their order.
    ['sequence("a", "b")', '1:10', 'write sequence(["product_view", "add_to_cart", "purchase"], "7d")'],
    ['funnel(["a"]) > 0', '1:8', 'write funnel(["product_view", "add_to_cart", "purchase"], "7d")'],
    ['sequence(["a", purchase])', '1:16', 'write "purchase"'],
    ['sequence(["a", "b"], "2 weeks")', '1:22', 'write "14d"'],
    ['sequence(["a", "b"], "2d", "800d")', '1:28', 'leave it out where any time will do'],
    ['sequence(["a", step("b")])', '1:16', 'write step("purchase", "properties.total > 50")'],
    ['sequence(["a", step("b", "properties.total = 5")])', '1:26', 'write == for ='],
    ['funnel(["a", "b"], "7d") >= 3', '1:29', 'it is how many of its steps were reached'],
    ['step("a", "properties.x > 1") > 1', '1:1', 'a step stands in the list of sequence([…]) or funnel([…])'],
    ['seqence(["a", "b"], "7d")', '1:1', 'write sequence(…)'],
    // Clocks.
    ['hour() > 9', '1:1', 'write hour("Europe/Paris"), or hour(traits.timezone) by the clock of the person'],
    ['hour("Paris") > 9', '1:6', 'did you mean Europe/Paris?'],
    ['hour("Europe/Pari") > 9', '1:6', 'did you mean Europe/Paris?'],
    ['hour(f.orders_30d) > 9', '1:8', 'write "Europe/Paris", or traits.timezone for the clock of the person'],
    ['weekday("UTC") == "Saturday"', '1:19', 'write "sat"'],
    ['weekday("UTC") in ["sat", "holiday"]', '1:27', 'days are mon, tue, wed, thu, fri, sat, sun'],
    ['weekday("UTC") > "fri"', '1:18', 'write weekday(…) in ["sat", "sun"]'],
    [
      'time_between("9:00", "17:00", "UTC")',
      '1:14',
      'write "00:00" to "23:59", with two digits each; 24:00 ends a day',
    ],
    ['time_between("09:00", "09:00", "UTC")', '1:23', 'leave time_between() out where any time will do'],
    [
      'between("09:00", "17:00", "UTC")',
      '1:1',
      'write x >= 1 && x <= 2; for a time of day time_between("09:00", "17:30", "Europe/Paris")',
    ],
    ['birthday(traits.born)', '1:1', 'write anniversary(traits.birth_date, "Europe/Paris")'],
    ['traits.zones.exists(z, hour(z) > 9)', '1:24', 'ask it of a trait or a feature by itself'],
    // Places.
    [
      'near(traits.lat, traits.lon, 2.35, 48.86) ',
      '1:1',
      'write near(traits.latitude, traits.longitude, 48.86, 2.35, 10)',
    ],
    ['near(traits.lat, traits.lon, 148.86, 2.35, 5)', '1:30', 'the latitude comes first, as 48.86, 2.35 for Paris'],
    ['near(traits.lat, traits.lon, 48.86, -200, 5)', '1:37', 'west of Greenwich is negative'],
    [
      'near(traits.lat, traits.lon, 48.86, 2.35, 0)',
      '1:43',
      'write near(traits.latitude, traits.longitude, 48.86, 2.35, 10)',
    ],
    ['distance_km(f.network, 2, 48.86, 2.35) < 5', '1:15', 'turn text into a number with double(…)'],
    [
      'within_box(1, 2, 55.1, 5.9, 47.2, 15.1)',
      '1:18',
      'the order is south, west, north, east; over the 180th meridian west is more than east',
    ],
    ['haversine(1, 2, 3, 4) < 5', '1:1', 'write near(traits.latitude, traits.longitude, 48.86, 2.35, 10), in km'],
    // Types.
    ['f.orders_30d == "5"', '1:17', 'write 5 without quotes'],
    ['f.orders_30d == "many"', '1:17', 'compare it with a number, without quotes'],
    ['f.network == 5', '1:14', 'write "5" in quotes'],
    ['5 == f.network', '1:8', 'write "5" in quotes'],
    ['f.is_known == "true"', '1:15', 'write true without quotes'],
    ['performed("purchase") == "yes"', '1:26', 'it is true or false: leave the comparison out'],
    ['f.orders_30d', '1:3', 'compare it with a number, as in `… > 0`'],
    ['!f.orders_30d > 1', '1:4', 'put the comparison in parentheses: !(… > 0)'],
    // Names.
    ['f.network == twitter', '1:14', 'write "twitter" for a text; features are written f.name, traits traits.name'],
    ['f.is_known == True', '1:15', 'write true'],
    ['traits.country == NULL', '1:19', 'use has(…) to ask whether a value is known'],
    ['Traits.country == "AT"', '1:1', 'write traits.name'],
    ['F.spend > 1.0', '1:1', 'write f.name'],
    ['count(purchase) > 1', '1:7', 'write "purchase"'],
    ['score(purchase_intent) > 0.5', '1:7', 'write "purchase_intent"'],
    ['max("purchase", "total") > 5.0', '1:17', 'write "properties.total"'],
    ['Count("purchase") > 1', '1:1', 'write count(…)'],
    ['PERFORMED("purchase")', '1:1', 'write performed(…)'],
    ['startsWith(traits.email, "a")', '1:1', 'write it after the text, as traits.name.startsWith(…)'],
    ['lowerascii(traits.city) == "leeds"', '1:1', 'write it after the text, as traits.name.lowerAscii(…)'],
    ['toLower(traits.city) == "leeds"', '1:1', 'write traits.name.lowerAscii()'],
    ['exists(traits.city)', '1:1', 'write has(traits.name)'],
    ['now() > 1', '1:1', 'to ask how long ago an event was, write since("event") > "7d"'],
    [
      'score("purchase_intend") > 0.5',
      '1:7',
      'register it first: weft model register model.onnx manifest.yaml --promote',
    ],
    [
      'segment("customer")',
      '1:9',
      'write that segment first, or both in one file; weft segment list shows those there are',
    ],
  ])('%s', (expression, where, hint) => {
    expect(faultOf(expression)).toMatchObject({ code: 'EXPRESSION_INVALID', where, hint });
  });

  it.each([
    ['f.order_30d > 1', 'unknown feature f.order_30d; did you mean f.orders_30d?'],
    ['orders_30d > 1', 'unknown name orders_30d; did you mean f.orders_30d?'],
    ['Count("purchase") > 1', 'unknown function Count; did you mean count(…)?'],
    ['traits.city.startswith("a")', 'unknown function .startswith; did you mean .startsWith(…)?'],
    ['segment("customer")', 'unknown segment "customer"; did you mean "customers"?'],
    ['score("purchase_intend") > 0.5', 'unknown model "purchase_intend"; did you mean "purchase_intent"?'],
    ['f.is_known foo', 'unexpected foo'],
    ['hour("UTC") == 24', 'hour(…) is from 0 to 23, never 24'],
    ['13 == month("UTC")', 'month(…) is from 1 to 12, never 13'],
    ['anniversary("1990-05-31", "UTC")', 'anniversary() expects a date of the profile, found a constant'],
    ['hour("Atlantis/Up") > 1', 'there is no zone Atlantis/Up'],
    ['sequence(["a", "b"], "7d") > 1', 'cannot compare bool with int: expected bool'],
  ])('comes with what was probably meant: %s', (expression, message) => {
    expect(faultOf(expression).message).toBe(message);
  });

  it('is no hint at words that are right where they stand', () => {
    for (const expression of [
      'traits.is == "x" && traits.like == "y"',
      'f.network in ["and", "or", "=>", "“", "1,000"] // not; and = too',
      'count("purchase", "24h",) > 1',
      'max("a => b", "properties.not") > 5.0',
    ]) {
      expect(() => parseSegment(expression, schema)).not.toThrow();
      expect(faultOf(`${expression.replace(/ \/\/.*/, '')} = true`).hint).toBe('write == for =');
    }
  });
});
