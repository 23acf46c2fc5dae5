// Reads a .cpuprofile of Node: self time by function, and by file or package.
import { readFileSync } from 'node:fs';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** Node id of each sample. */
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

export interface SelfTime {
  readonly name: string;
  readonly ms: number;
  /** Of the time in which the process was not idle. */
  readonly share: number;
}

export interface ProfileSummary {
  readonly busyMs: number;
  readonly idleMs: number;
  readonly functions: readonly SelfTime[];
  readonly files: readonly SelfTime[];
}

const IDLE = '(idle)';

export function readCpuProfile(path: string): CpuProfile {
  return JSON.parse(readFileSync(path, 'utf8')) as CpuProfile;
}

/** The `top` entries of each kind, most self time first. */
export function summarizeProfile(profile: CpuProfile, top: number): ProfileSummary {
  const selfUs = selfTimes(profile);
  const functions = new Map<string, number>();
  const files = new Map<string, number>();
  let idleUs = 0;
  let busyUs = 0;
  for (const { id, callFrame } of profile.nodes) {
    const us = selfUs.get(id) ?? 0;
    if (callFrame.functionName === IDLE) {
      idleUs += us;
      continue;
    }
    busyUs += us;
    const place = placeOf(callFrame.url);
    const line = callFrame.url === '' ? '' : `:${callFrame.lineNumber + 1}`;
    add(functions, `${callFrame.functionName || '(anonymous)'} ${place}${line}`.trim(), us);
    add(files, place === '' ? callFrame.functionName : place, us);
  }
  const most = (of: ReadonlyMap<string, number>): readonly SelfTime[] =>
    [...of]
      .map(([name, us]) => ({ name, ms: us / 1000, share: busyUs === 0 ? 0 : us / busyUs }))
      .sort((a, b) => b.ms - a.ms)
      .slice(0, top);
  return { busyMs: busyUs / 1000, idleMs: idleUs / 1000, functions: most(functions), files: most(files) };
}

/** A sample's time lasts until the next one. */
function selfTimes({ samples, timeDeltas }: CpuProfile): ReadonlyMap<number, number> {
  const us = new Map<number, number>();
  for (let i = 0; i < samples.length; i++) {
    const lasted = timeDeltas[i + 1] ?? 0;
    us.set(samples[i]!, (us.get(samples[i]!) ?? 0) + lasted);
  }
  return us;
}

/** A package by its name, an own file by its path in the package, a module of Node as it is. */
export function placeOf(url: string): string {
  const [, packaged] = url.split(/.*\/node_modules\//s);
  if (packaged !== undefined) {
    const parts = packaged.split('/');
    return parts.slice(0, parts[0]?.startsWith('@') ? 2 : 1).join('/');
  }
  return url.replace(/^file:\/\/.*\/dist\//, '').replace(/^file:\/\//, '');
}

function add(to: Map<string, number>, name: string, us: number): void {
  to.set(name, (to.get(name) ?? 0) + us);
}
