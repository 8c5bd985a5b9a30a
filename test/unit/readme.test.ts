import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { runCommand } from '../run-command.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
  language,
  text,
}));
const yaml = blocks.filter(({ language }) => language === 'yaml').map(({ text }) => text);

const podpass = (argv: string[], input: string) => runCommand(argv, { input });

test('every YAML block of the README is YAML', () => {
  expect(yaml.length).toBeGreaterThan(1);
  for (const text of yaml) for (const document of parseAllDocuments(text)) expect(document.errors).toEqual([]);
});

test('the first screen has the two commands and nothing else to run', () => {
  expect(blocks[0]).toEqual({ language: 'sh', text: 'npm ci && npm start\nnpm ci && npm test\n' });
});

test('the Pod of the README is admitted without a warning, and changed as the README says', async () => {
  const pod = yaml.find((text) => /^kind: Pod$/m.test(text)) ?? '';
  const { code, out, err } = await podpass(['mutate', '-f', '-', '-o', 'diff'], pod);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const shown =
    blocks
      .find(({ language }) => language === 'diff')
      ?.text.trimEnd()
      .split('\n') ?? [];
  const real = out.split('\n').filter((line) => !/^(---|\+\+\+|@@)/.test(line));
  expect(real.join('\n')).toContain(shown.join('\n'));
});

test('the tables of the README name every flag in the text around them', () => {
  const flags = new Set([...readme.matchAll(/`(--[a-z-]+)/g)].map(([, flag]) => flag));
  const foreign = [
    '--service-account-issuer',
    '--service-account-max-token-expiration',
    '--version',
    '--help',
    '--jwk-json-path',
  ];
  const tables = readme.slice(readme.indexOf('<!-- generated: settings -->'), readme.indexOf('## Metrics'));
  for (const flag of flags)
    if (!foreign.includes(flag ?? '') && flag !== '--config') expect(tables).toContain(`${flag}`);
});
