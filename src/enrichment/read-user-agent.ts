import { parse } from 'bowser';
import type { JsonObject } from '../events/event.model.js';

/** Of what a device says of itself, in UTF-16 units; what is behind is not looked at. */
export const MAX_USER_AGENT_LENGTH = 512;
const MAX_NAME_LENGTH = 60;

/** Crawlers name themselves so, or leave an address for those whom they disturb; programs send the name of a library. */
const PROGRAM =
  /(?<!cu)bot\b|crawl|spider|slurp|headless|lighthouse|preview|monitor|fetcher|\+?https?:\/\/|^(?:curl|wget|node|axios|got|undici|okhttp|java|php|ruby|perl|dart|go-http-client|python|aiohttp|httpx|libwww|apache-httpclient|analytics-[a-z]+)\b/i;

const DEVICE_TYPES: Readonly<Record<string, string>> = {
  desktop: 'desktop',
  mobile: 'mobile',
  tablet: 'tablet',
  tv: 'tv',
};

/**
 * Device, browser and operating system of a user agent, with whether it is a bot: a crawler, or a program that is no
 * browser. What cannot be told is left out. Versions of browsers are whole numbers, of systems the first two parts.
 *
 * @returns null for an empty one
 */
export function readUserAgent(userAgent: string): JsonObject | null {
  const text = userAgent.slice(0, MAX_USER_AGENT_LENGTH).trim();
  if (text === '') return null;
  const { browser, os, platform } = parse(text);
  const bot = platform.type === 'bot' || PROGRAM.test(text);
  const isDesktop = platform.type === undefined && os.name === 'Chrome OS';
  const type = bot ? 'bot' : isDesktop ? 'desktop' : DEVICE_TYPES[platform.type ?? ''];
  return {
    bot,
    ...group('device', { type, vendor: named(platform.vendor), model: named(platform.model) }),
    ...group('browser', { name: browserName(browser.name), version: majorOf(browser.version) }),
    ...group('os', {
      name: named(os.name),
      version: named(os.versionName === undefined ? twoParts(os.version) : systemOf(os)),
    }),
  };
}

interface System {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly versionName?: string | undefined;
}

/** Of Windows its name ("10"), as its version is one that nobody knows it by ("NT 10.0"). */
function systemOf({ name, version, versionName }: System): string | undefined {
  return name === 'Windows' ? versionName : twoParts(version);
}

function group(name: string, facts: Readonly<Record<string, string | number | undefined>>): JsonObject {
  const found = Object.entries(facts).filter((entry): entry is [string, string | number] => entry[1] !== undefined);
  return found.length === 0 ? {} : { [name]: Object.fromEntries(found) };
}

/** What every browser calls itself says nothing. */
function browserName(name: string | undefined): string | undefined {
  return name === 'Mozilla' ? undefined : named(name);
}

function named(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text.slice(0, MAX_NAME_LENGTH);
}

function majorOf(version: string | undefined): number | undefined {
  const major = /^\d{1,6}/.exec(version ?? '')?.[0];
  return major === undefined ? undefined : Number(major);
}

function twoParts(version: string | undefined): string | undefined {
  return /^\d{1,6}(?:\.\d{1,6})?/.exec(version ?? '')?.[0];
}
