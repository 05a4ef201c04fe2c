import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';

/** A client library that is no dependency of Weft: only those who use its store install it. */
export interface StoreClient {
  /** Name of the package. */
  readonly package: string;
  /** The version that Weft is tested with. */
  readonly version: string;
  /** What people call the store. */
  readonly store: string;
}

export type ImportPackage = (name: string) => Promise<unknown>;

/** What a store is opened with that has a client library. */
export interface OpenStore {
  readonly readVariable: (name: string) => string | undefined;
  readonly clock: Clock;
  readonly importPackage?: ImportPackage;
  /** URL of another server than the vendor's, such as an emulator. */
  readonly apiEndpoint?: string;
}

const importInstalled: ImportPackage = (name) => import(name) as Promise<unknown>;

/** @throws WeftError NOT_CONFIGURED where it is not installed, with the command that installs it */
export async function importClient(
  { package: name, version, store }: StoreClient,
  importPackage: ImportPackage = importInstalled,
): Promise<unknown> {
  try {
    return await importPackage(name);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    // A package that is there and lacks one of its own is another fault.
    const isMissing = code === 'ERR_MODULE_NOT_FOUND' && error instanceof Error && error.message.includes(`'${name}'`);
    if (!isMissing) throw error;
    throw new WeftError('NOT_CONFIGURED', `the client of ${store} is not installed`, {
      where: name,
      hint: `install it where Weft is: npm install --no-save ${name}@${version}`,
    });
  }
}
