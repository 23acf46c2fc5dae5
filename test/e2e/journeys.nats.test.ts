// Journeys through the whole system, with clocks in real time: entered, timed, told, finished by the config by which one came in.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Finished, type Running, runCliProcess, startCli } from './cli-process.ts';

const config = (wait: string, then: string) => `segment: trip
stitching: { keys: [{ name: customer_id, limit: 1 }, { name: device, kind: device }] }
events:
  - { name: added, when: 'event.name == "Added"' }
  - { name: ordered, when: 'event.name == "Ordered"' }
activations: [{ name: mail }, { name: push }]
journeys:
  - name: abandoned
    enter: { on: added }
    goal: { on: ordered }
    steps: [{ wait: ${wait} }, { activate: ${then} }]
`;
const folder = mkdtempSync(join(tmpdir(), 'stitchwork-journeys-'));
const file = join(folder, 'trip.yaml');
const env: Record<string, string> = {};
const cli = (...args: readonly string[]): Promise<Finished> => runCliProcess(args, env);
let dev: Running;
let handle: DevHandle;

beforeAll(async () => {
  ensureBuilt();
  writeFileSync(file, config('3s', 'mail'));
  const flags = ['--shards', '4', '--events-max-bytes', '100MB', '--json', '--config', file];
  dev = startCli(['dev', '--port', '0', '--data-dir', join(folder, 'data'), ...flags]);
  handle = JSON.parse(await dev.line()) as DevHandle;
  const { natsUrl: NATS_URL, url: STITCHWORK_URL, adminKey: STITCHWORK_ADMIN_KEY } = handle;
  Object.assign(env, { NATS_URL, STITCHWORK_URL, STITCHWORK_ADMIN_KEY });
}, 60_000);

afterAll(async () => {
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

async function send(name: string, device: string): Promise<void> {
  const answer = await fetch(`${handle.url}/v1/events?wait=commit`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
    body: JSON.stringify({ messageId: `${name}-${device}`, name, keys: { device } }),
  });
  expect(answer.status, await answer.clone().text()).toBe(200);
}

async function activations(): Promise<readonly string[]> {
  const { out } = await cli('tail', 'activations', '--segment', 'trip', '--all', '--no-follow', '--json');
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => `${/"name":"(\w+)"/.exec(line)?.[1]} ${/"device":"(\w+)"/.exec(line)?.[1]}`)
    .sort();
}

it('waits by the clock, ends by the goal, and by the config with which it began', async () => {
  await send('Added', 'one');
  await send('Added', 'two');
  const shown = await cli('journey', 'show', 'abandoned', '--json');
  expect(JSON.parse(shown.out)).toMatchObject({
    state: 'launched',
    inside: 2,
    steps: [
      { step: '1', kind: 'wait', inside: 2 },
      { step: '2', kind: 'activate', inside: 0 },
    ],
  });
  await send('Ordered', 'two');
  writeFileSync(file, config('1s', 'push'));
  expect((await cli('apply', file, '--yes')).code).toBe(0);
  await send('Added', 'three');
  await eventually('both are through', async () => (await activations()).length === 2);
  expect(await activations()).toEqual(['mail one', 'push three']);
  const list = await cli('journey', 'list', '--json');
  expect(JSON.parse(list.out)).toMatchObject({ journeys: [{ name: 'abandoned', inside: 0 }] });
  const { out } = await cli('audit', '--kind', 'journey_left', '--segment', 'trip', '--json');
  for (const reason of ['goal', 'end']) expect(out).toContain(`"reason":"${reason}"`);
  expect((await cli('journey', 'show', 'abandonned')).err).toContain('did you mean abandoned');
}, 60_000);
