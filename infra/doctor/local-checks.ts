// Checks of this machine: Node, settings and keys in the environment, config files, room on the disk. No server needed.
import { existsSync } from 'node:fs';
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText, isStitchworkError } from '../../shared/kernel/errors.ts';
import { type ClientSettings, type Env, parseRoleSettings } from '../../shared/settings.ts';
import { describeProblem, readSegmentText, type SegmentSource } from '../segment-files.ts';
import { showSize } from '../show-size.ts';
import { type CheckResult, ok, problem, skipped, warning } from './check.ts';

export const NODE_MIN = '20.19.0';
const DISK_FREE_MIN = 1e9;
const DISK_FREE_SHARE_MIN = 0.05;

export function checkNode(version: string): CheckResult {
  const name = 'Node';
  const parts = (text: string) => text.split('.').map(Number);
  const [major = 0, minor = 0] = parts(version);
  const [leastMajor = 0, leastMinor = 0] = parts(NODE_MIN);
  const enough = major > leastMajor || (major === leastMajor && minor >= leastMinor);
  if (!enough) return problem(name, version, `install Node ${NODE_MIN} or newer`);
  return major % 2 === 0
    ? ok(name, version)
    : warning(name, `${version}, a line without long-term support`, 'use an even-numbered line of Node');
}

/** Settings that a role started from here would take from the environment. */
export function checkEnvironment(env: Env): CheckResult {
  const name = 'settings';
  try {
    parseRoleSettings({}, env);
  } catch (error) {
    if (!isStitchworkError(error, 'INVALID_SETTINGS')) throw error;
    return problem(name, (error.details ?? []).join('; '), 'correct these environment variables');
  }
  const set = Object.keys(env).filter((key) => /^(STITCHWORK_|NATS_URL$)/.test(key));
  return ok(name, set.length > 0 ? `from the environment: ${set.sort().join(', ')}` : 'all defaults');
}

/** Whether clients and gateways started from here have keys; none is printed. */
export function checkKeys(env: Env, settings: ClientSettings): CheckResult {
  const name = 'keys';
  const missing = [
    settings.adminKey === undefined ? 'STITCHWORK_ADMIN_KEY' : undefined,
    settings.writeKey === undefined ? 'STITCHWORK_WRITE_KEY' : undefined,
  ].filter((key) => key !== undefined);
  if (missing.length === 0) {
    const fromEnv = env.STITCHWORK_ADMIN_KEY || env.STITCHWORK_WRITE_KEY;
    return ok(name, `admin and write key present${fromEnv ? '' : ' (of the dev process)'}`);
  }
  const fix = `set ${missing.join(' and ')}: gateways take keys from there, and client commands send them`;
  return warning(name, `not set: ${missing.join(', ')}`, fix);
}

export interface CheckedFiles {
  readonly results: readonly CheckResult[];
  /** Files without a problem. */
  readonly sources: readonly { readonly file: string; readonly source: SegmentSource }[];
}

export async function checkConfigFiles(files: readonly string[]): Promise<CheckedFiles> {
  const results: CheckResult[] = [];
  const sources: { file: string; source: SegmentSource }[] = [];
  if (files.length === 0) results.push(skipped('config file', 'none named', 'name one by --config FILE'));
  for (const file of files) {
    const name = `config file ${file}`;
    try {
      const { source, problems } = readSegmentText(await readFile(file, 'utf8'));
      if (source) {
        sources.push({ file, source });
        results.push(ok(name, `segment ${source.config.segment}, no problems`));
      } else {
        const found = problems.map(describeProblem).join('; ');
        results.push(problem(name, found, `see all: stitchwork validate ${file}`));
      }
    } catch (error) {
      results.push(problem(name, `cannot be read: ${errorText(error)}`, 'correct the path'));
    }
  }
  return { results, sources };
}

/** Room where the data folder is; `mayGrow` is what the event logs on it may still take. */
export async function checkDisk(dataDir: string, mayGrow: number | undefined): Promise<CheckResult> {
  const name = 'disk';
  if (!existsSync(dataDir)) {
    return skipped(
      name,
      `no folder ${dataDir} on this machine`,
      'name the data folder of nats-server by --data-dir',
    );
  }
  const { bavail, blocks, bsize } = await statfs(dataDir);
  const free = bavail * bsize;
  const found = `${showSize(free)} of ${showSize(blocks * bsize)} free at ${dataDir}`;
  const fix = 'make room, or move the store of nats-server to a larger disk';
  if (free < DISK_FREE_MIN || free < blocks * bsize * DISK_FREE_SHARE_MIN) return problem(name, found, fix);
  const holdsStore = existsSync(join(dataDir, 'nats'));
  if (holdsStore && mayGrow !== undefined && free < mayGrow) {
    const grow = `${found}; the event logs may still grow by ${showSize(mayGrow)}`;
    return warning(name, grow, `${fix}, or lower --events-max-bytes`);
  }
  return ok(name, found);
}
