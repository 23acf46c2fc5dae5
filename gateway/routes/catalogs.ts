// GET /v1/catalogs: rows about other things than customers, by their key.
import { Type } from 'typebox';
import type { SnapshotRow } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { GatewaySegment } from '../deps.ts';
import { withDeadline } from '../http/deadline.ts';
import { answers, SegmentQuery } from '../http/schemas.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const CatalogRow = Type.Object(
  {
    catalog: Type.String(),
    key: Type.String(),
    attributes: Type.Record(Type.String(), Type.Unknown()),
    snapshotAt: Type.String({ description: 'When the rows in force were made.' }),
  },
  {
    examples: [
      {
        catalog: 'products',
        key: 'mat-1',
        attributes: { title: 'Yoga mat', stock: 12 },
        snapshotAt: '2026-11-22T10:15:00.000Z',
      },
    ],
  },
);

export function addCatalogRoutes(app: GatewayApp, { deps, settings, auth }: RouteContext): void {
  app.route({
    method: 'GET',
    url: '/v1/catalogs/:name/:key',
    schema: {
      summary: 'One row of a catalog',
      params: Type.Object({
        name: Type.String({ description: 'Name of the catalog in the config.', examples: ['products'] }),
        key: Type.String({ description: 'Key of the row, URL-encoded.', examples: ['mat-1'] }),
      }),
      querystring: SegmentQuery,
      security: [{ key: [] }],
      response: answers(
        { 200: CatalogRow },
        'BAD_REQUEST',
        'UNAUTHORIZED',
        'FORBIDDEN',
        'NOT_FOUND',
        'UNKNOWN_SEGMENT',
        'STORE_UNAVAILABLE',
      ),
    },
    onRequest: async (request) => auth.require(request, 'admin'),
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const { name, key } = request.params;
      return withDeadline(readRow(segment, name, key.trim()), {
        clock: deps.clock,
        ms: settings.readDeadlineMs,
        code: 'STORE_UNAVAILABLE',
      });
    },
  });
}

async function readRow({ config, runs, store }: GatewaySegment, name: string, key: string) {
  const { catalogs } = config();
  const catalog = catalogs.find((each) => each.name === name);
  if (!catalog) {
    const known = catalogs.map((each) => each.name);
    const meant = didYouMean(name, known);
    const hint = meant === undefined ? `it has: ${known.join(', ') || 'none'}` : `did you mean '${meant}'?`;
    throw new StitchworkError('NOT_FOUND', `The config has no catalog '${name}'; ${hint}`);
  }
  const current = runs()[name];
  const recordKey = current && recordKeys.row(name, current.run, key);
  const value = recordKey && (await store.read([recordKey], 'replica')).get(recordKey)?.value;
  if (!value)
    throw new StitchworkError('NOT_FOUND', `The catalog ${name} has no row '${key.slice(0, 100)}'.`);
  const { values } = decodeRecord(recordKey, value) as SnapshotRow;
  const attributes = Object.fromEntries(
    Object.entries(values).filter(([column]) => column in catalog.columns),
  );
  return { catalog: name, key, attributes, snapshotAt: new Date(current.atMs).toISOString() };
}
