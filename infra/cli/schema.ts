// `stitchwork schema`: the JSON Schema of a config file, for editors. Needs no server.
import type { Command } from 'commander';
import { withExample, withJson } from './flags.ts';
import type { Io } from './io.ts';

export function addSchema(program: Command, io: Io): void {
  const command = program
    .command('schema')
    .description('print the JSON Schema of a segment config, by which editors complete and check it');
  withExample(withJson(command), 'stitchwork schema > stitchwork.schema.json');
  command.action(async ({ json }: { json?: boolean }) => {
    const { segmentJsonSchema } = await import('../../shared/contract/config/json-schema.ts');
    io.out(JSON.stringify(segmentJsonSchema(), null, json ? undefined : 2));
  });
}
