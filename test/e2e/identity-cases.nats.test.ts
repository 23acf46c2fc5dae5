// The identity cases through a real gateway and worker: the answers to the events, the profiles over HTTP, and the audit
// log. Cases share a running system: their key values carry the case's id. Those that need days to pass run on the pure
// core only.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { segmentNames } from '../../shared/contract/names.ts';
import type { AuditEntry, AuditFact } from '../../shared/contract/outbox.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { readStream } from '../../shared/nats/stream-reader.ts';
import type { DevHandle } from '../../shared/settings.ts';
import {
  ATTRIBUTES,
  type CaseEvent,
  caseConfigs,
  expectedOf,
  type IdentityCase,
  identityCases,
  timesOf,
  toldOf,
} from '../support/identity-cases.ts';
import { ensureBuilt, type Running, runCliProcess, startCli } from './cli-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-cases-'));
const CASES = identityCases().filter(({ events }) => events.every(({ day }) => day === undefined));
/** The cases happen an hour ago, so that none of their events is ahead of the clock. */
const START_MS = Date.now() - 3_600_000;
let dev: Running;
let handle: DevHandle;
let door: NatsDoor;
/** Facts by segment and message id, in the order of the log. */
const told = new Map<string, AuditFact[]>();

const segmentOf = (config: string) => config.replaceAll('_', '-');

beforeAll(async () => {
  ensureBuilt();
  const files = Object.entries(caseConfigs()).map(([name, stitching]) => {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, stringify({ segment: segmentOf(name), stitching }) + ATTRIBUTES);
    return file;
  });
  const flags = files.flatMap((file) => ['--config', file]);
  dev = startCli([
    'dev',
    '--port',
    '0',
    '--data-dir',
    join(folder, 'data'),
    '--shards',
    '2',
    '--events-max-bytes',
    '100MB',
    '--json',
    ...flags,
  ]);
  handle = JSON.parse(await dev.line()) as DevHandle;
  door = await connectNats({ url: handle.natsUrl, name: 'identity cases' });
}, 60_000);

afterAll(async () => {
  await door?.close();
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

/** The value of a key in a shared system: what is junk or has a form of its own stays as it is. */
function valueIn({ id, theme, config }: IdentityCase & { readonly theme: string }, value: string): string {
  if (theme !== 'values') return `${id}.${value}`;
  return /^[a-z]{1,3}\d+$/.test(value) && config !== 'hashes' ? `${id}.${value}` : value;
}

async function api(path: string, segment: string, body?: object): Promise<Response> {
  const url = new URL(path, handle.url);
  url.searchParams.set('segment', segment);
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${handle.adminKey}` };
  return fetch(url, body ? { method: 'POST', headers, body: JSON.stringify(body) } : { headers });
}

/** Sends one event and waits for its commit; gives the profile that it belongs to. */
async function send(one: (typeof CASES)[number], event: CaseEvent, index: number): Promise<string | null> {
  const keys = Object.fromEntries(
    Object.entries(event.keys).map(([name, value]) => [name, valueIn(one, value)]),
  );
  const body = {
    messageId: messageIdOf(one, event, index),
    name: event.name ?? 'Viewed',
    keys,
    timestamp: new Date(START_MS + timesOf(event, index).atMs).toISOString(),
  };
  const answer = await api('/v1/events?wait=commit', segmentOf(one.config), body);
  const { committed, profiles } = (await answer.json()) as {
    committed: boolean;
    profiles: readonly { readonly profileId: string | null }[];
  };
  expect([answer.status, committed]).toEqual([200, true]);
  return profiles[0]!.profileId;
}

function messageIdOf({ id }: IdentityCase, event: CaseEvent, index: number): string {
  return `${id}.${event.id ?? index}`;
}

describe('identity cases', () => {
  it('through a running system: whose each event is, and the profiles at the end', async () => {
    for (const one of CASES) {
      const owners = new Map<string, string>();
      for (const [index, event] of one.events.entries()) {
        const profileId = await send(one, event, index);
        const where = `${one.id}, event ${index + 1}`;
        if (event.is === 'nobody') expect(profileId, where).toBeNull();
        else if (event.is !== undefined) {
          const known = owners.get(event.is);
          if (known === undefined)
            for (const [letter, id] of owners) expect(id, `${where} is of ${letter}`).not.toBe(profileId);
          owners.set(event.is, profileId!);
        }
      }
      await expectProfiles(one);
    }
  }, 120_000);

  it('in the audit log: every refusal, move and merge with its reason', async () => {
    const waited = await runCliProcess(['status', '--wait', '20s', '--data-dir', join(folder, 'data')]);
    expect(waited.code).toBe(0);
    for (const config of new Set(CASES.map((one) => one.config))) await readAudit(segmentOf(config));
    for (const one of CASES) {
      const seen = new Set<string>();
      one.events.forEach((event, index) => {
        const id = messageIdOf(one, event, index);
        // A repeat has the message id of the event that it repeats, and tells nothing more.
        if (seen.has(id)) return;
        seen.add(id);
        const facts = told.get(`${segmentOf(one.config)} ${id}`) ?? [];
        const plain = facts.map((fact) => withoutPrefix(one, fact));
        expect(toldOf(plain, event.evicted), `${one.id}, event ${index + 1}`).toEqual(expectedOf(event));
      });
    }
  }, 60_000);
});

async function expectProfiles(one: (typeof CASES)[number]): Promise<void> {
  const segment = segmentOf(one.config);
  for (const expected of one.profiles) {
    const keys = expected.map((text) => {
      const [name = '', ...value] = text.split(':');
      return [name, valueIn(one, value.join(':'))] as const;
    });
    const [name, value] = keys[0]!;
    const answer = await api(`/v1/profiles/${name}/${encodeURIComponent(value)}`, segment);
    expect(answer.status, `${one.id}, ${name}:${value}`).toBe(200);
    const profile = (await answer.json()) as { keys: Readonly<Record<string, readonly string[]>> };
    const found = Object.entries(profile.keys).flatMap(([key, values]) =>
      values.map((text) => `${key}:${text}`),
    );
    expect(found.sort(), one.id).toEqual(keys.map((key) => key.join(':')).sort());
  }
  for (const [key, count] of Object.entries(one.views ?? {})) {
    const [name = '', ...value] = key.split(':');
    const path = `/v1/profiles/${name}/${encodeURIComponent(valueIn(one, value.join(':')))}`;
    const profile = (await (await api(path, segment)).json()) as { attributes: { views: number } };
    expect(profile.attributes.views, `${one.id}, ${key}`).toBe(count);
  }
}

async function readAudit(segment: string): Promise<void> {
  for await (const { payload } of readStream(door, segmentNames(segment).auditStream)) {
    const entry = JSON.parse(Buffer.from(payload).toString()) as AuditEntry;
    const id = `${segment} ${entry.messageId}`;
    told.set(id, [...(told.get(id) ?? []), ...entry.facts]);
  }
}

function withoutPrefix({ id }: IdentityCase, fact: AuditFact): AuditFact {
  return fact.key ? { ...fact, key: { ...fact.key, value: fact.key.value.replace(`${id}.`, '') } } : fact;
}
