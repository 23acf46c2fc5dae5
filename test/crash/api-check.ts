// The end state as the HTTP API tells it, compared with the oracle for every customer and every key.
import { ADMIN_KEY } from './fleet.ts';
import type { Expected, ExpectedProfile } from './oracle.ts';

const LANES = 24;

interface ProfileAnswer {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly audiences: readonly string[];
}

export interface ApiFindings {
  readonly violations: string[];
  /** Profile id of each expected profile. */
  readonly idOf: ReadonlyMap<ExpectedProfile, string>;
  readonly compared: { profiles: number; keys: number };
}

/** Asks for every key of every expected profile. */
export async function checkProfiles(gateways: readonly string[], expected: Expected): Promise<ApiFindings> {
  const violations: string[] = [];
  const idOf = new Map<ExpectedProfile, string>();
  const compared = { profiles: 0, keys: 0 };
  const owners = new Map<string, ExpectedProfile>();
  await forEach(expected.profiles, async (profile, index) => {
    const gateway = gateways[index % gateways.length]!;
    for (const key of profile.keys) {
      const answer = await readProfile(gateway, key);
      compared.keys++;
      if (typeof answer === 'string') {
        violations.push(`${key}: ${answer}`);
        continue;
      }
      const known = idOf.get(profile);
      if (known === undefined) {
        idOf.set(profile, answer.id);
        compared.profiles++;
        violations.push(...compare(profile, answer).map((text) => `${key} (${answer.id}): ${text}`));
      } else if (known !== answer.id) {
        violations.push(
          `${key} leads to ${answer.id}, ${profile.keys[0]} to ${known}: one customer, two profiles`,
        );
      }
      const owner = owners.get(answer.id) ?? profile;
      owners.set(answer.id, owner);
      if (owner !== profile) violations.push(`${answer.id} holds both ${owner.keys[0]} and ${key}`);
    }
  });
  violations.push(...(await checkSizes(gateways[0]!, expected)));
  return { violations, idOf, compared };
}

/** The sizes that are counted commit by commit are those of the audiences at the end. */
async function checkSizes(gateway: string, { profiles }: Expected): Promise<string[]> {
  const answer = await get(`${gateway}/v1/audiences`);
  if (typeof answer === 'string') return [`audiences: ${answer}`];
  const { audiences } = answer as unknown as { audiences: { name: string; size: number }[] };
  return audiences.flatMap(({ name, size }) => {
    const members = profiles.filter((profile) => audiencesOf(profile).includes(name)).length;
    return size === members ? [] : [`audience ${name} counts ${size}, ${members} profiles are in it`];
  });
}

function audiencesOf({ spend, messageIds }: ExpectedProfile): string[] {
  return [...(spend >= 1000 ? ['buyers'] : []), ...(messageIds.size <= 3 ? ['newcomers'] : [])];
}

/** The profile under an id, which may be a retired one; a text when there is none. */
export async function readProfileById(gateway: string, id: string): Promise<ProfileAnswer | string> {
  return get(`${gateway}/v1/profiles/id/${id}`);
}

function readProfile(gateway: string, key: string): Promise<ProfileAnswer | string> {
  const [name, value] = split(key);
  return get(`${gateway}/v1/profiles/${name}/${encodeURIComponent(value)}`);
}

async function get(url: string): Promise<ProfileAnswer | string> {
  const response = await fetch(url, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (response.status !== 200) return `${response.status} ${text}`;
  return JSON.parse(text) as ProfileAnswer;
}

function compare(expected: ExpectedProfile, found: ProfileAnswer): string[] {
  const wrong: string[] = [];
  const { attributes } = found;
  const count = expected.messageIds.size;
  if (number(attributes.events) !== count) {
    wrong.push(`counted ${attributes.events} events, ${count} were accepted`);
  }
  if (number(attributes.spend) !== expected.spend) {
    wrong.push(`summed ${attributes.spend}, expected ${expected.spend}`);
  }
  const recent = (attributes.recent ?? {}) as Readonly<Record<string, unknown>>;
  for (const window of ['1h', '7d']) {
    if (number(recent[window]) !== count)
      wrong.push(`counted ${recent[window]} in ${window}, expected ${count}`);
  }
  if (attributes.last_page !== expected.lastPage) {
    wrong.push(`last page is ${attributes.last_page}, expected ${expected.lastPage}`);
  }
  const { items = [] } = (attributes.last_orders ?? {}) as { items?: readonly { id: string }[] };
  const orders = items.map(({ id }) => id).join();
  if (orders !== expected.lastOrders.join())
    wrong.push(`remembers the orders ${orders}, expected ${expected.lastOrders.join()}`);
  if ([...found.audiences].sort().join() !== audiencesOf(expected).join())
    wrong.push(`is in ${found.audiences.join() || 'no audience'}, expected ${audiencesOf(expected).join()}`);
  const keys = Object.entries(found.keys).flatMap(([name, values]) =>
    values.map((value) => `${name}:${value}`),
  );
  if (keys.sort().join() !== [...expected.keys].sort().join()) {
    wrong.push(`has keys ${keys.sort().join()}, expected ${[...expected.keys].sort().join()}`);
  }
  return wrong;
}

function number(value: unknown): number {
  return value === undefined || value === null ? 0 : Number(value);
}

function split(key: string): [string, string] {
  const at = key.indexOf(':');
  return [key.slice(0, at), key.slice(at + 1)];
}

/** Runs `work` over all items, a bounded number at a time. */
export async function forEach<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const index = next++;
      await work(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
