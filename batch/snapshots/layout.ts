// How many pages a table needs.
import type { PageLayout } from '../../shared/contract/snapshot-records.ts';

const ROWS_A_PAGE = 16;
const BYTES_A_PAGE = 4096;
/** Pages four times as full, or as empty, as they should be are put up with: another number of them costs a whole load. */
const BITS_OFF_MAX = 2;
const BITS_MAX = 24;

/** The layout of a table of so many rows, and bytes of JSON: the one it has, when that will do. */
export function layoutFor(
  rows: number,
  bytes: number,
  current: PageLayout | undefined,
  generation: number,
): PageLayout {
  const pages = Math.max(1, rows / ROWS_A_PAGE, bytes / BYTES_A_PAGE);
  const bits = Math.min(BITS_MAX, Math.ceil(Math.log2(pages)));
  return current && Math.abs(current.bits - bits) <= BITS_OFF_MAX ? current : { generation, bits };
}
