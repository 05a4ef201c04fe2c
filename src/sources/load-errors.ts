import { WeftError } from '../platform/errors.js';
import type { LoadFile } from './load-file.js';
import type { LoadOrigin } from './load.store.js';

export function paused(sourceKey: string): WeftError {
  return new WeftError('SOURCE_PAUSED', `the source ${sourceKey} is paused`, {
    where: 'source',
    hint: `resume it first: weft sources resume ${sourceKey}`,
  });
}

export function noSuchLoad(id: string): WeftError {
  return new WeftError('NOT_FOUND', 'there is no such load', { where: id, hint: 'weft load list shows them' });
}

export function ofAnotherSource({ id, source }: LoadOrigin, wanted: string): WeftError {
  return new WeftError('CONFLICT', `the load is of the source ${source}, and the mapping is of ${wanted}`, {
    where: id,
    hint: 'name a load of the same source, or revert that one with weft load revert',
  });
}

export function changedSince(file: LoadFile): WeftError {
  return new WeftError('CONFLICT', 'the file is not what it was when it was checked', {
    where: file.name,
    hint: 'run the same command again once nothing writes to it',
  });
}

export function beingReverted(id: string): WeftError {
  return new WeftError('CONFLICT', 'an earlier load of this file is being reverted', {
    where: id,
    hint: 'load it again once weft load list shows it reverted',
  });
}
