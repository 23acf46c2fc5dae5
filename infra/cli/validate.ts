// `stitchwork validate`: every problem of a segment config, with its place. Needs no server.
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withJson } from './flags.ts';
import type { Io } from './io.ts';

export function addValidate(program: Command, io: Io): void {
  const command = program
    .command('validate')
    .description('check segment config files; exit 5 when one has problems')
    .argument('<files...>', 'segment config files (YAML)');
  withExample(
    withJson(command),
    'stitchwork validate infra/demo/shop.yaml',
    'stitchwork validate shop.yaml --json',
  );
  command.action(async (files: readonly string[], flags: { json?: boolean }) => {
    const { describeProblem, readSegmentText } = await import('../segment-files.ts');
    const results = await Promise.all(
      files.map(async (file) => ({ file, problems: readSegmentText(await readFile(file, 'utf8')).problems })),
    );
    if (flags.json) io.out(JSON.stringify({ files: results }));
    else {
      for (const { file, problems } of results) {
        for (const problem of problems) io.out(`${file}:${describeProblem(problem)}`);
        if (problems.length === 0) io.talk(`${file}: ok`);
      }
    }
    const bad = results.filter((result) => result.problems.length > 0).length;
    if (bad > 0)
      throw new CommandFailure(EXIT.problems, `${bad} of ${results.length} files cannot be deployed`);
  });
}
