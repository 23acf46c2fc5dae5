// A segment of its own on a running server with an activator in this process. Activations are put where commits put them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { type RunningActivator, runActivator } from '../../infra/activator-role.ts';
import { createRegistry } from '../../infra/wire.ts';
import type { DeadActivation, DeliveryEntry } from '../../shared/contract/delivery.ts';
import { recordKeys, type SegmentNames, segmentNames } from '../../shared/contract/names.ts';
import type { Activation, AuditEntry } from '../../shared/contract/outbox.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { readStream } from '../../shared/nats/stream-reader.ts';
import { parseRoleSettings } from '../../shared/settings.ts';

let made = 0;

export function configYaml(segment: string, destinations: readonly string[], to: string): string {
  return `segment: ${segment}
stitching: { keys: [{ name: email }] }
activations: [{ name: mail, to: ${to}, payload: { total: 1, who: '{{ keys.email }}', q: '', list: [] } }]
destinations:
${destinations.map((line) => `  - ${line}`).join('\n')}
`;
}

export class Rig {
  readonly names: SegmentNames;
  readonly url: string;
  readonly registry = createRegistry();
  door!: NatsDoor;
  folder!: string;
  readonly running: RunningActivator[] = [];

  constructor(url: string) {
    this.url = url;
    this.names = segmentNames(`a${process.pid}-${made++}`);
  }

  get configFile(): string {
    return join(this.folder, 'segment.yaml');
  }

  /** Starts an activator for the destinations. */
  async start(
    destinations: readonly string[],
    options: {
      readonly to?: string;
      readonly env?: Record<string, string>;
      readonly allow?: readonly string[];
    } = {},
  ): Promise<RunningActivator> {
    this.door ??= await connectNats({ url: this.url, name: 'test' });
    this.folder ??= await mkdtemp(join(tmpdir(), 'stitchwork-test-'));
    await writeFile(this.configFile, configYaml(this.names.segment, destinations, options.to ?? 'crm'));
    const flags = {
      config: [this.configFile],
      shards: '4',
      eventsMaxBytes: '64MB',
      allowNetwork: options.allow ?? ['127.0.0.0/8'],
    };
    const settings = { ...parseRoleSettings(flags, {}), natsUrl: this.url };
    const registry = this.running.length === 0 ? this.registry : createRegistry();
    const role = await runActivator(
      settings,
      { log: pino({ level: 'silent' }), registry },
      options.env ?? {},
    );
    this.running.push(role);
    return role;
  }

  /** Commits activations, as a worker's commit does. */
  async decide(ids: readonly string[], more: Partial<Activation> = {}): Promise<void> {
    const outcome = await createRecordStore(this.door, this.names).commit(
      ids.map((id) => ({
        kind: 'append',
        key: recordKeys.activation('mail', id),
        value: Buffer.from(JSON.stringify(activation(this.names.segment, id, more))),
      })),
    );
    if (outcome.kind !== 'committed') throw new Error(JSON.stringify(outcome));
  }

  /** Puts another config in force, as `stitchwork apply` does. */
  async apply(version: number, destinations: readonly string[], to = 'crm'): Promise<void> {
    const yaml = configYaml(this.names.segment, destinations, to);
    const candidate = {
      yaml,
      digest: `test-${version}`,
      at: new Date().toISOString(),
      by: 'test',
      note: null,
      rollbackOf: null,
    };
    const outcome = await createConfigStore(this.door, this.names).add(candidate, version - 1);
    if (outcome.kind !== 'added') throw new Error(JSON.stringify(outcome));
  }

  attempts(): Promise<readonly DeliveryEntry[]> {
    return this.#bodies(this.names.deliveriesStream, this.names.attemptsFilter);
  }

  audit(): Promise<readonly AuditEntry[]> {
    return this.#bodies(this.names.auditStream);
  }

  dead(): Promise<readonly DeadActivation[]> {
    return this.#bodies(this.names.deadStream);
  }

  async stop(): Promise<void> {
    for (const role of this.running.splice(0)) await role.stop();
    await this.door?.close();
    if (this.folder) await rm(this.folder, { recursive: true, force: true });
  }

  async #bodies<T>(stream: string, filter?: string): Promise<readonly T[]> {
    const bodies: T[] = [];
    for await (const { payload } of readStream(this.door, stream, filter === undefined ? {} : { filter }))
      bodies.push(JSON.parse(Buffer.from(payload).toString('utf8')) as T);
    return bodies;
  }
}

export function activation(segment: string, id: string, more: Partial<Activation> = {}): Activation {
  return {
    id,
    name: 'mail',
    segment,
    profileId: 'p-1',
    keys: { email: 'ann@example.com' },
    payload: { total: 1, who: 'ann@example.com' },
    to: ['crm'],
    cause: { trigger: 't', event: 'bought', messageId: `m-${id}` },
    at: new Date().toISOString(),
    configVersion: 1,
    ...more,
  };
}
