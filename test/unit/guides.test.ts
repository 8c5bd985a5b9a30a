/** What needs no cluster of docs/guides: the commands that render and mutate, pictures, YAML, links. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type Block, blocksOf } from '../cluster/guides/guide.ts';
import { mermaidProblems } from '../mermaid.ts';
import { type Ran, runCommand } from '../run-command.ts';

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
const guides = readdirSync(join(docs, 'guides')).sort();
const readme = readFileSync(join(docs, '../README.md'), 'utf8');

test('there are guides', () => {
  expect(guides.length).toBeGreaterThan(3);
});

describe.each(guides)('docs/guides/%s', (name) => {
  const text = readFileSync(join(docs, 'guides', name), 'utf8');
  const blocks = blocksOf(`guides/${name}`);
  const of = (language: string) => blocks.filter((block) => block.language === language);

  test('has the parts of a guide, and nothing that no test knows', () => {
    for (const part of ['## What can go wrong', '## What is protected, and what is not']) expect(text).toContain(part);
    expect(new Set(blocks.map(({ language }) => language))).toEqual(new Set(['mermaid', 'sh', 'yaml', 'console']));
    expect(text.indexOf('```mermaid')).toBeLessThan(text.indexOf('\n## '));
  });

  test('its pictures can be drawn', () => {
    expect(of('mermaid').flatMap((block) => mermaidProblems(block.text))).toEqual([]);
  });

  test('is in the index of the README, and its links lead somewhere', () => {
    expect(readme).toContain(`(docs/guides/${name})`);
    for (const [, link = ''] of text.matchAll(/\]\((?!https:)([^)]+)\)/g)) {
      const [path = '', anchor] = link.split('#');
      const file = path === '' ? join(docs, 'guides', name) : join(docs, 'guides', path);
      expect([link, existsSync(file)]).toEqual([link, true]);
      if (anchor !== undefined)
        expect([link, anchorsOf(readFileSync(file, 'utf8')).includes(anchor)]).toEqual([link, true]);
    }
  });

  describe('its commands', () => {
    const folder = mkdtempSync(join(tmpdir(), 'podpass-guides-'));
    const before = process.cwd();
    beforeAll(() => process.chdir(folder));
    afterAll(() => {
      process.chdir(before);
      rmSync(folder, { recursive: true });
    });
    const variables: Record<string, string> = {};

    test.each(blocks.filter(({ language }) => ['sh', 'yaml'].includes(language)))(
      'work: $heading, line $line',
      async (block) => {
        if (block.language === 'yaml') writeFileSync(fileNameOf(block), readYaml(block));
        else for (const command of commandsOf(block)) await run(command, variables);
      },
    );
  });
});

/** How GitHub calls headings. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function fileNameOf({ text }: Block): string {
  const [, file = ''] = text.match(/^# ([\w-]+\.ya?ml)\n/) ?? [];
  expect(file).not.toBe('');
  return file;
}

/** No key may stand there twice; what the objects are is the API server's to judge. */
function readYaml({ text }: Block): string {
  for (const document of parseAllDocuments(text)) expect(document.errors).toEqual([]);
  return text;
}

function commandsOf({ text }: Block): string[] {
  return text.replaceAll('\\\n', ' ').trimEnd().split('\n');
}

/** Assignments count, and `podpass render` and `podpass mutate` run; the test on the API server runs the rest, too. */
async function run(command: string, variables: Record<string, string>): Promise<void> {
  const [, variable, value] = command.match(/^([A-Z]+)=([^\s"'$]+)$/) ?? [];
  if (variable !== undefined && value !== undefined) variables[variable] = value;
  if (!/^podpass (render|mutate) /.test(command)) return;
  const [, words = '', file] = command.match(/^podpass (.*?)(?: > (\S+))?$/) ?? [];
  const { code, out, err }: Ran = await runCommand(shellWords(words, variables));
  // What to look out for is said; nothing is refused, and nothing is left out in silence.
  expect([command, code, err.replaceAll(/^(warning|check): .*\n/gm, '')]).toEqual([command, 0, '']);
  expect(out.length).toBeGreaterThan(20);
  if (file !== undefined) writeFileSync(file, out);
}

/** The words of a command without pipes, with variables in double quotes and nothing else that a shell would expand. */
function shellWords(command: string, variables: Readonly<Record<string, string>>): string[] {
  return [...command.matchAll(/(?:"[^"]*"|[^\s"])+/g)].map(([word]) => {
    const plain = word.replaceAll('"', '').replaceAll(/\$([A-Z]+)/g, (_, name: string) => {
      const value = variables[name];
      if (value === undefined) throw new Error(`${command}: nobody has set ${name}`);
      return value;
    });
    if (/[$`'|<>;&*?\\]/.test(plain)) throw new Error(`${command}: what would a shell make of ${word}?`);
    return plain;
  });
}
