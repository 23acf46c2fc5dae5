// Which segment the records of a database are for: the one that is named, else the one whose config names the database, else
// the only one that takes any.
import { StitchworkError } from '../../../shared/kernel/errors.ts';
import type { GatewaySegment } from '../../deps.ts';
import { pickSegment } from '../../segments.ts';

/** Throws UNKNOWN_SEGMENT, or BAD_REQUEST when several could be meant. */
export function pickByDatabase(
  segments: readonly GatewaySegment[],
  named: string | undefined,
  database: string,
): GatewaySegment {
  if (named !== undefined) return pickSegment(segments, named);
  const databasesOf = (segment: GatewaySegment) => segment.config().protocols.treasureData.databases;
  const owners = segments.filter((segment) => databasesOf(segment).includes(database));
  const able = owners.length > 0 ? owners : segments.filter((segment) => databasesOf(segment).length === 0);
  if (able.length > 0) return pickSegment(able, undefined);
  throw new StitchworkError(
    'UNKNOWN_SEGMENT',
    `No segment takes records of the database '${database}': its config says so at protocols.treasure_data.databases.`,
  );
}
