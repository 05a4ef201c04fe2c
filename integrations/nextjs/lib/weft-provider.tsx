'use client';

import { createContext, useContext, useEffect, useState, useSyncExternalStore, type ReactNode } from 'react';
import { createWeft, type Weft, type WeftOptions, type WeftState } from '@weft/js';

const WeftContext = createContext<{ weft: Weft; rendered: readonly string[] } | null>(null);

interface Props {
  readonly options: WeftOptions;
  /** What `visitorState` gave on the server. */
  readonly state: string | null;
  readonly children: ReactNode;
}

/** Makes the client once in a page, begins with what the server knew, and reports the view of the page. */
export function WeftProvider({ options, state, children }: Props) {
  const [value] = useState(() => ({
    weft: createWeft({ ...options, initial: state }),
    rendered: state === null ? NOTHING : (JSON.parse(state) as WeftState).profile.segments,
  }));
  useEffect(() => value.weft.page(), [value]);
  return <WeftContext value={value}>{children}</WeftContext>;
}

const NOTHING: readonly string[] = [];

export function useWeft(): Weft {
  return useValue().weft;
}

/**
 * The segments of the visitor: while the page is hydrated those that the server rendered with, so that nothing moves;
 * then those that hold, as they change.
 */
export function useSegments(): readonly string[] {
  const { weft, rendered } = useValue();
  return useSyncExternalStore(
    weft.onSegmentChange,
    () => weft.current.segments,
    () => rendered,
  );
}

function useValue() {
  const value = useContext(WeftContext);
  if (value === null) throw new Error('a component that uses Weft is not within WeftProvider');
  return value;
}
