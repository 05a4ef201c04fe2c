/** What the plugin prints into each page: the same for all visitors. */
export interface PageSettings {
  readonly url: string;
  readonly edgeKey: string | null;
  readonly writeKey: string | null;
  /** How long content may wait for Weft. */
  readonly deadlineMs: number;
  /** `consent_api`: as the WP Consent API says; `hook`: as `weftConsent` is told; `always`: nobody has to be asked. */
  readonly consent: 'consent_api' | 'hook' | 'always';
  /** The category of the WP Consent API that counts. */
  readonly category: string;
  readonly cookie: { readonly path?: string; readonly domain?: string };
  readonly events: readonly PageEvent[];
}

/** What showing this page means. */
export type PageEvent =
  | { readonly page: string; readonly properties: Readonly<Record<string, unknown>> }
  | { readonly track: string; readonly properties: Readonly<Record<string, unknown>> };

/** What the early script offers to the later one. */
export interface ContentFill {
  /** Calls back once there is content to choose; at once if there is already. */
  onNeeded(listener: () => void): void;
  /** Fills all content of the page by these segments; null: the default stands. The first call counts. */
  decide(segments: readonly string[] | null): void;
}

declare global {
  interface Window {
    weftSite?: PageSettings;
    weftContent?: ContentFill;
    /** Of the WP Consent API. */
    wp_has_consent?: (category: string) => boolean;
  }
}
