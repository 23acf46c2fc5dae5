// A gateway's HTTP API as the client commands use it. Failures become errors with the exit code they mean.
import { errorText } from '../../shared/kernel/errors.ts';
import { CommandFailure, EXIT } from './exit.ts';

const REQUEST_DEADLINE_MS = 15_000;

export interface ApiTarget {
  readonly url: string;
  readonly key: string | undefined;
  readonly segment: string | undefined;
}

/** GET of a JSON document. Throws CommandFailure: 3 when there is none, 4 when nobody answers, else 1. */
export async function apiGet(target: ApiTarget, path: string): Promise<unknown> {
  return documentOf(await apiFetch(target, path, { method: 'GET' }));
}

/** POST of a JSON document; its answer. Throws as `apiGet` does. */
export async function apiPost(target: ApiTarget, path: string, body: object): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  return documentOf(await apiFetch(target, path, { method: 'POST', body: JSON.stringify(body), headers }));
}

async function documentOf(response: Response): Promise<unknown> {
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as unknown;
  throw failureOf(response.status, text);
}

/** What an answer that is no success means for a command. */
export function failureOf(status: number, body: string): CommandFailure {
  const told = errorOf(body);
  const message = `${status} ${told.code}: ${told.message}`;
  if (status === 404) return new CommandFailure(EXIT.notFound, told.message);
  if (status === 401 || status === 403)
    return new CommandFailure(EXIT.failed, `${message} (set STITCHWORK_ADMIN_KEY or --key)`);
  if (told.code === 'INVALID_CONFIG') return new CommandFailure(EXIT.problems, told.message);
  return new CommandFailure(status === 503 ? EXIT.unreachable : EXIT.failed, message);
}

/** One request with the key and segment of the target. Throws CommandFailure 4 when nobody answers. */
export async function apiFetch(
  target: ApiTarget,
  path: string,
  init: { method: string; body?: string; headers?: Record<string, string>; signal?: AbortSignal },
  deadlineMs = REQUEST_DEADLINE_MS,
): Promise<Response> {
  const url = new URL(`${target.url}${path}`);
  if (target.segment !== undefined) url.searchParams.set('segment', target.segment);
  const headers: Record<string, string> = { accept: 'application/json', ...init.headers };
  if (target.key !== undefined) headers.authorization = `Bearer ${target.key}`;
  const deadline = AbortSignal.timeout(deadlineMs);
  const signal = init.signal ? AbortSignal.any([init.signal, deadline]) : deadline;
  try {
    return await fetch(url, { ...init, headers, signal });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : errorText(error);
    throw new CommandFailure(EXIT.unreachable, `cannot reach the gateway at ${target.url}: ${cause}`);
  }
}

/** The one error shape of the API; other texts (a proxy's page) are cut short. */
export function errorOf(body: string): { readonly code: string; readonly message: string } {
  try {
    const parsed = JSON.parse(body) as { error?: { code?: unknown; message?: unknown } };
    if (typeof parsed.error?.code === 'string') {
      return { code: parsed.error.code, message: String(parsed.error.message ?? '') };
    }
  } catch {
    // Not JSON: told as it is below.
  }
  return { code: 'UNREADABLE_ANSWER', message: body.slice(0, 200) };
}
