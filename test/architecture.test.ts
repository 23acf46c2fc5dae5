// The shape of the code base as a test: who may import whom, which calls stand behind a door, how long a file may be,
// where names are built. What it checks is read from the real files.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const CODE_FOLDERS = ['actors', 'gateway', 'batch', 'shared', 'infra'];

const ZONES = {
  kernel: 'shared/kernel/',
  contract: 'shared/contract/',
  ports: 'shared/ports/',
  nats: 'shared/nats/',
  settings: 'shared/settings.ts',
  profile: 'actors/profile/',
  attributes: 'actors/attributes/',
  identity: 'actors/identity/',
  journeys: 'actors/journeys/',
  sending: 'actors/sending/',
  personalization: 'actors/personalization/',
  runtime: 'actors/runtime/',
  activation: 'actors/activation/',
  gateway: 'gateway/',
  batch: 'batch/',
  infra: 'infra/',
} as const;
type Zone = keyof typeof ZONES;

const DOMAIN: readonly Zone[] = [
  'profile',
  'identity',
  'attributes',
  'journeys',
  'sending',
  'personalization',
];
/** Who may import whom; every zone may import itself. */
const MAY_IMPORT: Readonly<Record<Zone, readonly Zone[]>> = {
  kernel: [],
  contract: ['kernel'],
  ports: ['kernel', 'contract'],
  nats: ['kernel', 'contract', 'ports'],
  settings: ['kernel', 'contract'],
  profile: ['kernel', 'contract', 'identity', 'attributes', 'journeys', 'sending'],
  journeys: ['kernel', 'contract', 'attributes', 'sending'],
  sending: ['kernel', 'contract', 'attributes'],
  personalization: ['kernel', 'contract', 'attributes', 'profile'],
  attributes: ['kernel', 'contract', 'profile'],
  identity: ['kernel', 'contract', 'profile'],
  runtime: ['kernel', 'contract', 'ports'],
  activation: ['kernel', 'contract', 'ports', ...DOMAIN],
  gateway: ['kernel', 'contract', 'ports', ...DOMAIN],
  batch: ['kernel', 'contract', 'ports', ...DOMAIN],
  infra: Object.keys(ZONES) as Zone[],
};

/** Calls that stand behind a door, and the files that are the door. */
const BANNED_CALLS: readonly { name: string; call: RegExp; doors: readonly string[] }[] = [
  {
    name: 'the wall clock',
    call: /\bDate\.now\b|\bnew Date\(\)/,
    doors: ['shared/kernel/clock.ts', 'infra/'],
  },
  {
    name: 'monotonic time',
    call: /\bperformance\.now\b|\bhrtime\b/,
    doors: ['shared/kernel/clock.ts', 'shared/nats/', 'infra/'],
  },
  {
    name: 'randomness',
    call: /\bMath\.random\b|\brandomUUID\b|\brandomBytes\b/,
    doors: ['shared/kernel/random.ts', 'infra/'],
  },
  {
    name: 'timers',
    call: /\bset(Timeout|Interval|Immediate)\b/,
    doors: ['shared/kernel/clock.ts', 'shared/nats/', 'infra/'],
  },
  { name: 'the environment', call: /\bprocess\.env\b/, doors: ['shared/settings.ts', 'infra/'] },
];

/** Streams, buckets and subjects that only shared/contract/names.ts may spell. */
const NAME_LITERAL =
  /\b(EVENTS|ACTIVATIONS|AUDIT|DEAD)_(\$|['"`])|\bKV_|\b(profiles|snapshots)_\$|\bstitchwork_(config|members)\b|['"`](events|activations|audit|dead)\.(\$\{(\w+\.)?seg|>|\*)/;
/** Prefix of the server's key-value subjects: a name elsewhere, a protocol constant in shared/nats. */
const KV_SUBJECT = /\$KV\./;

/** Loaded only by the comparison with other systems, which need not be installed. */
const BENCH_PEERS = 'infra/bench/peers/';

const LINES_MAX = 400;
/** Longer files, each with its reason. */
const LONGER_FILES: Readonly<Record<string, string>> = {};

const FIXED_TOP_LEVEL = [
  'actors',
  'gateway',
  'batch',
  'shared',
  'infra',
  'test',
  'package.json',
  'tsconfig.json',
  'nats.conf',
  'README.md',
];
const ALSO_TOP_LEVEL =
  /^(\..+|package-lock\.json|LICENSE|biome\.json|tsconfig\..+\.json|vitest\.config\.ts)$/;

const files = listFiles();
const codeFiles = files.filter(
  (file) => /\.(ts|mjs)$/.test(file) && CODE_FOLDERS.some((f) => file.startsWith(`${f}/`)),
);
const tsFiles = codeFiles.filter((file) => file.endsWith('.ts'));

describe('imports', () => {
  it('finds the code it speaks of', () => {
    expect(tsFiles.length).toBeGreaterThan(30);
    expect(importsOf('shared/contract/names.ts')).toContain('../kernel/hash.ts');
  });

  it('every code file is in a zone', () => {
    expect(codeFiles.filter((file) => zoneOf(file) === undefined)).toEqual([]);
  });

  it('follow the table of who may import whom', () => {
    const wrong = eachImport(({ file, target }) => {
      const from = zoneOf(file);
      const to = target === undefined ? undefined : zoneOf(target);
      if (target === undefined || from === undefined) return undefined;
      if (to === undefined) return `${file} imports ${target}, which is in no zone`;
      return to === from || MAY_IMPORT[from].includes(to)
        ? undefined
        : `${file} (${from}) imports ${target} (${to})`;
    });
    expect(wrong).toEqual([]);
  });

  it('of the NATS client stand in shared/nats only', () => {
    const wrong = eachImport(({ file, specifier }) =>
      /^(nats$|@nats-io\/)/.test(specifier) && zoneOf(file) !== 'nats'
        ? `${file} imports ${specifier}`
        : undefined,
    );
    expect(wrong).toEqual([]);
  });

  it('of the pure zones reach no input or output', () => {
    const pure: readonly (Zone | undefined)[] = [
      'kernel',
      'contract',
      'ports',
      'profile',
      'identity',
      'personalization',
    ];
    const wrong = eachImport(({ file, specifier }) => {
      const builtin =
        specifier.startsWith('node:') && specifier !== 'node:crypto' && specifier !== 'node:buffer';
      const server = /^(fastify|pino|prom-client|commander|@fastify\/)/.test(specifier);
      return pure.includes(zoneOf(file)) && (builtin || server) ? `${file} imports ${specifier}` : undefined;
    });
    expect(wrong).toEqual([]);
  });

  it('resolve to files and carry their extension', () => {
    const wrong = eachImport(({ file, specifier, target }) =>
      target !== undefined && !existsSync(join(ROOT, target)) ? `${file} imports ${specifier}` : undefined,
    );
    expect(wrong).toEqual([]);
  });

  it('of packages are declared dependencies', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
      optionalDependencies?: Record<string, string>;
      devDependencies: Record<string, string>;
    };
    const wrong = eachImport(({ file, specifier, target }) => {
      if (target !== undefined || specifier.startsWith('node:')) return undefined;
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      const declared = Object.hasOwn({ ...manifest.dependencies, ...manifest.optionalDependencies }, name);
      const forPeers = file.startsWith(BENCH_PEERS) && Object.hasOwn(manifest.devDependencies, name);
      return declared || forPeers ? undefined : `${file} imports ${specifier}`;
    });
    expect(wrong).toEqual([]);
  });

  it('go through no barrel', () => {
    const barrels = files.filter((file) => /(^|\/)index\.(ts|js|mjs)$/.test(file));
    const reExports = tsFiles.filter((file) => /^export\s+(type\s+)?\*/m.test(textOf(file)));
    expect([...barrels, ...reExports]).toEqual([]);
  });

  it('a wrong import would be found', () => {
    expect(
      importsIn(
        `import type { A } from '../a.ts';\nexport { b } from './b.ts';\nconst c = await import('nats');`,
      ),
    ).toEqual(['../a.ts', './b.ts', 'nats']);
    expect(importsIn(`import {\n  a,\n  type B,\n} from '@nats-io/kv';\nimport 'side-effect';`)).toEqual([
      '@nats-io/kv',
      'side-effect',
    ]);
  });
});

describe('calls', () => {
  for (const { name, call, doors } of BANNED_CALLS) {
    it(`reach ${name} through its door only`, () => {
      const wrong = tsFiles.filter(
        (file) => !doors.some((door) => file.startsWith(door)) && call.test(codeOnly(textOf(file))),
      );
      expect(wrong).toEqual([]);
    });
  }

  it('are looked for in code, not in comments or texts', () => {
    const code = codeOnly(`// Date.now()\n/* setTimeout */ const a = 'Math.random'; const b = Date.now();`);
    expect(code).toContain('Date.now');
    expect(code).not.toMatch(/setTimeout|Math\.random/);
    expect(code.match(/Date\.now/g)).toHaveLength(1);
  });
});

describe('names', () => {
  it('of streams, buckets and subjects are built in one file', () => {
    const wrong = tsFiles
      .filter((file) => file !== 'shared/contract/names.ts')
      .flatMap((file) => {
        const kv = zoneOf(file) === 'nats' ? undefined : KV_SUBJECT;
        return withoutComments(textOf(file))
          .split('\n')
          .filter((line) => NAME_LITERAL.test(line) || kv?.test(line))
          .map((line) => `${file}: ${line.trim()}`);
      });
    expect(wrong).toEqual([]);
  });

  it('a name built elsewhere would be found', () => {
    for (const line of [
      '`EVENTS_$',
      "'stitchwork_config'",
      [['`events.$', '{segment}.>`'].join(''), '{segment}.>`'].join(''),
      "'KV_profiles_shop'",
      '`profiles_$',
    ]) {
      expect(line).toMatch(NAME_LITERAL);
    }
    for (const line of [
      "'STITCHWORK_EVENTS_MAX_BYTES'",
      "'stitchwork_worker_commits_total'",
      "'TOO_MANY_EVENTS'",
      "'event.name'",
    ]) {
      expect(line).not.toMatch(NAME_LITERAL);
    }
  });
});

describe('files', () => {
  it(`have at most ${LINES_MAX} lines`, () => {
    const long = tsFiles.filter(
      (file) => textOf(file).split('\n').length - 1 > LINES_MAX && !Object.hasOwn(LONGER_FILES, file),
    );
    expect(long).toEqual([]);
    expect(Object.keys(LONGER_FILES).filter((file) => !tsFiles.includes(file))).toEqual([]);
  });

  it('are named in kebab-case and open with what they are', () => {
    const named = tsFiles.filter((file) => !/^[a-z0-9-]+(\.d)?\.ts$/.test(file.split('/').at(-1) ?? ''));
    const silent = tsFiles.filter((file) => {
      const lines = textOf(file).split('\n');
      return (
        !/^(\/\/|\/\*\*?)/.test((lines[0]?.startsWith('#!') ? lines[1] : lines[0]) ?? '') && lines.length > 20
      );
    });
    expect([...named, ...silent]).toEqual([]);
  });

  it('hold no unfinished business and no default exports', () => {
    const marker = new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|X{3})\\b`);
    const unfinished = files.filter(
      (file) => /\.(ts|mjs|md|yaml|conf)$/.test(file) && marker.test(textOf(file)),
    );
    const defaults = tsFiles.filter((file) => /^export default/m.test(textOf(file)));
    expect([...unfinished, ...defaults]).toEqual([]);
  });

  it('stand under the fixed top level', () => {
    const top = [...new Set(files.map((file) => file.split('/')[0] ?? ''))];
    expect(top.filter((name) => !FIXED_TOP_LEVEL.includes(name) && !ALSO_TOP_LEVEL.test(name))).toEqual([]);
    expect(FIXED_TOP_LEVEL.filter((name) => !top.includes(name))).toEqual([]);
  });
});

function listFiles(): readonly string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return listed.split('\n').filter((file) => file !== '' && existsSync(join(ROOT, file)));
}

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

function zoneOf(file: string): Zone | undefined {
  return (Object.keys(ZONES) as Zone[]).find((zone) => file.startsWith(ZONES[zone]));
}

function importsOf(file: string): readonly string[] {
  return importsIn(textOf(file));
}

function importsIn(text: string): readonly string[] {
  const statement =
    /^\s*(?:import|export)\s+(?:[^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;
  return [...withoutComments(text).matchAll(statement)].map((match) => match[1] ?? match[2] ?? '');
}

function eachImport(
  judge: (entry: { file: string; specifier: string; target: string | undefined }) => string | undefined,
): readonly string[] {
  return codeFiles.flatMap((file) =>
    importsOf(file).flatMap((specifier) => {
      const target = specifier.startsWith('.')
        ? relative('.', normalize(join(dirname(file), specifier)))
        : undefined;
      return judge({ file, specifier, target }) ?? [];
    }),
  );
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`\\])\/\/.*$/gm, '$1');
}

/** The text without comments and string literals (template literals are kept: they hold code). */
function codeOnly(text: string): string {
  return withoutComments(text).replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''");
}
