// The settings document that Segment's browser SDK fetches before it sends anything. It carries our own address, so that a
// page which changes nothing but where this document comes from sends its events here.

export interface Address {
  /** `https://shop.example:8080` without the protocol. */
  readonly host: string;
  readonly protocol: 'http' | 'https';
}

/** As `@segment/analytics-next` and the snippet read it: one destination, everything allowed, no remote code. */
export function segmentSettings(writeKey: string, { host, protocol }: Address): object {
  return {
    integrations: {
      'Segment.io': {
        apiKey: writeKey,
        apiHost: `${host}/v1`,
        protocol,
        unbundledIntegrations: [],
        addBundledMetadata: true,
        maybeBundledConfigIds: {},
      },
    },
    plan: {
      track: { __default: { enabled: true, integrations: {} } },
      identify: { __default: { enabled: true } },
      group: { __default: { enabled: true } },
    },
    edgeFunction: {},
    middlewareSettings: {},
    enabledMiddleware: {},
    metrics: { sampleRate: 0 },
    legacyVideoPluginsEnabled: false,
    remotePlugins: [],
  };
}
