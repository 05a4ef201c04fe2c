import type { z } from 'zod';
import { WeftError } from '../../platform/errors.js';

/** The first problem of a file that is not of our shape. */
export function schemaError({ issues }: z.ZodError): WeftError {
  const [issue] = issues;
  return new WeftError('MODEL_INVALID', issue?.message ?? 'it is not of the shape of a model', {
    where: issue?.path.join('.') ?? '',
    hint: 'docs/identity.md describes the format',
  });
}

/** What is thrown within says where. */
export function at<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    throw new WeftError(error.code, error.message, {
      where,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}
