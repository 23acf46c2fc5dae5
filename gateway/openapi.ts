// The head of /openapi.json; its paths come from the routes' own schemas.

export const OPENAPI = {
  openapi: '3.1.0',
  info: {
    title: 'Stitchwork gateway',
    version: '1',
    description:
      'Send customer events, read unified profiles. Every error has the form { error: { code, message, details? } }; answers with Retry-After may be tried again as they are.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  components: {
    securitySchemes: {
      token: {
        type: 'http' as const,
        scheme: 'bearer',
        description: 'A token of a personalization service.',
      },
      key: {
        type: 'http' as const,
        scheme: 'bearer',
        description:
          'A write key (events only) or an admin key. Basic with the key as user name is taken as well.',
      },
    },
  },
};
