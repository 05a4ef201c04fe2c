/*
 * Runs the module whose URL is the argument, in a process of its own: one that never ends, ends the process or eats
 * memory then harms nobody. Sends one {@link ModuleOutcome}; whoever started the process ends it.
 */

/** What became of a module: the document as JSON, or what it threw. */
export type ModuleOutcome =
  { readonly document: string | null } | { readonly failure: string; readonly code: string | null };

function send(outcome: ModuleOutcome): void {
  process.send?.(outcome);
}

function fail(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : null;
  send({ failure: error instanceof Error ? error.message : String(error), code });
}

// What it began and did not wait for fails here; a rejected promise does, too.
process.on('uncaughtException', fail);
try {
  const module = (await import(process.argv[2] ?? '')) as { readonly default?: unknown };
  const document = module.default;
  const isDocument = typeof document === 'object' && document !== null && !Array.isArray(document);
  // Not for every object there is JSON: its own toJSON may give none.
  const json = isDocument ? (JSON.stringify(document, null, 2) as string | undefined) : undefined;
  send({ document: json ?? null });
} catch (error) {
  fail(error);
}
