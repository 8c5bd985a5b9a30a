/** Sets the clock of a process of its own, without root and without the machine's: see shifted-clock.mjs. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export class Clock {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `folder` has a file of it. */
  static async create(folder: string): Promise<Clock> {
    const clock = new Clock(await mkdtemp(join(folder, 'clock-')));
    await clock.#write(0);
    return clock;
  }

  get #file(): string {
    return join(this.#folder, 'offset');
  }

  #write(offsetMs: number): Promise<void> {
    return writeFile(this.#file, String(offsetMs));
  }

  /** For the processes that are to have this clock. */
  get env(): Record<string, string> {
    const preload = pathToFileURL(join(import.meta.dirname, 'shifted-clock.mjs'));
    return { NODE_OPTIONS: `--import=${preload}`, CHAOS_CLOCK: this.#file };
  }

  /** From now on the clock is wrong by so much. `tell` sends SIGUSR2 to the processes that have it. */
  async set(offsetMs: number, tell: () => void): Promise<void> {
    await this.#write(offsetMs);
    tell();
  }
}
