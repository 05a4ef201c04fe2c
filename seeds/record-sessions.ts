import { WEB_COLUMNS, type WebColumn } from './overlay-web.js';
import type { RecordedSession, SessionStep } from './plan-traffic.js';
import { parseTime, readCsvGz } from './source-data.js';

const TEXT_PROPERTIES = ['platform', 'acquisition_channel', 'user_lifecycle', 'sku'] as const;
const NUMBER_PROPERTIES = ['price', 'quantity', 'value'] as const;
const TRAITS = ['email', 'phone'] as const;
const HANDLES = ['twitter', 'instagram'] as const;

interface Recording {
  readonly anonymousId: string;
  readonly deviceId: string;
  readonly steps: SessionStep[];
  lastMs: number;
}

/** Reads the sessions of `web-events.csv.gz`, whose rows come in order of time. */
export async function readSessions(path: string): Promise<RecordedSession[]> {
  const recordings = new Map<string, Recording>();
  await readCsvGz(path, (cells) => {
    record(recordings, cells);
  });
  return [...recordings.values()].map(({ anonymousId, deviceId, steps }) => ({ anonymousId, deviceId, steps }));
}

function record(recordings: Map<string, Recording>, cells: readonly string[]): void {
  const cell = (column: WebColumn): string => cells[WEB_COLUMNS.indexOf(column)] ?? '';
  const timeMs = parseTime(cell('time'));
  let recording = recordings.get(cell('session_id'));
  if (recording === undefined) {
    recording = { anonymousId: cell('anonymous_id'), deviceId: cell('device_id'), steps: [], lastMs: timeMs };
    recordings.set(cell('session_id'), recording);
  }
  const properties: Record<string, string | number> = {};
  for (const name of TEXT_PROPERTIES) if (cell(name) !== '') properties[name] = cell(name);
  for (const name of NUMBER_PROPERTIES) if (cell(name) !== '') properties[name] = Number(cell(name));
  const traits: Record<string, string> = {};
  for (const name of TRAITS) if (cell(name) !== '') traits[name] = cell(name);
  recording.steps.push({
    type: cell('type') === 'identify' ? 'identify' : 'track',
    event: cell('event'),
    gapMs: timeMs - recording.lastMs,
    userId: cell('user_id'),
    properties,
    traits,
    externalIds: HANDLES.filter((type) => cell(type) !== '').map((type) => ({ id: cell(type), type })),
  });
  recording.lastMs = timeMs;
}
