// Which parent segment a request means: the one it names, or the only one there is.
import { StitchworkError } from '../shared/kernel/errors.ts';
import type { GatewaySegment } from './deps.ts';

/** Throws UNKNOWN_SEGMENT, or BAD_REQUEST when none is named and several are deployed; both list what there is. */
export function pickSegment(segments: readonly GatewaySegment[], name: string | undefined): GatewaySegment {
  const deployed = segments.map((segment) => segment.names.segment);
  const found =
    name === undefined && segments.length === 1 ? segments[0] : segments[deployed.indexOf(name ?? '')];
  if (found !== undefined) return found;
  const list = `Deployed: ${deployed.join(', ')}.`;
  const details = [{ segments: deployed }];
  if (name === undefined)
    throw new StitchworkError(
      'BAD_REQUEST',
      `Several segments are deployed: name one by ?segment=. ${list}`,
      { details },
    );
  throw new StitchworkError('UNKNOWN_SEGMENT', `No segment '${name}' is deployed here. ${list}`, { details });
}
