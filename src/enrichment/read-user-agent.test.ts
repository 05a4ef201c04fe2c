import { describe, expect, it } from 'vitest';
import { readUserAgent } from './read-user-agent.js';

const WEBKIT = 'AppleWebKit/537.36 (KHTML, like Gecko)';

/** User agents as browsers, devices and crawlers send them, and what is to be read in them. */
const KNOWN: readonly (readonly [userAgent: string, facts: object])[] = [
  [
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/128.0.0.0 Safari/537.36`,
    {
      bot: false,
      device: { type: 'desktop' },
      browser: { name: 'Chrome', version: 128 },
      os: { name: 'Windows', version: '10' },
    },
  ],
  [
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/128.0.0.0 Safari/537.36 Edg/128.0.2739.42`,
    {
      bot: false,
      device: { type: 'desktop' },
      browser: { name: 'Microsoft Edge', version: 128 },
      os: { name: 'Windows', version: '10' },
    },
  ],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6_1) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15',
    {
      bot: false,
      device: { type: 'desktop', vendor: 'Apple' },
      browser: { name: 'Safari', version: 17 },
      os: { name: 'macOS', version: '14.6' },
    },
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1',
    {
      bot: false,
      device: { type: 'mobile', vendor: 'Apple', model: 'iPhone' },
      browser: { name: 'Safari', version: 17 },
      os: { name: 'iOS', version: '17.6' },
    },
  ],
  [
    'Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1',
    {
      bot: false,
      device: { type: 'tablet', vendor: 'Apple', model: 'iPad' },
      browser: { name: 'Safari', version: 17 },
      os: { name: 'iOS', version: '17.6' },
    },
  ],
  [
    `Mozilla/5.0 (Linux; Android 14; SM-S918B) ${WEBKIT} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36`,
    {
      bot: false,
      device: { type: 'mobile' },
      browser: { name: 'Samsung Internet for Android', version: 25 },
      os: { name: 'Android', version: '14' },
    },
  ],
  [
    `Mozilla/5.0 (Linux; Android 13; SM-X906B) ${WEBKIT} Chrome/127.0.0.0 Safari/537.36`,
    {
      bot: false,
      device: { type: 'tablet' },
      browser: { name: 'Chrome', version: 127 },
      os: { name: 'Android', version: '13' },
    },
  ],
  [
    // The name of the device holds "bot".
    `Mozilla/5.0 (Linux; Android 10; CUBOT X30) ${WEBKIT} Chrome/120.0.0.0 Mobile Safari/537.36`,
    {
      bot: false,
      device: { type: 'mobile' },
      browser: { name: 'Chrome', version: 120 },
      os: { name: 'Android', version: '10' },
    },
  ],
  [
    'Mozilla/5.0 (X11; Linux x86_64; rv:129.0) Gecko/20100101 Firefox/129.0',
    { bot: false, device: { type: 'desktop' }, browser: { name: 'Firefox', version: 129 }, os: { name: 'Linux' } },
  ],
  [
    `Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${WEBKIT} Chrome/127.0.0.0 Safari/537.36`,
    { bot: false, device: { type: 'desktop' }, browser: { name: 'Chrome', version: 127 }, os: { name: 'Chrome OS' } },
  ],
  [
    'Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36',
    { bot: false, device: { type: 'tv' }, browser: { name: 'Tizen' }, os: { name: 'Tizen', version: '6.0' } },
  ],
];

const BOTS = [
  'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
  'Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)',
  `Mozilla/5.0 ${WEBKIT.slice(0, -1)}; compatible; GPTBot/1.2; +https://openai.com/gptbot)`,
  'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)',
  `Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} HeadlessChrome/127.0.0.0 Safari/537.36`,
  'Mozilla/5.0 (compatible; SomethingCrawler/1.0)',
  'curl/8.5.0',
  'python-requests/2.32.3',
  'okhttp/4.12.0',
  'node',
];

describe('a user agent', () => {
  it.each(KNOWN)('%s is read', (userAgent, facts) => {
    expect(readUserAgent(userAgent)).toEqual(facts);
  });

  it.each(BOTS)('%s is a bot', (userAgent) => {
    expect(readUserAgent(userAgent)).toMatchObject({ bot: true, device: { type: 'bot' } });
  });

  it('that says nothing is no bot, and an empty one is nothing', () => {
    expect(readUserAgent('Mozilla/5.0')).toEqual({ bot: false });
    expect(readUserAgent('  ')).toBeNull();
  });
});
