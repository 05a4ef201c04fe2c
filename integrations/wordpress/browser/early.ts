import { fill, isWhole, WAITING } from './fill-content.js';
import type { PageSettings } from './page-settings.js';
import { recallSegments } from './segment-memory.js';
import { isGranted, visitorId } from './visitor-consent.js';

/**
 * Runs in the head, before there is content. Content stays invisible, in its place, until it is known which variant it is:
 * at once from the last page view, else by Weft's answer, at the latest when the deadline is over.
 */
function start(site: PageSettings): void {
  let decided: { readonly segments: readonly string[] | null } | undefined;
  let isNeeded = false;
  let isLate = false;
  const listeners: (() => void)[] = [];

  const fillWhole = (): void => {
    const waiting = document.querySelectorAll<HTMLElement>(WAITING);
    if (waiting.length > 0 && !isNeeded) need();
    if (decided === undefined) return;
    for (const content of waiting) {
      if (document.readyState !== 'loading' || isWhole(content)) fill(content, decided.segments, isLate);
    }
  };
  const decide = (segments: readonly string[] | null): void => {
    if (decided !== undefined) return;
    decided = { segments };
    fillWhole();
  };
  const need = (): void => {
    isNeeded = true;
    for (const listener of listeners) listener();
    if (decided !== undefined) return;
    isLate = true;
    setTimeout(() => {
      decide(null);
    }, site.deadlineMs);
  };

  const style = document.createElement('style');
  style.textContent = `${WAITING}{visibility:hidden}`;
  document.head.append(style);
  window.weftContent = {
    onNeeded: (listener) => {
      if (isNeeded) listener();
      else listeners.push(listener);
    },
    decide,
  };

  const id = visitorId();
  // Somebody new is in no segment: there is nothing to ask.
  if (!isGranted(site)) decide(null);
  else if (id === null) decide([]);
  else decideFrom(recallSegments(id, Date.now()));

  function decideFrom(segments: readonly string[] | null): void {
    if (segments !== null) decide(segments);
  }

  const observer = new MutationObserver(fillWhole);
  observer.observe(document.documentElement, { childList: true, subtree: true });
  document.addEventListener('DOMContentLoaded', () => {
    observer.disconnect();
    fillWhole();
  });
}

if (window.weftSite?.edgeKey != null) start(window.weftSite);
