// The `prepare` step of a checkout: makes `npx stitchwork` run the compiled command line. npm links the bins of
// dependencies only, never those of the package itself. With --build it builds first, except when npx itself runs this
// step (npx links the package into its cache and prepares it): then what is built already is good.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, 'dist/infra/cli/main.js');
const binFolder = join(root, 'node_modules/.bin');
const underNpx = process.env.npm_command === 'exec';

if (process.argv.includes('--build') && !(underNpx && existsSync(target))) {
  execFileSync('npm', ['run', '-s', 'build'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
}
if (existsSync(target)) {
  chmodSync(target, 0o755);
  mkdirSync(binFolder, { recursive: true });
  const link = join(binFolder, 'stitchwork');
  rmSync(link, { force: true });
  if (process.platform === 'win32') {
    writeFileSync(`${link}.cmd`, '@node "%~dp0\\..\\..\\dist\\infra\\cli\\main.js" %*\r\n');
  } else {
    symlinkSync('../../dist/infra/cli/main.js', link);
  }
}
