/**
 * What analytics.js fetches before it sends anything, from `<CDN>/v1/projects/<write key>/settings`: where to send to, and
 * that there is no other destination, no plan that blocks events and no telemetry of its own.
 *
 * Source of the form: the type `CDNSettings` of `@segment/analytics-next`. Its metrics go to Segment unless `sampleRate`
 * is 0.
 *
 * @param apiUrl of the tracking API without a path, as `https://weft.example.org`
 */
export function analyticsJsSettings(writeKey: string, apiUrl: URL): object {
  const allowed = { __default: { enabled: true, integrations: {} } };
  return {
    integrations: {
      'Segment.io': {
        apiKey: writeKey,
        apiHost: `${apiUrl.host}${apiUrl.pathname.replace(/\/+$/, '')}/v1`,
        protocol: apiUrl.protocol.slice(0, -1),
        addBundledMetadata: true,
        unbundledIntegrations: [],
        maybeBundledConfigIds: {},
        retryQueue: true,
      },
    },
    plan: { track: allowed, identify: allowed, group: allowed },
    middlewareSettings: {},
    enabledMiddleware: {},
    remotePlugins: [],
    metrics: { sampleRate: 0 },
    edgeFunction: {},
    legacyVideoPluginsEnabled: false,
    analyticsNextEnabled: true,
  };
}
