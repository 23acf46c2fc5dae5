// The workload of most scenarios: shop events over the profiles of the run, a seed of its own for each run.
import type { BenchContext } from './scenario.ts';
import { SHOP_KEYS, type Workload } from './workload.ts';

export function shopWorkload(context: BenchContext, spread: Workload['spread']): Workload {
  const { run, sizes, target } = context;
  return {
    name: `${spread}${run}-${process.pid.toString(36)}`,
    seed: run * 7919,
    profiles: sizes.profiles,
    spread,
    keys: target?.keys ?? SHOP_KEYS,
    shape: 'shop',
  };
}
