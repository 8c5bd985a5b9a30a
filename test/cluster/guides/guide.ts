/** Reads the blocks of a guide in docs/ and runs them in their order, with real values in the place of the examples. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export interface Block {
  /** The heading above it. */
  readonly heading: string;
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

export function blocksOf(name: string): Block[] {
  const lines = readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8').split('\n');
  const blocks: Block[] = [];
  let heading = '';
  let open: { language: string; line: number; body: string[] } | undefined;
  for (const [index, line] of lines.entries()) {
    const fence = line.match(/^```(\w*)$/);
    if (open === undefined) {
      heading = line.match(/^#+ (.*)$/)?.[1] ?? heading;
      if (fence) open = { language: fence[1] ?? '', line: index + 1, body: [] };
    } else if (fence) {
      blocks.push({ heading, language: open.language, line: open.line, text: `${open.body.join('\n')}\n` });
      open = undefined;
    } else open.body.push(line);
  }
  if (open !== undefined) throw new Error(`docs/${name}: the block of line ${open.line} has no end`);
  return blocks;
}

/** What to do with a block of YAML, by the file that its first line names. */
export type Files = Readonly<Record<string, (content: string) => Promise<void>>>;

export interface Stage {
  /** Where the commands run; their variables and functions last from block to block. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Examples of the guide and what stands for them. Each must occur. */
  readonly values: Readonly<Record<string, string>>;
  readonly files: Files;
  readonly timeoutMs: number;
}

export class Guide {
  readonly blocks: readonly Block[];
  readonly #stage: Stage;
  readonly #name: string;

  constructor(name: string, stage: Stage) {
    this.#name = name;
    this.#stage = stage;
    this.blocks = blocksOf(name);
    const all = this.blocks.map((each) => each.text).join('');
    for (const example of Object.keys(stage.values)) {
      if (!all.includes(example)) throw new Error(`docs/${name} has no ${example} any more`);
    }
  }

  /** Where the commands run. */
  get folder(): string {
    return this.#stage.folder;
  }

  /** Throws, with what was said, where a command fails. */
  async run(block: Block): Promise<void> {
    const at = `docs/${this.#name}, line ${block.line}`;
    const filled = Object.entries(this.#stage.values).reduce(
      (said, [example, value]) => said.replaceAll(example, value),
      block.text,
    );
    if (block.language === 'sh') return this.#shell(filled, at);
    const [, file = ''] = block.text.match(/^# (\S+)\n/) ?? [];
    const use = this.#stage.files[file];
    if (block.language !== 'yaml' || use === undefined)
      throw new Error(`${at}: nobody knows what to do with this block`);
    await use(filled);
  }

  async #shell(commands: string, at: string): Promise<void> {
    const { folder, env, timeoutMs } = this.#stage;
    const memory = join(folder, 'shell-memory');
    const script = join(folder, 'block.sh');
    writeFileSync(
      script,
      `set -euo pipefail; set -a; [ ! -f ${memory} ] || . ${memory}; trap '{ export -p; declare -f; } > ${memory}' EXIT\n${commands}`,
    );
    const child = spawn('bash', [script], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    // Its own children too: a shell that waits for one of them hears nothing else.
    const timer = setTimeout(() => child.pid && process.kill(-child.pid, 'SIGKILL'), timeoutMs);
    const ended = new Promise<number | null>((fulfil, reject) => {
      child.once('error', reject);
      child.once('close', fulfil);
    });
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    clearTimeout(timer);
    if (code !== 0) throw new Error(`${at}: exit code ${code}\n${commands}\n${withoutTokens(out + err)}`);
  }
}

const withoutTokens = (said: string) => said.replaceAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, '<token>').slice(-4000);
