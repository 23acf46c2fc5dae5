// One error class and one table. Callers branch on `code`, never on text; the table gives HTTP status and whether
// the same request may succeed later.

export const ERRORS = {
  BAD_REQUEST: { status: 400, retry: 'never', text: 'The request cannot be read.' },
  NO_KEYS: { status: 400, retry: 'never', text: 'The event carries no stitching key.' },
  INVALID_EVENT: {
    status: 400,
    retry: 'never',
    text: 'The event does not have the form that the API takes.',
  },
  UNKNOWN_KEY_NAME: {
    status: 400,
    retry: 'never',
    text: 'The config declares no stitching key of this name.',
  },
  INVALID_KEY_VALUE: { status: 400, retry: 'never', text: 'The value is not usable as this stitching key.' },
  UNKNOWN_SEGMENT: { status: 404, retry: 'never', text: 'No parent segment of this name is deployed here.' },
  UNAUTHORIZED: { status: 401, retry: 'never', text: 'The API key is missing or unknown.' },
  FORBIDDEN: { status: 403, retry: 'never', text: 'The API key does not allow this.' },
  NOT_FOUND: { status: 404, retry: 'never', text: 'There is nothing at this address.' },
  PROFILE_NOT_FOUND: { status: 404, retry: 'never', text: 'No profile has this key.' },
  CONFLICT: { status: 409, retry: 'never', text: 'Somebody else has changed it meanwhile.' },
  METHOD_NOT_ALLOWED: { status: 405, retry: 'never', text: 'The address does not take this method.' },
  COMMAND_REFUSED: { status: 409, retry: 'never', text: 'The profiles do not allow this.' },
  HISTORY_GONE: {
    status: 409,
    retry: 'never',
    text: 'The event log no longer reaches back to the beginning of the profile.',
  },
  EVENT_TOO_LARGE: { status: 413, retry: 'never', text: 'The event is larger than 1 MB.' },
  REQUEST_TOO_LARGE: { status: 413, retry: 'never', text: 'The request is larger than 5 MB.' },
  TOO_MANY_EVENTS: { status: 413, retry: 'never', text: 'The request holds more than 500 events.' },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    retry: 'never',
    text: 'The content type is not one that the API takes.',
  },
  OVERLOADED: { status: 429, retry: 'later', text: 'The gateway has more waiting than it may hold.' },
  LOG_FULL: { status: 503, retry: 'later', text: 'The event log is full; nothing was accepted.' },
  LOG_UNAVAILABLE: { status: 503, retry: 'later', text: 'The event log cannot be reached.' },
  STORE_UNAVAILABLE: { status: 503, retry: 'later', text: 'The profile store cannot be reached.' },
  NOT_READY: { status: 503, retry: 'later', text: 'The service is starting or stopping.' },
  INTERNAL: { status: 500, retry: 'later', text: 'Something broke inside; the log has the details.' },
  INVALID_CONFIG: { status: 400, retry: 'never', text: 'The segment config is wrong.' },
  INVALID_SETTINGS: { status: 400, retry: 'never', text: 'The settings are wrong.' },
  SERVER_TOO_OLD: { status: 500, retry: 'never', text: 'nats-server is too old.' },
  SERVER_NOT_FOUND: { status: 500, retry: 'never', text: 'No usable nats-server was found.' },
  TOPOLOGY_MISMATCH: {
    status: 500,
    retry: 'never',
    text: 'A stream or bucket is not what the design demands.',
  },
  LOG_REPLACED: { status: 500, retry: 'never', text: 'The event log is not the one that was read before.' },
  LOG_TRUNCATED: { status: 500, retry: 'never', text: 'The event log lost messages that were not applied.' },
  RECORD_DAMAGED: { status: 500, retry: 'never', text: 'A stored record cannot be read.' },
  RECORD_TOO_LARGE: { status: 500, retry: 'never', text: 'A record would exceed its size limit.' },
  DECISION_TOO_LARGE: {
    status: 500,
    retry: 'never',
    text: 'One message would write more than a batch can hold.',
  },
  POISON_MESSAGE: { status: 500, retry: 'never', text: 'The message cannot be applied.' },
} as const satisfies Record<string, { status: number; retry: 'never' | 'later'; text: string }>;

export type ErrorCode = keyof typeof ERRORS;

export class StitchworkError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly unknown[] | undefined;

  constructor(
    code: ErrorCode,
    message?: string,
    options?: { cause?: unknown; details?: readonly unknown[] },
  ) {
    super(message ?? ERRORS[code].text, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StitchworkError';
    this.code = code;
    this.details = options?.details;
  }
}

export function isStitchworkError(error: unknown, code?: ErrorCode): error is StitchworkError {
  return error instanceof StitchworkError && (code === undefined || error.code === code);
}

/** The text of whatever was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
