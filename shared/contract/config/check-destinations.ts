// Meaning of destinations: templates compile and name what there is, URL and subject are pinned by what stands before
// their first output, secrets are named and not written.

import { parseDurationMs } from '../../kernel/duration.ts';
import { didYouMean } from '../../kernel/edit-distance.ts';
import { compileLiquid } from '../liquid.ts';
import type { MeaningCheck } from './check-meaning.ts';
import type { RawDestination } from './destination-schemas.ts';
import type { Path } from './source-map.ts';

/** What a template of a destination sees. */
export const LIQUID_ROOTS = ['activation', 'payload', 'keys', 'attempt', 'now'] as const;
export const ACTIVATION_FIELDS: readonly string[] = [
  'id',
  'name',
  'segment',
  'profileId',
  'keys',
  'payload',
  'cause',
  'at',
  'configVersion',
];
/** Headers that the activator itself writes. */
const OWN_HEADERS =
  /^(host|connection|content-length|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|webhook-(id|timestamp|signature)|idempotency-key)$/i;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const REFERENCE = /\$\{([^}]*)\}/g;
const ENV_NAME = /^[A-Z_][A-Z0-9_]*$/;
const TIMEOUT_MAX_MS = 300_000;
/** First tokens of subjects that are the engine's or the server's own. */
const OWN_SUBJECTS = /^(\$|_|events\.|activations\.|audit\.|dead\.|deliveries\.|stitchwork\.)/;
const SUBJECT_PREFIX = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$/;

interface Unknown {
  readonly message: string;
  readonly suggestion?: string | undefined;
}

interface Known {
  readonly keys: readonly string[];
  /** Fields of the payloads that go there; undefined: any. */
  readonly payload: readonly string[] | undefined;
}

/** `known`: of each destination by its name. */
export function checkDestinations(
  destinations: readonly RawDestination[],
  known: (name: string) => Known,
  check: MeaningCheck,
): void {
  destinations.forEach((destination, i) => {
    new DestinationCheck(['destinations', i], known(destination.name), check).run(destination);
  });
}

class DestinationCheck {
  readonly #path: Path;
  readonly #known: Known;
  readonly #check: MeaningCheck;

  constructor(path: Path, known: Known, check: MeaningCheck) {
    this.#path = path;
    this.#known = known;
    this.#check = check;
  }

  run(destination: RawDestination): void {
    const { type, timeout, user, from, to, reply_to, subject, text, html } = destination;
    if (timeout !== undefined && (parseDurationMs(timeout) ?? 0) > TIMEOUT_MAX_MS)
      this.#at(['timeout'], 'LIMIT', 'an attempt may take up to 5m');
    if (type === 'webhook') this.#webhook(destination);
    if (type === 'nats') this.#subject(subject ?? '');
    if (type === 'webhook' || type === 'nats') this.#tree(destination.body, ['body']);
    if (type !== 'smtp') return;
    if (text === undefined && html === undefined)
      this.#at([], 'SHAPE', "a mail needs 'text', 'html' or both");
    if (destination.password !== undefined && user === undefined)
      this.#at(['password'], 'SHAPE', "'password' needs 'user'");
    for (const [field, source] of Object.entries({ from, to, reply_to, subject, text, html }))
      if (source !== undefined) this.#template(source, [field]);
  }

  #webhook({ url = '', headers = {}, method, body }: RawDestination): void {
    this.#template(url, ['url']);
    const loose = looseUrl(url);
    if (loose !== undefined) this.#at(['url'], 'PATTERN', loose);
    for (const [name, source] of Object.entries(headers)) {
      if (!HEADER_NAME.test(name)) this.#at(['headers', name], 'NAME', `'${name}' is no name of a header`);
      if (OWN_HEADERS.test(name))
        this.#at(['headers', name], 'NAME', `the header '${name}' is set by the activator`);
      this.#template(source, ['headers', name]);
    }
    if (method === 'GET' && body !== undefined) this.#at(['body'], 'SHAPE', 'a GET has no body');
  }

  #subject(subject: string): void {
    this.#template(subject, ['subject']);
    const fixed = fixedPart(subject);
    const isPinned =
      SUBJECT_PREFIX.test(fixed) && (fixed === subject ? !fixed.endsWith('.') : fixed.endsWith('.'));
    if (!isPinned)
      this.#at(
        ['subject'],
        'PATTERN',
        "must begin with tokens that are written out, such as 'crm.orders.{{ payload.kind }}'",
      );
    else if (OWN_SUBJECTS.test(fixed))
      this.#at(
        ['subject'],
        'PATTERN',
        `'${fixed.split('.')[0]}' is the engine's own; choose another first token`,
      );
  }

  #tree(tree: unknown, path: Path): void {
    if (typeof tree === 'string') this.#template(tree, path);
    if (typeof tree !== 'object' || tree === null) return;
    for (const [key, each] of Object.entries(tree))
      this.#tree(each, [...path, Array.isArray(tree) ? Number(key) : key]);
  }

  #template(source: string, path: Path): void {
    for (const [, name = ''] of source.matchAll(REFERENCE))
      if (!ENV_NAME.test(name))
        this.#at(
          path,
          'PATTERN',
          `\${${name}} is no variable of the environment: A-Z, 0-9 and _, such as \${CRM_TOKEN}`,
        );
    const compiled = compileLiquid(source);
    if (compiled.kind === 'invalid') {
      this.#at(path, 'EXPRESSION', compiled.reason);
      return;
    }
    for (const name of compiled.text.names) {
      const unknown = this.#unknown(name);
      if (unknown) this.#at(path, 'REFERENCE', unknown.message, unknown.suggestion);
    }
  }

  #unknown([root = '', field]: readonly string[]): Unknown | undefined {
    if (root === 'profile' || root === 'event')
      return {
        message: `'${root}' is not known here: put what is needed of it into the payload of the activation`,
      };
    if (!LIQUID_ROOTS.some((known) => known === root)) {
      const message = `there is no '${root}' here; known: ${LIQUID_ROOTS.join(', ')}`;
      return { message, suggestion: didYouMean(root, LIQUID_ROOTS) };
    }
    const { keys, payload } = this.#known;
    const fields = { activation: ACTIVATION_FIELDS, keys, payload }[root];
    if (field === undefined || fields === undefined || fields.includes(field)) return undefined;
    return { message: `there is no '${root}.${field}'`, suggestion: didYouMean(field, fields) };
  }

  #at(
    path: Path,
    code: 'LIMIT' | 'SHAPE' | 'NAME' | 'PATTERN' | 'EXPRESSION' | 'REFERENCE',
    message: string,
    suggestion?: string,
  ): void {
    this.#check.at([...this.#path, ...path], code, message, suggestion);
  }
}

/** Values never choose where a request goes: host and the beginning of the path are written out. Undefined: they are. */
function looseUrl(url: string): string | undefined {
  // The whole beginning may come from the environment: it is looked at when it is known.
  if (url.startsWith('${')) return undefined;
  const fixed = fixedPart(url);
  const sample = fixed.replace(REFERENCE, 'x');
  if (!/^https?:\/\/[^/?#]+/i.test(sample) || !URL.canParse(sample))
    return 'must begin with http:// or https:// and a host that is written out';
  if (fixed !== url && !/^https?:\/\/[^/?#]+\//i.test(sample))
    return "the host must end, with '/', before the first {{";
  const { username, password } = new URL(sample);
  if (username === '' && password === '') return undefined;
  return `a URL holds no password: use a header, such as { authorization: 'Bearer \${TOKEN}' }`;
}

/** What stands before the first output or tag. */
export function fixedPart(template: string): string {
  return /^[\s\S]*?(?=\{\{|\{%|$)/.exec(template)?.[0] ?? '';
}
