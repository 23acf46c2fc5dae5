// One process's time as the keeper of an archive, from the claim until it is fenced or fails: then everything in memory is
// thrown away, and a new time begins with a new claim and what is stored.
//
//   claim the record -> entry `claim` in the manifest -> remove what no manifest names -> commits and compactions
//
// Nothing is removed before the record, written again at its revision, has shown that the archive is still ours; and names of
// files hold the epoch, so that no name is used twice. So one that was fenced without noticing removes nothing that counts.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiveRecord } from '../../shared/contract/archive-record.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';
import type { EventLogReader, LogState } from '../../shared/ports/event-log.ts';
import type { LogScan } from '../../shared/ports/log-scan.ts';
import type { Duck } from '../duck.ts';
import { type ArchiveRow, rowOf } from './archive-row.ts';
import type { ArchiveTelemetry } from './archive-telemetry.ts';
import { archiveProblem } from './check-archive.ts';
import { type ClaimDeps, type Held, isHeld, readArchiveRecord, writeArchiveRecord } from './claim.ts';
import { type ArchiveFile, folderOf, type Manifest, type ManifestEntry, totalsOf } from './manifest.ts';
import { appendEntry, checkpointManifest, loadManifest, MANIFEST_FOLDER } from './manifest-store.ts';
import { type CompactOptions, nextBundle } from './next-bundle.ts';
import { joinParquet, measureParquet, writeParquet } from './parquet.ts';

export interface KeeperDeps extends ClaimDeps {
  readonly storage: ArchiveStorage;
  readonly log: Pick<EventLogReader, 'state'>;
  readonly scan: LogScan;
  readonly clock: Clock;
  readonly duck: () => Promise<Duck>;
  readonly telemetry: ArchiveTelemetry;
  /** Name of this process. */
  readonly owner: string;
  /** A folder of this process's own, on the file system of the storage, for files under way. */
  readonly scratch: string;
}

/** Thrown when another process has the archive. */
export class Fenced extends Error {}
/** Thrown when the archive and the log do not belong together. */
export class Unsound extends Error {}

export class Keeper {
  readonly #deps: KeeperDeps;
  readonly #signal: AbortSignal;
  #held: Held;
  #manifest: Manifest;
  #written = 0;

  private constructor(deps: KeeperDeps, held: Held, manifest: Manifest, signal: AbortSignal) {
    this.#deps = deps;
    this.#held = held;
    this.#manifest = manifest;
    this.#signal = signal;
  }

  get manifest(): Manifest {
    return this.#manifest;
  }

  /** Undefined while another process has the archive. Throws Unsound, Fenced, or what the ports throw. */
  static async claim(deps: KeeperDeps, signal: AbortSignal): Promise<Keeper | undefined> {
    const before = await readArchiveRecord(deps.store);
    if (await isHeld(deps, before.record, deps.owner)) return undefined;
    const log = await deps.log.state();
    const found = await loadManifest(deps.storage);
    const problem = archiveProblem(before.record, found, log);
    if (problem !== undefined) throw new Unsound(problem);
    const archiveId = found.archiveId || before.record.archiveId || randomToken(deps.random);
    const startsAfter = beginning(before.record, found, log);
    const position = found.version === 0 ? startsAfter : found.position;
    const claimed: ArchiveRecord = {
      ...before.record,
      ...{ owner: deps.owner, epoch: before.record.epoch + 1, archiveId, logId: log.createdAt, position },
    };
    const held = await writeArchiveRecord(deps, before, claimed, signal);
    if (!held) return undefined;
    const keeper = new Keeper(deps, held, found, signal);
    await keeper.#enter(before.record, { archiveId, logId: log.createdAt, startsAfter });
    return keeper;
  }

  /** From here on nobody else can write an entry unnoticed. */
  async #enter(
    before: ArchiveRecord,
    archive: { readonly archiveId: string; readonly logId: string; readonly startsAfter: number },
  ): Promise<void> {
    const { storage, telemetry, owner } = this.#deps;
    // Between the claim of the record and this one, its last owner may have written one more entry.
    this.#manifest = await loadManifest(storage);
    const log = await this.#deps.log.state();
    const problem = archiveProblem(before, this.#manifest, log);
    if (problem !== undefined) throw new Unsound(problem);
    await this.#append({ kind: 'claim', owner, ...archive });
    const unnamed = await this.#unnamed();
    await this.#confirm();
    await storage.removeUnfinished();
    for (const name of unnamed) await storage.remove(name);
    if (unnamed.length > 0) telemetry.removedUnnamed(unnamed.length);
  }

  /**
   * Archives what the log has beyond the position, at most `rowsMax` messages or about `bytesMax` bytes of them: files
   * first, then the entry that names them and moves the position. Resolves with how many messages are left.
   */
  async commit(
    log: LogState,
    limits: { readonly rowsMax: number; readonly bytesMax: number },
  ): Promise<number> {
    const { clock, telemetry } = this.#deps;
    const startedMs = clock.elapsedMs();
    const { rows, position, missing } = await this.#read(log.lastSequence, limits);
    if (position <= this.#manifest.position) return 0;
    const files: ArchiveFile[] = [];
    for (const [folder, part] of byHour(rows)) files.push(await this.#write(folder, part));
    await this.#append({ kind: 'append', position, files });
    await this.#confirm(clock.nowMs());
    if (missing > 0) telemetry.missing(missing, position);
    telemetry.committed({
      rows: rows.length,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      files: files.length,
      position,
      durationMs: clock.elapsedMs() - startedMs,
    });
    return log.lastSequence - position;
  }

  /** Puts the small files of one finished hour together. False: there was nothing to do. */
  async compact(options: CompactOptions): Promise<boolean> {
    const { storage, telemetry } = this.#deps;
    const bundle = nextBundle(this.#manifest, options);
    if (!bundle) return false;
    const added = await this.#join(bundle);
    const removed = bundle.map(({ name }) => name);
    await this.#append({ kind: 'compact', removed, added: [added] });
    await this.#confirm();
    for (const name of removed) await storage.remove(name);
    telemetry.compacted({ files: bundle.length, rows: added.rows, bytes: added.bytes });
    return true;
  }

  /** Throws Fenced when another process has the archive. */
  async check(): Promise<void> {
    const { revision } = await readArchiveRecord(this.#deps.store);
    if (revision !== this.#held.revision) throw new Fenced();
  }

  /** Lets another process have the archive at once. */
  async release(): Promise<void> {
    const record = { ...this.#held.record, owner: null };
    await writeArchiveRecord(this.#deps, this.#held, record, new AbortController().signal);
  }

  async #read(
    upTo: number,
    limits: { readonly rowsMax: number; readonly bytesMax: number },
  ): Promise<{ readonly rows: readonly ArchiveRow[]; readonly position: number; readonly missing: number }> {
    const before = this.#manifest.position;
    const rows: ArchiveRow[] = [];
    let bytes = 0;
    let position = upTo;
    const last = Math.min(upTo, before + limits.rowsMax);
    for await (const messages of this.#deps.scan.scan(before + 1, last, this.#signal)) {
      for (const message of messages) {
        rows.push(rowOf(message));
        bytes += message.payload.length;
      }
      if (bytes < limits.bytesMax) continue;
      position = rows.at(-1)!.sequence;
      return { rows, position, missing: position - before - rows.length };
    }
    position = last;
    return { rows, position, missing: position - before - rows.length };
  }

  async #write(folder: string, rows: readonly ArchiveRow[]): Promise<ArchiveFile> {
    const duck = await this.#deps.duck();
    const path = this.#scratchFile();
    const first = rows[0]!.sequence;
    const last = rows.at(-1)!.sequence;
    const file = await writeParquet(duck, rows, path, () => this.#deps.clock.sleep(0));
    const times = rows.map(({ logTimeMs }) => logTimeMs);
    const [fromMs, toMs] = [times.reduce((a, b) => Math.min(a, b)), times.reduce((a, b) => Math.max(a, b))];
    return this.#put(folder, path, { rows: rows.length, first, last, fromMs, toMs, ...file });
  }

  async #join(bundle: readonly ArchiveFile[]): Promise<ArchiveFile> {
    const { storage } = this.#deps;
    const duck = await this.#deps.duck();
    const sources: string[] = [];
    for (const { name } of bundle) sources.push(storage.pathOf(name) ?? (await this.#fetch(name)));
    const path = this.#scratchFile();
    const file = await joinParquet(duck, sources, path);
    const sum = {
      rows: bundle.reduce((rows, part) => rows + part.rows, 0),
      first: bundle[0]!.first,
      last: bundle.at(-1)!.last,
      fromMs: Math.min(...bundle.map(({ fromMs }) => fromMs)),
      toMs: Math.max(...bundle.map(({ toMs }) => toMs)),
    };
    const found = await measureParquet(duck, path);
    const isWhole = found.rows === sum.rows && found.first === sum.first && found.last === sum.last;
    invariant(isWhole, `${bundle.length} files of ${sum.rows} rows became one of ${found.rows}`);
    return this.#put(folderOf(sum.fromMs), path, { ...sum, ...file });
  }

  /** The epoch in the name makes it one that was never used. */
  async #put(folder: string, path: string, part: Omit<ArchiveFile, 'name'>): Promise<ArchiveFile> {
    const name = `${folder}/${part.first}-${part.last}.${this.#held.record.epoch}.parquet`;
    const outcome = await this.#deps.storage.put(name, { file: path });
    invariant(outcome === 'stored', `${name} is in the archive already`);
    return { name, ...part };
  }

  async #fetch(name: string): Promise<string> {
    const path = this.#scratchFile();
    await mkdir(this.#deps.scratch, { recursive: true });
    await writeFile(path, await this.#deps.storage.read(name));
    return path;
  }

  #scratchFile(): string {
    return join(this.#deps.scratch, `${this.#held.record.epoch}-${this.#written++}.parquet`);
  }

  async #append(entry: ManifestEntry): Promise<void> {
    this.#signal.throwIfAborted();
    const after = await appendEntry(this.#deps.storage, this.#manifest, entry);
    if (!after) throw new Fenced();
    this.#manifest = after;
  }

  /** Makes sure that the archive is still ours, and tells the housekeeper how far it has come. */
  async #confirm(committedAtMs = this.#held.record.committedAtMs): Promise<void> {
    const totals = totalsOf(this.#manifest);
    const { position, logId } = this.#manifest;
    const record = { ...this.#held.record, ...totals, position, logId, committedAtMs };
    const held = await writeArchiveRecord(this.#deps, this.#held, record, this.#signal);
    if (!held) throw new Fenced();
    this.#held = held;
    this.#deps.telemetry.totals(totals);
    await checkpointManifest(this.#deps.storage, this.#manifest);
  }

  async #unnamed(): Promise<readonly string[]> {
    const files = await this.#deps.storage.list('');
    return files
      .map(({ name }) => name)
      .filter((name) => !name.startsWith(MANIFEST_FOLDER) && !this.#manifest.files.has(name));
  }
}

/** Nothing up to this sequence is in the archive. */
function beginning(record: ArchiveRecord, manifest: Manifest, log: LogState): number {
  if (manifest.version > 0) return manifest.startsAfter;
  const wasClaimed = record.archiveId !== '' && record.logId === log.createdAt;
  return wasClaimed ? record.position : log.firstSequence - 1;
}

function byHour(rows: readonly ArchiveRow[]): ReadonlyMap<string, readonly ArchiveRow[]> {
  const parts = new Map<string, ArchiveRow[]>();
  for (const row of rows) {
    const folder = folderOf(row.logTimeMs);
    const part = parts.get(folder);
    if (part) part.push(row);
    else parts.set(folder, [row]);
  }
  return parts;
}
