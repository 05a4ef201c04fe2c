import { ENRICHMENTS, type Enrichment, type EnrichmentSettings } from '../events/enrichment.model.js';
import { WeftError } from '../platform/errors.js';
import { ZoneOffsets } from '../platform/zone-offsets.js';
import type { SourceKind } from './source.model.js';

const MAX_INTERNAL_DOMAINS = 50;
const MAX_TEXTS = 10;
const TEXT_PATH = /^[A-Za-z_][\w-]{0,99}(?:\.[A-Za-z_][\w-]{0,99}){0,4}$/;
const DOMAIN = /^(?=.{3,253}$)[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9-]{1,63})+$/;

/** What a source is to be asked for, as somebody wrote it; what is left out is the default. */
export interface WantedEnrichment {
  readonly facts: readonly string[];
  readonly internalDomains?: readonly string[];
  readonly zone?: string | null;
  readonly texts?: readonly string[];
}

/**
 * The settings as they are kept.
 * @throws WeftError BAD_REQUEST
 */
export function readEnrichment(wanted: WantedEnrichment): EnrichmentSettings {
  const facts = new Set(wanted.facts.map(factOf));
  if (facts.size === 0) throw refused('enrichment.facts', 'no fact is named', `name some of ${ENRICHMENTS.join(', ')}`);
  const domains = (wanted.internalDomains ?? []).map(domainOf);
  if (domains.length > MAX_INTERNAL_DOMAINS) {
    throw refused('enrichment.internalDomains', 'there are too many', `name at most ${String(MAX_INTERNAL_DOMAINS)}`);
  }
  return {
    facts: ENRICHMENTS.filter((fact) => facts.has(fact)),
    internalDomains: [...new Set(domains)],
    zone: zoneOf(wanted.zone),
    texts: textsOf(wanted.texts ?? [], facts.has('sentiment')),
  };
}

/**
 * Deliveries of networks say themselves what can be said of them.
 * @throws WeftError BAD_REQUEST
 */
export function checkEnriched(kind: SourceKind, enrichment: EnrichmentSettings | null | undefined): void {
  if (kind !== 'webhook' || enrichment == null) return;
  throw refused(
    'enrichment',
    'events of webhooks are not enriched',
    'use the properties language and sentiment that they come with',
  );
}

function factOf(name: string): Enrichment {
  const fact = ENRICHMENTS.find((known) => known === name);
  if (fact !== undefined) return fact;
  throw refused('enrichment.facts', `${name.slice(0, 40)} is nothing to find out`, `use ${ENRICHMENTS.join(', ')}`);
}

function domainOf(text: string): string {
  const domain = text
    .trim()
    .toLowerCase()
    .replace(/^www\./, '');
  if (DOMAIN.test(domain)) return domain;
  throw refused('enrichment.internalDomains', `${text.slice(0, 60)} is no domain`, 'write it like shop.example.org');
}

function textsOf(paths: readonly string[], areNeeded: boolean): string[] {
  const wrong = paths.find((path) => !TEXT_PATH.test(path));
  if (wrong !== undefined) {
    throw refused('enrichment.texts', `${wrong.slice(0, 60)} is no path to a property`, 'write it like review.text');
  }
  if (paths.length > MAX_TEXTS)
    throw refused('enrichment.texts', 'there are too many', `name at most ${String(MAX_TEXTS)}`);
  if (areNeeded && paths.length === 0) {
    throw refused('enrichment.texts', 'sentiment needs texts', 'name properties that hold them, as review.text');
  }
  return [...new Set(paths)];
}

function zoneOf(name: string | null | undefined): string | null {
  if (name == null) return null;
  try {
    new ZoneOffsets(name).offsetAt(0);
    return name;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw refused('enrichment.zone', `${name.slice(0, 60)} is no time zone`, 'write it like Europe/Berlin');
  }
}

function refused(where: string, message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { where, hint });
}
