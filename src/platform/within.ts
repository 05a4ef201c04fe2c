/**
 * What `work` comes to, or the failure `late` if it takes longer. Work that is given up goes on; its failure is not heard.
 *
 * Timers run before sockets are read, so the time is not up before one look at them: where this process was busy, the
 * answer may be there already.
 */
export async function within<T>(timeoutMs: number, work: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      setImmediate(() => {
        reject(late());
      });
    }, timeoutMs);
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
