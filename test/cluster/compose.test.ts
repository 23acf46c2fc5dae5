// The compose file and the image, as far as they can be checked without an engine: every command is one that the command
// line takes, with settings that it accepts; every file that is mounted or copied is there; the NATS config is valid.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { processIo } from '../../infra/cli/io.ts';
import { buildProgram } from '../../infra/cli/program.ts';
import { PINNED_VERSION, resolveNatsServer } from '../../infra/nats-server/resolve.ts';
import { packagePath } from '../../infra/package-root.ts';
import { loadSegmentFiles } from '../../infra/segment-files.ts';
import { parseRoleSettings, type RoleFlags } from '../../shared/settings.ts';

const FOLDER = 'infra/compose';
const KEYS = { STITCHWORK_ADMIN_KEY: 'compose-admin-key', STITCHWORK_WRITE_KEY: 'compose-write-key' };

interface Service {
  readonly image: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly volumes: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly restart: string;
}

const compose = parse(text(`${FOLDER}/compose.yaml`), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const services = Object.entries(compose.services);
const nodes = services.filter(([, { image }]) => image.startsWith('nats:'));
const roles = services.filter(([, { image }]) => !image.startsWith('nats:'));

function text(path: string): string {
  return readFileSync(packagePath(path), 'utf8');
}

describe('the compose file', () => {
  it('has three nodes, two of each role, each kept running', () => {
    expect(nodes).toHaveLength(3);
    expect(roles.map(([, { command }]) => command[0]).sort()).toEqual([
      'activator',
      'activator',
      'batch',
      'batch',
      'gateway',
      'gateway',
      'worker',
      'worker',
    ]);
    expect(services.filter(([, { restart }]) => restart !== 'unless-stopped')).toEqual([]);
    expect(nodes.map(([, { image }]) => image)).toEqual(Array(3).fill(`nats:${PINNED_VERSION}-alpine`));
  });

  it.each(roles)('%s is a command line that the program takes', async (_name, service) => {
    const [name = '', ...args] = service.command;
    const command = buildProgram(processIo()).commands.find((candidate) => candidate.name() === name);
    expect(command?.parseOptions(args)).toMatchObject({ operands: [], unknown: [] });
    const settings = parseRoleSettings(command?.opts<RoleFlags>() ?? {}, interpolated(service.environment));
    expect(settings).toMatchObject({ host: '0.0.0.0', topology: { replicas: nodes.length } });
    expect(settings.adminKeys).toEqual([KEYS.STITCHWORK_ADMIN_KEY]);
    expect(settings.writeKeys).toEqual([KEYS.STITCHWORK_WRITE_KEY]);
    expect(settings.natsUrl?.split(',')).toEqual(nodes.map(([node]) => `nats://${node}:4222`));
    const mounted = settings.configFiles.map(
      (file) => mountsOf(service).get(file) ?? `${file} is not mounted`,
    );
    expect(await loadSegmentFiles(mounted.map((file) => packagePath(file)))).toHaveLength(1);
  });

  it.each(roles)('%s starts when every node is healthy', (_name, { depends_on: needs = {} }) => {
    for (const [node] of nodes) expect(needs[node]).toEqual({ condition: 'service_healthy' });
    for (const [, { healthcheck }] of nodes) expect(healthcheck?.test[0]).toBe('CMD');
  });

  it('says which key is missing', () => {
    for (const [, { environment }] of roles) {
      for (const name of Object.keys(KEYS)) {
        expect(environment[name]).toMatch(new RegExp(`^\\$\\{${name}:\\?.{10,}\\}$`));
      }
    }
  });

  it('mounts only files that are there, and volumes that are declared', () => {
    for (const [, service] of services) {
      for (const file of mountsOf(service).values()) expect(existsSync(packagePath(file)), file).toBe(true);
      for (const volume of service.volumes.filter((entry) => !entry.startsWith('.'))) {
        expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0]);
      }
    }
  });

  it.each(nodes)('%s has a config that nats-server takes', async (name, service) => {
    const { path } = await resolveNatsServer();
    const folder = mkdtempSync(join(tmpdir(), 'stitchwork-compose-'));
    try {
      const files = [...mountsOf(service)];
      expect(new Set(files.map(([inside]) => dirname(inside))).size).toBe(1);
      for (const [inside, file] of files) copyFileSync(packagePath(file), join(folder, basename(inside)));
      const [flag, config = ''] = service.command;
      expect(flag).toBe('--config');
      const env = { ...process.env, ...service.environment };
      expect(service.environment.NODE_NAME).toBe(name);
      execFileSync(path, ['-t', '-c', join(folder, basename(config))], { env, stdio: 'pipe' });
      expect(text(`${FOLDER}/nats-cluster.conf`)).toContain(`nats://${name}:6222`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('the image', () => {
  const lines = text(`${FOLDER}/Dockerfile`).split('\n');

  it('copies only files that are there and not ignored', () => {
    const copied = lines
      .filter((line) => /^COPY (?!--from)/.test(line))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(copied.length).toBeGreaterThan(8);
    for (const file of copied) {
      expect(existsSync(packagePath(file)), file).toBe(true);
      expect(isIgnored(file), `${file} is ignored`).toBe(false);
    }
    for (const file of ['.git', 'node_modules', 'dist', 'test', '.stitchwork', 'infra/node_modules']) {
      expect(isIgnored(file), `${file} is sent to the engine`).toBe(true);
    }
  });

  it('runs as another user than root, on a pinned Node, with a health check', () => {
    const froms = lines.filter((line) => line.startsWith('FROM '));
    expect(froms.map((line) => line.split(' ')[1])).toEqual(['node:22-slim', 'node:22-slim']);
    expect(lines).toContain('USER node');
    expect(lines.some((line) => line.startsWith('HEALTHCHECK '))).toBe(true);
    expect(lines.indexOf('USER node')).toBeGreaterThan(lines.indexOf(froms[1] ?? ''));
  });

  it('has what the package says belongs to it and the roles need', () => {
    const copied = lines.filter((line) => line.startsWith('COPY ')).join('\n');
    for (const needed of ['nats.conf', 'package.json', '/app/dist', '/app/node_modules']) {
      expect(copied).toContain(needed);
    }
  });
});

/** File of the checkout by its place in the container. */
function mountsOf({ volumes }: Service): ReadonlyMap<string, string> {
  return new Map(
    volumes
      .filter((entry) => entry.startsWith('.'))
      .map((entry) => entry.split(':'))
      .map(([from = '', to = '']) => [to, normalize(join(FOLDER, from))]),
  );
}

function interpolated(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      /^\$\{/.test(value) ? (KEYS[name as keyof typeof KEYS] ?? '') : value,
    ]),
  );
}

/** Of the patterns that match a file or a folder above it, the last one decides. */
function isIgnored(file: string): boolean {
  const parts = file.split('/');
  const places = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  let ignored = false;
  for (const line of text('.dockerignore').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const isException = line.startsWith('!');
    const pattern = isException ? line.slice(1) : line;
    const inside = pattern.startsWith('**/') ? `(.*/)?${pattern.slice(3)}` : pattern.replaceAll('*', '[^/]*');
    const expression = new RegExp(`^${inside}$`);
    if (places.some((place) => expression.test(place))) ignored = !isException;
  }
  return ignored;
}
