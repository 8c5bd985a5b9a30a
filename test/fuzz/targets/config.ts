import { type CommandName, commandRows } from '../../../src/catalog/commands.ts';
import { settingRows } from '../../../src/catalog/settings.ts';
import { describe } from '../../../src/fault.ts';
import { parseSettings } from '../../../src/settings.ts';
import { hold, type Target } from '../target.ts';

const keys = Object.keys(settingRows);
const commandNames = Object.keys(commandRows) as CommandName[];
const SEEDS = [
  '',
  'port: 8443\ntlsMode: managed\nnamespace: podpass\n',
  'tlsMode: files\ntlsCert: /tls/tls.crt\ntlsKey: /tls/tls.key\nreservedAudiences: [a, b]\npresets: aws,azure\nazureTenantId: t\n',
  'issuer: https://issuer.example.com\nkeySource: files\nkeyFiles:\n- /keys/a.pem\n- /keys/b.pem\n',
  'issuers:\n- issuer: https://a.example.com\n  keySource: files\n  keyFiles: [/keys/a.pem]\n- issuer: https://b.example.com/x\n  keySource: url\n  keyUrl: https://b.example.com/keys\n',
  '{"issuer": "https://issuer.example.com", "publishTo": ["s3://bucket/prefix", "/folder"], "keyState": "/state"}',
  'defaults: &d {keySource: cluster}\nissuers:\n- <<: *d\n  issuer: https://a.example.com\n',
  '# a comment\nport: "0x1F"\nlogLevel: !!str debug\ncacheMaxAge: 5m\n---\nsecond: document\n',
];
const TOKENS = [
  '- ',
  ': ',
  '\n',
  '&a ',
  '*a',
  '!!',
  '|\n',
  '>-\n',
  '{',
  '}',
  '[',
  ']',
  '<<: ',
  '~',
  '? ',
  '%',
  '#',
  '---\n',
];

/**
 * Any file of settings, for every command: settings or problems, each with its place, what was found and what is accepted.
 * The first byte of an input says which command, and the rest is the file.
 */
export const target: Target = {
  name: 'config',
  shape: 'bytes',
  maxBytes: 4 * 1024,
  dictionary: [
    ...[...keys, ...keys.map((key) => `${key}: `), ...TOKENS],
    ...['issuers:\n- ', 'toString', '__proto__', '.inf', '1h'],
  ],
  seeds: () =>
    commandNames.flatMap((_, index) => SEEDS.map((text) => Buffer.from(`${String.fromCharCode(65 + index)}${text}`))),
  judge(bytes) {
    const command = commandNames[(bytes[0] ?? 0) % commandNames.length];
    hold(command !== undefined, 'there is no such command');
    judgeFor(command, bytes.subarray(1).toString());
  },
};

function judgeFor(command: CommandName, text: string): void {
  const parsed = parseSettings(command, { argv: ['--config=podpass.yaml'], env: {}, readFile: () => text });
  if (parsed.ok) {
    hold(parsed.issuers.length > 0, 'there are no settings of any issuer');
    return;
  }
  hold(parsed.problems.length > 0, 'neither settings nor problems');
  for (const problem of parsed.problems) {
    hold(
      ['podpass.yaml', `podpass ${command}`, 'environment'].includes(problem.object),
      `a problem is at ${problem.object}`,
    );
    for (const member of ['key', 'wrong', 'accepted'] as const)
      hold(
        typeof problem[member] === 'string' && (problem[member] !== '' || member === 'key'),
        `a problem has no ${member}`,
      );
    hold(!/\p{Cc}/u.test(describe(problem)), 'a problem cannot be printed');
  }
}
