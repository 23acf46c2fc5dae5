// The server that a killed dev process left: ended when it is one, left alone when the pid is somebody else's by now.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { endOrphan, forgetServer, noteServer } from '../../../infra/nats-orphan.ts';

let folder: string;
let child: ChildProcess;

/** Something that runs with the given arguments until it is ended. */
async function spawnWith(...args: readonly string[]): Promise<number> {
  const script = 'process.stdout.write("up"); setInterval(() => {}, 1000)';
  child = spawn(process.execPath, ['-e', script, '--', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child.pid ?? 0;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stitchwork-orphan-'));
});
afterEach(() => {
  child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

it('ends a server that still holds the folder', async () => {
  noteServer(folder, await spawnWith('-p', '1', '-sd', folder));
  const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  expect(await endOrphan(folder)).toBe(true);
  expect(await ended).toBe('SIGTERM');
  expect(await endOrphan(folder)).toBe(false);
});

it('leaves alone whoever has its pid now, and does nothing without a note', async () => {
  noteServer(folder, await spawnWith('-sd', '/somewhere/else'));
  expect(await endOrphan(folder)).toBe(false);
  expect(child.exitCode ?? child.signalCode).toBeNull();
  forgetServer(folder);
  expect(await endOrphan(folder)).toBe(false);
});
