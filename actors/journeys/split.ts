// Branches by chance: the same for a profile every time, drawn once and then remembered by name.
import { hash48 } from '../../shared/kernel/hash.ts';

/**
 * The branch that a profile was given (`known`), while there is one of that name; else the one that it draws, which is the
 * same every time. `place` tells draws apart: segment, where it stands, id. The last branch takes what percentages leave.
 */
export function drawBranch<T extends { readonly name: string; readonly percent: number }>(
  branches: readonly T[],
  known: string | undefined,
  place: readonly [segment: string, owner: string, step: string],
  profileId: string,
): T {
  const given = branches.find(({ name }) => name === known);
  if (given) return given;
  const draw = (hash48(`${place.join(' ')} ${profileId}`) % 1e6) / 1e4;
  let sum = 0;
  const drawn = branches.find(({ percent }) => {
    sum += percent;
    return draw < sum;
  });
  return drawn ?? branches.at(-1)!;
}
