// What /openapi.json says of the protocols is so: every example of a body is taken, and its answer has the form that is told.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import { startGateway, WRITE_KEY } from '../support/harness.ts';

interface Body {
  readonly schema: { readonly examples?: readonly unknown[] };
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}
interface Operation {
  readonly tags?: readonly string[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Body>> };
  readonly responses: Readonly<
    Record<string, { readonly content: Record<string, { readonly schema: object }> }>
  >;
}

/** Wherever the document has put them. */
const examplesOf = ({ schema, example, examples = {} }: Body): readonly unknown[] => [
  ...(schema.examples ?? []),
  ...(example === undefined ? [] : [example]),
  ...Object.values(examples).map(({ value }) => value),
];

it('every example is taken, and answered as told', async () => {
  await using gateway = await startGateway();
  const document = (await gateway.get('/openapi.json')).json() as {
    readonly paths: Record<string, Record<string, Operation>>;
  };
  const ajv = new Ajv2020({ strict: false });
  let sent = 0;
  for (const [path, { post }] of Object.entries(document.paths)) {
    if (!post?.tags || path.startsWith('/td/public/')) continue;
    for (const [type, content] of Object.entries(post.requestBody?.content ?? {})) {
      const examples = examplesOf(content);
      expect(examples.length, `${path} ${type}`).toBeGreaterThan(0);
      for (const example of examples) {
        const answer = await gateway.app.inject({
          method: 'POST',
          url: path.replace('{database}', 'shop_db').replace('{table}', 'events'),
          headers: { authorization: `Bearer ${WRITE_KEY}`, 'content-type': type },
          payload: JSON.stringify(example),
        });
        expect(answer.statusCode, `${path}: ${answer.body}`).toBe(200);
        expect(ajv.validate(content.schema, example), `${path}: ${ajv.errorsText()}`).toBe(true);
        const told = post.responses['200']!.content['application/json']!.schema;
        expect(ajv.validate(told, answer.json()), `${path}: ${ajv.errorsText()}`).toBe(true);
        sent++;
      }
    }
  }
  expect(sent).toBeGreaterThan(30);
});
