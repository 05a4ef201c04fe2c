import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { mmdbFile } from '../../test/support/mmdb.js';
import { describeGeoDatabase, GeoDatabase, openGeoDatabase } from './geo-database.js';

const BUILT = new Date('2026-11-20T00:00:00Z');
const BERLIN = {
  country: { iso_code: 'DE' },
  subdivisions: [{ iso_code: 'BE', names: { en: 'State of Berlin' } }],
  city: { names: { en: 'Berlin' } },
  location: { time_zone: 'Europe/Berlin' },
};

let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-geo-'));
  path = join(folder, 'places.mmdb');
});
afterAll(() => rm(folder, { recursive: true }));

/** Another file in its place, as those who renew it do. */
async function put(bytes: Buffer): Promise<void> {
  await writeFile(`${path}.new`, bytes);
  await rename(`${path}.new`, path);
}

describe('a database of places', () => {
  it('tells country, region, city and zone of an address, as far as it knows', async () => {
    await put(mmdbFile({ '203.0.113.0/24': BERLIN, '198.51.100.0/25': { country: { iso_code: 'FR' } } }, BUILT));
    const errors: unknown[] = [];
    const places = new GeoDatabase({ path, onError: (error) => errors.push(error) });
    expect(places.locate('203.0.113.7')).toBeNull();
    await places.ready();
    const berlin = { country: 'DE', region: 'DE-BE', city: 'Berlin', zone: 'Europe/Berlin' };
    expect(places.locate('203.0.113.7')).toEqual(berlin);
    expect(places.locate('::ffff:203.0.113.7')).toEqual(berlin);
    expect(places.locate('198.51.100.1')).toEqual({ country: 'FR' });
    const unknown = ['198.51.100.200', '10.0.0.1', '0.0.0.0', '2001:db8::1', 'localhost', '', '203.0.113.7:80'];
    for (const address of unknown) expect(places.locate(address)).toBeNull();
    await places.stop();
    expect(errors).toEqual([]);
  });

  it('is read again once another file has taken its place, and stays as it is where that is none', async () => {
    await put(mmdbFile({ '203.0.113.0/24': BERLIN }, BUILT));
    const errors: unknown[] = [];
    const places = new GeoDatabase({ path, onError: (error) => errors.push(error) });
    await places.ready();
    await put(mmdbFile({ '203.0.113.0/24': { country: { iso_code: 'NL' } } }, BUILT));
    await places.refresh();
    expect(places.locate('203.0.113.7')).toEqual({ country: 'NL' });
    await put(Buffer.from('half a file'));
    await places.refresh();
    expect(places.locate('203.0.113.7')).toEqual({ country: 'NL' });
    expect(errors).toMatchObject([{ code: 'CONFIG_INVALID', message: 'WEFT_GEO_DATABASE is no mmdb file of places' }]);
    await places.stop();
  });

  it('says what it is, or what is wrong with the file', async () => {
    await put(mmdbFile({ '203.0.113.0/24': BERLIN }, BUILT));
    expect(await describeGeoDatabase(path)).toBe(`Test-City of 2026-11-20, ${path}`);
    await expect(openGeoDatabase(join(folder, 'missing'))).rejects.toThrow('WEFT_GEO_DATABASE cannot be read');
    await expect(openGeoDatabase(folder)).rejects.toThrow(WeftError);
  });
});
