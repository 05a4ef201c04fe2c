export type KnownKind = 'search' | 'social' | 'email';

export interface KnownReferrer {
  readonly kind: KnownKind;
  /** As people call it. */
  readonly name: string;
}

type Entry = readonly [name: string, ...hosts: string[]];

/** Hosts with all below them. */
const SEARCH: readonly Entry[] = [
  ['Google', 'com.google.android.googlequicksearchbox'],
  ['Bing', 'bing.com'],
  ['DuckDuckGo', 'duckduckgo.com'],
  ['Yahoo', 'search.yahoo.com', 'search.yahoo.co.jp'],
  ['Ecosia', 'ecosia.org'],
  ['Yandex', 'ya.ru'],
  ['Baidu', 'baidu.com'],
  ['Qwant', 'qwant.com'],
  ['Startpage', 'startpage.com'],
  ['Brave', 'search.brave.com'],
  ['Seznam', 'search.seznam.cz'],
  ['Naver', 'search.naver.com'],
  ['Sogou', 'sogou.com'],
  ['Kagi', 'kagi.com'],
  ['Mojeek', 'mojeek.com'],
  ['AOL', 'search.aol.com'],
  ['Ask', 'ask.com'],
  ['Presearch', 'presearch.com'],
];

const SOCIAL: readonly Entry[] = [
  ['Facebook', 'facebook.com', 'fb.com', 'fb.me', 'com.facebook.katana'],
  ['Messenger', 'messenger.com', 'com.facebook.orca'],
  ['Instagram', 'instagram.com', 'com.instagram.android'],
  ['Threads', 'threads.net', 'threads.com'],
  ['X', 'x.com', 'twitter.com', 't.co', 'com.twitter.android'],
  ['LinkedIn', 'linkedin.com', 'lnkd.in', 'com.linkedin.android'],
  ['Pinterest', 'pinterest.com', 'pin.it', 'com.pinterest'],
  ['Reddit', 'reddit.com', 'redd.it', 'com.reddit.frontpage'],
  ['YouTube', 'youtube.com', 'youtu.be', 'com.google.android.youtube'],
  ['TikTok', 'tiktok.com', 'com.zhiliaoapp.musically'],
  ['Snapchat', 'snapchat.com', 'com.snapchat.android'],
  ['VK', 'vk.com', 'vk.ru'],
  ['Odnoklassniki', 'ok.ru'],
  ['Weibo', 'weibo.com', 't.cn'],
  ['Bluesky', 'bsky.app', 'go.bsky.app'],
  ['Mastodon', 'mastodon.social', 'mastodon.online'],
  ['Tumblr', 'tumblr.com', 't.umblr.com'],
  ['Quora', 'quora.com'],
  ['WhatsApp', 'whatsapp.com', 'wa.me', 'com.whatsapp'],
  ['Telegram', 'telegram.org', 't.me', 'org.telegram.messenger'],
  ['Discord', 'discord.com', 'discord.gg'],
  ['Xing', 'xing.com'],
  ['Twitch', 'twitch.tv'],
  ['Hacker News', 'news.ycombinator.com'],
];

const EMAIL: readonly Entry[] = [
  ['Gmail', 'mail.google.com', 'com.google.android.gm'],
  ['Outlook', 'outlook.live.com', 'outlook.office.com', 'outlook.office365.com'],
  ['Yahoo Mail', 'mail.yahoo.com', 'mail.yahoo.co.jp'],
  ['Proton Mail', 'mail.proton.me'],
  ['GMX', 'gmx.net', 'gmx.com'],
  ['iCloud Mail', 'icloud.com'],
];

/** Those that have a domain in many countries, as `google.co.uk`; only with `www.` before it, or nothing. */
const NATIONAL = new Map<string, KnownReferrer>([
  ['google', { kind: 'search', name: 'Google' }],
  ['yandex', { kind: 'search', name: 'Yandex' }],
  ['pinterest', { kind: 'social', name: 'Pinterest' }],
]);
const NATIONAL_HOST = /^([a-z]{3,20})\.(?:com|[a-z]{2}|(?:co|com)\.[a-z]{2})$/;

const BY_HOST = new Map<string, KnownReferrer>([
  ...listed('search', SEARCH),
  ...listed('social', SOCIAL),
  ...listed('email', EMAIL),
]);

/** Who answers at a host, its `www.` taken off; undefined: nobody whom many sites have in common. */
export function knownReferrer(host: string): KnownReferrer | undefined {
  const national = NATIONAL.get(NATIONAL_HOST.exec(host)?.[1] ?? '');
  if (national !== undefined) return national;
  for (let rest = host; rest !== ''; rest = parentOf(rest)) {
    const found = BY_HOST.get(rest);
    if (found !== undefined) return found;
  }
  return undefined;
}

function parentOf(host: string): string {
  const dot = host.indexOf('.');
  return dot === -1 ? '' : host.slice(dot + 1);
}

function listed(kind: KnownKind, entries: readonly Entry[]): [string, KnownReferrer][] {
  return entries.flatMap(([name, ...hosts]) => hosts.map((host): [string, KnownReferrer] => [host, { kind, name }]));
}
