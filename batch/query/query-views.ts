// What reports and exports see: the views of jobs, and besides them audiences, activations and the audit log. Made when a
// text first mentions them, in a database that is thrown away.
import { KEPT_KINDS, type KeptMessages } from '../../shared/ports/kept-messages.ts';
import { JobViews, type ViewDeps } from '../jobs/job-views.ts';
import { fillKept } from './kept-tables.ts';

export interface QueryViewDeps extends ViewDeps {
  readonly kept: KeptMessages;
}

/** Every view that there is, for messages and documents. */
export const QUERY_VIEWS = ['events', 'profiles', 'links', 'audiences', 'audit', 'activations'] as const;
export type QueryView = (typeof QUERY_VIEWS)[number];

export class QueryViews {
  readonly #deps: QueryViewDeps;
  readonly #views: JobViews;
  readonly #made = new Set<string>();

  constructor(deps: QueryViewDeps) {
    this.#deps = deps;
    this.#views = new JobViews(deps);
  }

  /** Makes every view that a text mentions. Throws what the ports throw, and the reason of the signal. */
  async prepare(sql: string): Promise<void> {
    await this.#views.prepare(sql);
    const mentions = (name: string) => new RegExp(`\\b${name}\\b`, 'i').test(sql);
    if (mentions('audiences') && this.#isNew('audiences')) {
      await this.#views.prepare('profiles');
      await this.#deps.duck.use((connection) =>
        connection.run(
          'CREATE VIEW audiences AS SELECT unnest(audiences) AS name, id AS profile_id FROM profiles',
        ),
      );
    }
    for (const kind of KEPT_KINDS) {
      if (!mentions(kind) || !this.#isNew(kind)) continue;
      const broken = await fillKept(this.#deps, kind);
      if (broken > 0) this.#deps.log(`${broken} messages of ${kind} could not be read and are left out`);
    }
  }

  #isNew(name: string): boolean {
    const isNew = !this.#made.has(name);
    this.#made.add(name);
    return isNew;
  }
}
