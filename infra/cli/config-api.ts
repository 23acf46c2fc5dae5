// The config routes of a gateway as the config commands use them.
import { hostname, userInfo } from 'node:os';
import type { StitchingComparison } from '../../actors/profile/compare-stitching.ts';
import type { ConfigDiff } from '../../shared/contract/config/diff.ts';
import type { ConfigProblem } from '../../shared/contract/config/problem.ts';
import type { ConfigEntry } from '../../shared/ports/config-store.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { type ApiTarget, apiFetch, failureOf } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import type { Io } from './io.ts';

export interface Changed extends Omit<ConfigEntry, 'digest' | 'textDigest'> {
  readonly segment: string;
  readonly changed: boolean;
  readonly dryRun: boolean;
  readonly problems: readonly ConfigProblem[];
  readonly diff: ConfigDiff | null;
}

export interface Difference {
  readonly from: number;
  readonly to: number | null;
  readonly diff: ConfigDiff;
  readonly stitching: StitchingComparison | null;
}

export interface History {
  readonly segment: string;
  readonly current: number;
  readonly versions: readonly ConfigEntry[];
}

export interface ChangeOptions {
  readonly note?: string | undefined;
  readonly ifVersion?: number | undefined;
  readonly dryRun: boolean;
}

/** A comparison over many events takes longer than other requests. */
const COMPARE_DEADLINE_MS = 120_000;

/** Config of one segment, through a gateway. Every method throws CommandFailure. */
export class ConfigApi {
  readonly #target: ApiTarget;
  readonly #base: string;

  constructor(target: ApiTarget, segment: string) {
    this.#target = { ...target, segment: undefined };
    this.#base = `/v1/config/${encodeURIComponent(segment)}`;
  }

  async text(version: number | undefined): Promise<string> {
    return (await this.#send(this.#versionPath(version), { method: 'GET' })).text();
  }

  async document(version: number | undefined): Promise<unknown> {
    return (await this.#send(`${this.#versionPath(version)}?format=json`, { method: 'GET' })).json();
  }

  async history(): Promise<History> {
    return (await this.#send(`${this.#base}/versions`, { method: 'GET' })).json() as Promise<History>;
  }

  async apply(yaml: string, { note, ifVersion, dryRun }: ChangeOptions): Promise<Changed> {
    const query = new URLSearchParams({ by: whoAmI(), dry_run: String(dryRun) });
    if (note !== undefined) query.set('note', note);
    const headers = {
      'content-type': 'text/yaml',
      ...(ifVersion === undefined ? {} : { 'if-match': `"${ifVersion}"` }),
    };
    const response = await this.#send(`${this.#base}?${query}`, { method: 'PUT', body: yaml, headers });
    return response.json() as Promise<Changed>;
  }

  async rollback(to: number, { note, ifVersion, dryRun }: ChangeOptions): Promise<Changed> {
    const body = JSON.stringify({ to, note, if_version: ifVersion, by: whoAmI(), dry_run: dryRun });
    const headers = { 'content-type': 'application/json' };
    const response = await this.#send(`${this.#base}/rollback`, { method: 'POST', body, headers });
    return response.json() as Promise<Changed>;
  }

  async diff(yaml: string, events: number | undefined): Promise<Difference> {
    const query = events === undefined ? '' : `?events=${events}`;
    const headers = { 'content-type': 'text/yaml' };
    const response = await this.#send(`${this.#base}/diff${query}`, { method: 'POST', body: yaml, headers });
    return response.json() as Promise<Difference>;
  }

  #versionPath(version: number | undefined): string {
    return version === undefined ? this.#base : `${this.#base}/versions/${version}`;
  }

  async #send(path: string, init: Parameters<typeof apiFetch>[2]): Promise<Response> {
    const response = await apiFetch(this.#target, path, init, COMPARE_DEADLINE_MS);
    if (!response.ok) throw failureOf(response.status, await response.text());
    return response;
  }
}

/** The config of the segment that the flags name, or of the only one there is. */
export async function configApi(flags: ClientFlags, io: Io): Promise<ConfigApi> {
  const settings = clientSettings(flags, io);
  const target = adminTarget(settings);
  if (settings.segment !== undefined) return new ConfigApi(target, settings.segment);
  const response = await apiFetch({ ...target, segment: undefined }, '/v1/config', { method: 'GET' });
  if (!response.ok) throw failureOf(response.status, await response.text());
  const { segments } = (await response.json()) as { segments: readonly { segment: string }[] };
  if (segments.length === 1) return new ConfigApi(target, segments[0]!.segment);
  const names = segments.map(({ segment }) => segment).join(', ');
  throw new CommandFailure(EXIT.usage, `which segment? Give --segment NAME: ${names}`);
}

function whoAmI(): string {
  return `${userInfo().username}@${hostname()}`;
}
