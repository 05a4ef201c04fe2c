/**
 * Writes small files in the MaxMind DB format, version 2.0 (https://maxmind.github.io/MaxMind-DB/):
 *
 *   search tree    node = two records of 24 bits, big-endian: left for bit 0, right for bit 1
 *   16 zero bytes
 *   data           one value after the other
 *   ABCDEF "MaxMind.com" metadata
 *
 * A record is the number of a node, the number of nodes (nothing is known), or that plus 16 plus the offset of a value.
 */
export type MmdbValue = string | number | readonly MmdbValue[] | { readonly [key: string]: MmdbValue };

interface Node {
  left: Node | MmdbLeaf | null;
  right: Node | MmdbLeaf | null;
}

interface MmdbLeaf {
  readonly offset: number;
}

const MARKER = Buffer.from('abcdef4d61784d696e642e636f6d', 'hex');
const SEPARATOR_BYTES = 16;

/** @param networks what is known of each, as `203.0.113.0/24` */
export function mmdbFile(networks: Readonly<Record<string, MmdbValue>>, builtAt: Date): Buffer {
  const root: Node = { left: null, right: null };
  const data: Buffer[] = [];
  let dataBytes = 0;
  for (const [network, value] of Object.entries(networks)) {
    const [address = '', prefix = '32'] = network.split('/');
    insert(root, bitsOf(address).slice(0, Number(prefix)), { offset: dataBytes });
    const bytes = encode(value);
    data.push(bytes);
    dataBytes += bytes.length;
  }
  const nodes: Node[] = [];
  number(root, nodes);
  const tree = Buffer.concat(nodes.map((node) => Buffer.concat([record(node.left, nodes), record(node.right, nodes)])));
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: Math.floor(builtAt.getTime() / 1_000),
    database_type: 'Test-City',
    ip_version: 4,
    node_count: nodes.length,
    record_size: 24,
  });
  return Buffer.concat([tree, Buffer.alloc(SEPARATOR_BYTES), ...data, MARKER, metadata]);
}

function bitsOf(address: string): number[] {
  const bytes = address.split('.').map(Number);
  return bytes.flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => (byte >> bit) & 1));
}

function insert(root: Node, bits: readonly number[], leaf: MmdbLeaf): void {
  let node = root;
  for (const [i, bit] of bits.entries()) {
    const side = bit === 0 ? 'left' : 'right';
    if (i === bits.length - 1) {
      node[side] = leaf;
      return;
    }
    const next = node[side] ?? { left: null, right: null };
    if ('offset' in next) throw new Error('networks of a test file lie beside each other');
    node[side] = next;
    node = next;
  }
}

function number(node: Node, nodes: Node[]): void {
  nodes.push(node);
  for (const child of [node.left, node.right]) if (child !== null && !('offset' in child)) number(child, nodes);
}

function record(child: Node | MmdbLeaf | null, nodes: readonly Node[]): Buffer {
  const value =
    child === null
      ? nodes.length
      : 'offset' in child
        ? nodes.length + SEPARATOR_BYTES + child.offset
        : nodes.indexOf(child);
  const bytes = Buffer.alloc(3);
  bytes.writeUIntBE(value, 0, 3);
  return bytes;
}

const STRING = 2;
const UINT32 = 6;
const MAP = 7;
/** Beyond 7, as what is added to it in a byte of its own. */
const ARRAY = 11;

function encode(value: MmdbValue): Buffer {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    return Buffer.concat([control(STRING, bytes.length), bytes]);
  }
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([control(UINT32, 4), bytes]);
  }
  if (Array.isArray(value)) {
    const items = value as readonly MmdbValue[];
    return Buffer.concat([Buffer.from([items.length, ARRAY - 7]), ...items.map(encode)]);
  }
  const entries = Object.entries(value as Readonly<Record<string, MmdbValue>>);
  return Buffer.concat([
    control(MAP, entries.length),
    ...entries.flatMap(([key, item]) => [encode(key), encode(item)]),
  ]);
}

function control(type: number, size: number): Buffer {
  if (size > 28) throw new Error('sizes of a test file fit into the control byte');
  return Buffer.from([(type << 5) | size]);
}
