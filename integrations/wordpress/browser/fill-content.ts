/** Marks content whose variants are in `<template>`s; the plugin writes it. */
export const CONTENT = 'data-weft-content';
const DONE = 'data-weft-done';

/** Content that is not filled yet. */
export const WAITING = `[${CONTENT}]:not([${DONE}])`;

/** The template of the first variant that is for somebody in these segments. */
export function chosenTemplate(
  templates: readonly HTMLTemplateElement[],
  segments: readonly string[],
): HTMLTemplateElement | undefined {
  const known = new Set(segments);
  return templates.find(({ dataset }) => {
    const is = keys(dataset['weftIs']);
    const not = keys(dataset['weftNot']);
    if (is.length + not.length === 0) return false;
    return (is.length === 0 || is.some((key) => known.has(key))) && !not.some((key) => known.has(key));
  });
}

/** Shows the variant for these segments in place of the default, or the default; null: the default. */
export function fill(content: HTMLElement, segments: readonly string[] | null, keepsHeight: boolean): void {
  const templates = [...content.children].filter(
    (child): child is HTMLTemplateElement => child instanceof HTMLTemplateElement && 'weftIs' in child.dataset,
  );
  const chosen = segments === null ? undefined : chosenTemplate(templates, segments);
  if (chosen !== undefined) {
    // What follows does not move up under the eyes of the reader.
    if (keepsHeight) content.style.minHeight = `${String(content.offsetHeight)}px`;
    content.replaceChildren(document.importNode(chosen.content, true));
  } else {
    for (const template of templates) template.remove();
  }
  content.setAttribute(DONE, '');
  // A variant may hold content by segment itself.
  for (const inner of content.querySelectorAll<HTMLElement>(WAITING)) fill(inner, segments, keepsHeight);
}

/** Whether the parser is past the end of an element, so that all of it is there. */
export function isWhole(content: Node): boolean {
  for (let node: Node | null = content; node !== null; node = node.parentNode) {
    if (node.nextSibling !== null) return true;
  }
  return false;
}

function keys(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split(' ');
}
