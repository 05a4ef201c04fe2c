import { WeftError } from './platform/errors.js';
import { ZoneOffsets } from './platform/zone-offsets.js';
import { MAPPING_LIMITS } from './sources/mapping.model.js';
import { MappingText, type MappingNode } from './sources/mapping-node.js';
import { parseWarehouse } from './sources/warehouse/parse-warehouse.js';
import type { WarehouseQuery } from './sources/warehouse/warehouse.model.js';

/** A query whose rows are labels. */
export interface LabelQuery {
  readonly from: WarehouseQuery;
  /** Of times that name none: IANA name, `UTC` or `±hh:mm`; null: all have to name theirs. */
  readonly zone: string | null;
}

/**
 * Reads a file that says where labels come from: `from` as in a mapping, and `zone`.
 * @param name how errors name the file
 * @throws WeftError DEFINITION_INVALID with every problem at once, each with `line:column`; PAYLOAD_TOO_LARGE
 */
export function parseLabelQuery(yaml: string, name: string): LabelQuery {
  if (Buffer.byteLength(yaml) > MAPPING_LIMITS.maxFileBytes) {
    const message = `a label query has at most ${String(MAPPING_LIMITS.maxFileBytes)} bytes`;
    throw new WeftError('PAYLOAD_TOO_LARGE', message, { where: name });
  }
  const text = new MappingText(yaml);
  const parsed = text.problems.length === 0 ? parsedQuery(text.root) : undefined;
  if (parsed !== undefined && text.problems.length === 0) return parsed;
  const [first] = text.problems;
  const lines = text.problems.map((p) => `${name}:${p.position} ${p.path === '' ? '' : `${p.path}: `}${p.message}`);
  const counted = lines.length === 1 ? 'the label query has a problem' : `it has ${String(lines.length)} problems`;
  throw new WeftError('DEFINITION_INVALID', `${counted}:\n  ${lines.join('\n  ')}`, {
    where: `${name}:${first?.position ?? '1:1'}`,
    hint: 'docs/features.md shows one, under "Labels of a query"',
  });
}

function parsedQuery(root: MappingNode): LabelQuery | undefined {
  const fields = root.knownFields(['from', 'zone']);
  if (fields === undefined) return undefined;
  const fromNode = fields.get('from');
  if (fromNode === undefined) return root.problem('"from" is missing: the store and its query, as in a mapping');
  const ofFrom = fromNode.knownFields(['postgres', 'bigquery', 'snowflake']);
  const from = ofFrom === undefined ? undefined : parseWarehouse(fromNode);
  const zone = zoneOf(fields.get('zone'));
  return from === undefined ? undefined : { from, zone };
}

function zoneOf(node: MappingNode | undefined): string | null {
  const zone = node?.string();
  if (node === undefined || zone === undefined) return null;
  try {
    new ZoneOffsets(zone);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    node.problem('unknown zone; write an IANA name such as Europe/London, UTC, or +01:00');
  }
  return zone;
}
