// Whether an answer is what /openapi.json says of it.
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { LightMyRequestResponse } from 'fastify';
import type { TestGateway } from './harness.ts';

interface OpenApi {
  readonly paths: Record<
    string,
    Record<string, { responses: Record<string, { content: Record<string, { schema: object }> }> }>
  >;
}

/** Throws with what differs. `kind` picks one of several forms of the answer by its `one`. */
export async function expectDescribed(
  gateway: TestGateway,
  path: string,
  response: LightMyRequestResponse,
  kind?: (schema: { properties?: { one?: { const?: unknown; enum?: readonly unknown[] } } }) => boolean,
): Promise<void> {
  const { paths } = (await gateway.get('/openapi.json')).json() as OpenApi;
  const described = paths[path]!.get!.responses[response.statusCode]!.content['application/json']!.schema as {
    anyOf?: object[];
  };
  const schema = kind ? described.anyOf!.find(kind)! : described;
  const ajv = new Ajv2020({ strict: false });
  if (!ajv.validate(schema, response.json()))
    throw new Error(`${path} ${response.statusCode}: ${ajv.errorsText()}`);
}
