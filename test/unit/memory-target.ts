import { createHash } from 'node:crypto';
import type { PublishedFile } from '../../discovery/publish/files.ts';
import { Conflict, type StoredFile, type Target } from '../../discovery/publish/target.ts';

/** A bucket in memory, with what tests want to happen in between. */
export class MemoryTarget implements Target {
  readonly kind = 's3';
  readonly name: string;
  readonly files = new Map<string, StoredFile>();
  readonly writes: string[] = [];
  readonly calls: string[] = [];
  /** Called before each operation; may throw, and may change the files. */
  before: (call: string) => void | Promise<void> = () => {};

  constructor(name = 's3://test') {
    this.name = name;
  }

  async read(path: string): Promise<StoredFile | undefined> {
    await this.#begin(`read ${path}`);
    return this.files.get(path);
  }

  async write(file: PublishedFile, before: string | undefined): Promise<void> {
    await this.#begin(`write ${file.path}`);
    if (this.files.get(file.path)?.version !== before) throw new Conflict(file.path);
    this.put(file);
    this.writes.push(file.path);
  }

  put({ path, bytes, contentType, cacheControl }: PublishedFile): void {
    const version = createHash('sha256').update(bytes).update(cacheControl).digest('hex');
    this.files.set(path, { bytes, version, headers: { contentType, cacheControl } });
  }

  text(path: string): string | undefined {
    return this.files.get(path)?.bytes.toString('utf8');
  }

  /** The kids of its JWK Set. */
  kids(): string[] {
    const { keys } = JSON.parse(this.text('openid/v1/jwks') ?? '{"keys":[]}') as { keys: { kid: string }[] };
    return keys.map(({ kid }) => kid);
  }

  async #begin(call: string): Promise<void> {
    this.calls.push(call);
    await this.before(call);
  }
}
