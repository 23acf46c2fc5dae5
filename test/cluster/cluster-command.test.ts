// `stitchwork cluster` from the outside: events go in and come out, what is killed comes back, nothing is left behind.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBuilt, eventually, runCliProcess, startCli } from '../e2e/cli-process.ts';

interface Summary {
  readonly natsUrl: string;
  readonly nodes: readonly { readonly url: string; readonly pid: number }[];
  readonly gateways: readonly { readonly url: string; readonly pid: number }[];
  readonly workers: readonly { readonly url: string; readonly pid: number }[];
  readonly activators: readonly { readonly url: string; readonly pid: number }[];
  readonly adminKey: string;
  readonly writeKey: string;
  readonly folder: string;
}

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-cluster-cli-'));
beforeAll(ensureBuilt);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('runs everything until it is told to stop', { timeout: 120_000 }, async () => {
  const run = startCli(['cluster', '--json', '--gateways', '2', '--workers', '1'], { TMPDIR: folder });
  try {
    const summary = JSON.parse(await run.line()) as Summary;
    expect(summary.natsUrl.split(',')).toEqual(summary.nodes.map(({ url }) => url));
    expect(summary.nodes).toHaveLength(3);
    const [one, two] = summary.gateways;
    await send(one!.url, summary.writeKey, 'm-1');
    await seen(two!.url, summary.adminKey);
    process.kill(summary.gateways[0]!.pid, 'SIGKILL');
    await eventually(
      () =>
        fetch(`${one!.url}/health/ready`).then(
          ({ status }) => status,
          () => 0,
        ),
      (status) => status === 200,
    );
    expect(summary.activators).toHaveLength(1);
    expect((await fetch(`${summary.activators[0]!.url}/metrics`)).status).toBe(200);
    run.child.kill('SIGINT');
    expect((await run.finished).code).toBe(0);
    const all = [...summary.nodes, ...summary.workers, ...summary.activators, ...summary.gateways.slice(1)];
    expect(all.filter(({ pid }) => existsSync(`/proc/${pid}`))).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    run.child.kill('SIGTERM');
    await run.finished;
  }
});

it.each([
  ['--nodes', '2', 'give 1, 3 or 5'],
  ['--gateways', '0', 'give a whole number from 1'],
  ['--log-level', 'loud', 'Allowed choices'],
])('%s %s is wrong usage', async (flag, value, text) => {
  const { code, err } = await runCliProcess(['cluster', flag, value]);
  expect(code).toBe(2);
  expect(err).toContain(text);
});

async function send(url: string, key: string, messageId: string): Promise<void> {
  const event = {
    messageId,
    name: 'Line Bought',
    keys: { invoice: 'A-1' },
    properties: { qty: 1, price: 5 },
  };
  const response = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(event),
  });
  expect(response.status).toBe(202);
}

async function seen(url: string, key: string): Promise<void> {
  await eventually(
    async () => {
      const response = await fetch(`${url}/v1/profiles/invoice/A-1`, {
        headers: { authorization: `Bearer ${key}` },
      });
      return response.status;
    },
    (status) => status === 200,
  );
}
