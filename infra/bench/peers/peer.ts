// A system that does the task, and what all of them share: a server of its own on temporary data, a clock, the cost.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createMetronome } from '../load/metronome.ts';
import type { Ownership } from '../ownership.ts';
import { measureOpenLoop } from '../pace.ts';
import { readUse } from '../process-stat.ts';
import type { BenchContext, Case } from '../scenario.ts';
import { latenciesOf } from '../statistics.ts';
import { LATENCY_RATE, type PageView, type Task } from './task.ts';

export interface Peer {
  readonly name: string;
  /** What it does, and what it leaves out. */
  readonly about: string;
  /** Why it cannot be run here; undefined: it can. */
  missing(): string | undefined;
  run(task: Task, context: BenchContext): Promise<readonly Case[]>;
}

export interface PeerServer {
  readonly pid: number;
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly binary: string;
  readonly args: readonly string[];
  /** Removed when it has ended. */
  readonly folder: string;
  readonly identity?: { readonly uid: number; readonly gid: number } | undefined;
  /** Makes it end at once. */
  readonly stopSignal: NodeJS.Signals;
}

/** Starts a server as a child. */
export function startServer(options: ServerOptions, ownership: Ownership): PeerServer {
  const { binary, args, folder, identity, stopSignal } = options;
  const child: ChildProcess = spawn(binary, args, { stdio: 'ignore', detached: true, ...identity });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  return {
    pid: child.pid ?? 0,
    stop: ownership.own(async () => {
      child.kill(stopSignal);
      await ended;
      await rm(folder, { recursive: true, force: true });
    }),
  };
}

/** The first place where a program is. */
export function findProgram(name: string, folders: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? '').split(delimiter);
  return [...folders, ...path, '/usr/sbin', '/usr/local/sbin']
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}

/** Folders of a folder, none when it is not there. */
export function foldersIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

/** Times the work of applying `events`, with what a server, its children included, and this process spent on each. */
export async function timed(
  events: number,
  serverPid: number,
  work: () => Promise<void>,
): Promise<Record<string, number>> {
  const server = () => familyCpuMs(serverPid);
  const clientBefore = process.cpuUsage();
  const serverBefore = server();
  const startMs = performance.now();
  await work();
  const elapsedMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(clientBefore);
  return {
    'events/s': events / (elapsedMs / 1000),
    'server us/event': ((server() - serverBefore) * 1000) / events,
    'client us/event': (user + system) / events,
  };
}

/** One event after the other at a fixed rate, open loop. */
export async function latencyFigures(
  views: readonly PageView[],
  applyOne: (view: PageView, index: number) => Promise<void>,
): Promise<Record<string, number>> {
  const metronome = createMetronome();
  try {
    const pace = { ratePerSecond: LATENCY_RATE, count: views.length };
    const one = (index: number) => applyOne(views[index]!, index).then(() => true);
    const { latenciesMs } = await measureOpenLoop(pace, metronome, one);
    const { p50, p99 } = latenciesOf(latenciesMs);
    return { 'one event p50 ms': p50, 'one event p99 ms': p99 };
  } finally {
    await metronome.close();
  }
}

/** What a process, its children and those of them that have ended have used. */
function familyCpuMs(pid: number): number {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  const children = (stdout ?? '')
    .split('\n')
    .map(Number)
    .filter((child) => child > 0);
  const own = readUse(pid);
  const living = children.reduce((sum, child) => sum + (readUse(child)?.cpuMs ?? 0), 0);
  return (own?.cpuMs ?? 0) + (own?.endedChildrenCpuMs ?? 0) + living;
}
