// What a process has used, from /proc: CPU time, memory, bytes written. Undefined where there is no /proc.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ProcessUse {
  readonly cpuMs: number;
  /** Of children that have ended and were waited for. */
  readonly endedChildrenCpuMs: number;
  readonly rssBytes: number;
  readonly rssPeakBytes: number;
  /** To storage, as the kernel counts it. */
  readonly writtenBytes: number;
}

let ticks: number | undefined;

/** Undefined when the process is gone or the system tells nothing. */
export function readUse(pid: number): ProcessUse | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const tickMs = 1000 / ticksPerSecond();
    return {
      cpuMs: cpuTicksOf(stat).own * tickMs,
      endedChildrenCpuMs: cpuTicksOf(stat).endedChildren * tickMs,
      rssBytes: numberAfter(status, 'VmRSS:') * 1024,
      rssPeakBytes: numberAfter(status, 'VmHWM:') * 1024,
      writtenBytes: numberAfter(readIo(pid), 'write_bytes:'),
    };
  } catch {
    // No such process any more, or no /proc: nothing is told.
    return undefined;
  }
}

/** User and system time of a line of /proc/<pid>/stat; the name before them may hold spaces and brackets. */
export function cpuTicksOf(stat: string): { readonly own: number; readonly endedChildren: number } {
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  return { own: fields[11]! + fields[12]!, endedChildren: fields[13]! + fields[14]! };
}

function readIo(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/io`, 'utf8');
  } catch {
    // Only the owner of the process may read it.
    return '';
  }
}

function ticksPerSecond(): number {
  ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })) || 100;
  return ticks;
}

function numberAfter(text: string, label: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(label));
  return line === undefined ? 0 : Number.parseInt(line.slice(label.length), 10);
}
