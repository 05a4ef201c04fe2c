/*
 * Holds one ONNX graph in a process of its own, so that one that never ends, crashes or takes all memory harms nobody
 * else. The graph's bytes come on standard input; each message that comes is a {@link ModelCall} and is answered with one
 * {@link ModelReply}. Whoever started the process ends it.
 *
 *   node model-process.program <memory in bytes>
 */
import { Worker } from 'node:worker_threads';

import { WeftError } from '../platform/errors.js';
import { measureRuns } from './measure-runs.js';
import type { ModelCall, ModelReply } from './model-process.model.js';
import { OnnxSession } from './onnx-session.js';

/**
 * A run holds the main thread, which then hears nothing. So another one looks whether who started the process is there
 * still, and how much memory is taken: not every system keeps the limit that was set when the process began.
 */
const WATCH = `const { ppid } = process;
const { workerData: maxBytes } = require('node:worker_threads');
setInterval(() => {
  if (process.ppid !== ppid || process.memoryUsage.rss() > maxBytes) process.kill(process.pid, 'SIGKILL');
}, 200);`;

/** Loads that take less are made twice. */
const SMALL_LOAD_MS = 200;

let session: OnnxSession | null = null;

async function answer(call: ModelCall): Promise<ModelReply> {
  if (call.kind === 'load') {
    const bytes = await bytesOfInput();
    let loadMs = await load(bytes);
    // The first load of a process also makes the runtime ready.
    if (loadMs < SMALL_LOAD_MS) loadMs = Math.min(loadMs, await load(bytes));
    if (session === null) return { kind: 'failed', reason: 'no graph is loaded' };
    const { inputs, outputs, opsets, unboundedOps } = session;
    return { kind: 'loaded', graph: { inputs, outputs, opsets, unboundedOps }, loadMs };
  }
  if (session === null) return { kind: 'failed', reason: 'no graph is loaded' };
  if (call.kind === 'run') return { kind: 'ran', outputs: await session.run(call.feeds, call.outputs) };
  return { kind: 'measured', speed: await measureRuns(session, call, cpuMs) };
}

/** How long it took, ms. */
async function load(bytes: Buffer): Promise<number> {
  const former = session;
  session = null;
  await former?.release();
  const startedMs = cpuMs();
  session = await OnnxSession.load(bytes);
  return cpuMs() - startedMs;
}

/** Time that this process was given: a machine that has other things to do makes no model slow. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

async function bytesOfInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function replyOf(error: unknown): ModelReply {
  if (!(error instanceof WeftError)) {
    return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) };
  }
  const { message, where, hint } = error;
  return {
    kind: 'refused',
    message,
    ...(where === undefined ? {} : { where }),
    ...(hint === undefined ? {} : { hint }),
  };
}

const worker = new Worker(WATCH, { eval: true, execArgv: [], workerData: Number(process.argv[2]) });
worker.unref();
// An interrupt from the keyboard reaches it too; who started it decides what comes of that.
process.on('SIGINT', () => undefined);
process.on('message', (call: ModelCall) => {
  answer(call)
    .catch(replyOf)
    .then((reply) => process.send?.(reply))
    // Nobody hears it any more.
    .catch(() => {
      process.disconnect();
    });
});
