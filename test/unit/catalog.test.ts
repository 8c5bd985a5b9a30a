import { describe, expect, test } from 'vitest';
import { annotationKey, annotationRows, nearestAnnotation } from '../../src/catalog/annotations.ts';
import { type CommandName, type CommandRow, commandRows } from '../../src/catalog/commands.ts';
import { metricRows } from '../../src/catalog/metrics.ts';
import {
  codecOf,
  flagOf,
  type SettingKey,
  type SettingRow,
  settingRows,
  variableOf,
} from '../../src/catalog/settings.ts';
import { commandHelp, overview } from '../../src/cli/help.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { parseSettings } from '../../src/settings.ts';
import { readAnnotations } from '../../webhook/annotations.ts';

const commands = Object.keys(commandRows) as CommandName[];
const settings = Object.entries(settingRows) as [SettingKey, SettingRow][];
const settingsOf = (command: CommandName): readonly SettingKey[] => commandRows[command].settings;

describe('annotations', () => {
  const NAMES = [
    'audiences',
    'audience.<name>',
    'expiration',
    'expiration.<name>',
    'env.<name>',
    'containers',
    'containers.<name>',
    'skip-containers',
    'mount-path',
    'inject',
    ...['oauth2-proxy', 'oauth2-proxy-audiences', 'oauth2-proxy-callers', 'oauth2-proxy-callers-config-map'],
    ...['oauth2-proxy-skip-paths', 'oauth2-proxy-port', 'oauth2-proxy-ca-config-map', 'oauth2-proxy-image'],
    ...['oauth2-proxy-resources', 'oauth2-proxy-sso', 'oauth2-proxy-sso-issuer', 'oauth2-proxy-sso-redirect-url'],
    'oauth2-proxy-sso-email-domains',
  ];
  const OURS = ['injected', 'oauth2-proxy-allowed'];
  const nameOf = ({ key, named }: { key: string; named: boolean }) => (named ? `${key}.<name>` : key);

  test('the rows are the documented keys, and the ones that podpass writes', () => {
    expect(annotationRows.map(nameOf).sort()).toEqual([...NAMES, ...OURS].sort());
  });

  test.each(annotationRows.map((row) => [nameOf(row), row] as const))('%s is read', (_, { key, named, example }) => {
    const written = named ? `${key}.api` : key;
    expect(annotationKey(written)).toEqual(named ? { key, name: 'api' } : { key });
    const read = (annotations: Record<string, string>) => {
      const pod = Object.fromEntries(
        Object.entries({ 'audience.api': 'x', ...annotations }).map(([name, value]) => [`p/${name}`, value]),
      );
      const others = {
        annotationPrefix: 'p',
        mountPath: '/m',
        tokenExpiration: 601,
        reservedAudiences: new Set<string>(),
      };
      const reading = readAnnotations(
        { object: 'Pod', annotations: pod },
        undefined,
        ['app', 'web', 'migrate', 'log-shipper'],
        others,
      );
      if (reading === undefined) return undefined;
      const { effective, ...rest } = reading;
      return {
        ...rest,
        tokens: reading.tokens.map((token) => ({ ...token, containers: [...token.containers] })),
        // Read by others, from what counts.
        proxy: NAMES.filter((name) => name.startsWith('oauth2-proxy')).map(
          (name) => effective.get(name as 'oauth2-proxy')?.value,
        ),
      };
    };
    const reading = read({ [written]: example });
    expect(reading?.problems ?? []).toEqual([]);
    expect(reading?.warnings ?? []).toEqual([]);
    if (OURS.includes(key)) expect(reading).toEqual(read({}));
    else expect(reading).not.toEqual(read({}));
  });

  test('no other key is', () => {
    for (const key of [
      'audience',
      'env',
      'skip-containers.x',
      'mount-path.x',
      'inject.x',
      'Audiences',
      '',
      '.',
      'x.audience',
      'constructor',
      '__proto__.x',
    ]) {
      expect([key, annotationKey(key)]).toEqual([key, undefined]);
      expect(annotationKey(nearestAnnotation(key).replace('<name>', 'x'))).toBeDefined();
    }
  });
});

describe('settings', () => {
  test('each belongs to a command, and each of a command is in the catalog', () => {
    const used = new Set(commands.flatMap(settingsOf));
    expect(settings.map(([key]) => key).filter((key) => !used.has(key))).toEqual([]);
    expect([...used].filter((key) => !(key in settingRows))).toEqual([]);
    for (const command of commands) expect(new Set(settingsOf(command)).size).toBe(settingsOf(command).length);
  });

  test('flags and variables are unique, and short flags are so in each command', () => {
    const all = settings.flatMap(([key, { flagOnly }]) => [flagOf(key), ...(flagOnly ? [] : [variableOf(key)])]);
    expect(new Set(all).size).toBe(all.length);
    for (const command of commands) {
      const shorts = settingsOf(command).flatMap((key) => (settingRows[key] as SettingRow).short ?? []);
      expect([command, new Set(shorts).size]).toEqual([command, shorts.length]);
    }
    expect(flagOf('serviceAccountLookupTimeout')).toBe('--service-account-lookup-timeout');
    expect(variableOf('serviceAccountLookupTimeout')).toBe('PODPASS_SERVICE_ACCOUNT_LOOKUP_TIMEOUT');
  });

  test('every default is a value that is taken', () => {
    for (const [key, { codec, default: text, defaults = {}, commas }] of settings) {
      const values = text === undefined ? [] : commas ? text.split(',') : [text];
      for (const value of values) expect([key, value, codec.parse(value).ok]).toEqual([key, value, true]);
      for (const [command, written] of Object.entries(defaults)) {
        expect(commands).toContain(command);
        expect([key, written, codecOf(command, key).parse(written).ok]).toEqual([key, written, true]);
      }
    }
  });

  test.each(commands.flatMap((command) => settingsOf(command).map((key) => [command, key] as const)))(
    'podpass %s: %s is reached by its flag',
    (command, key) => {
      const codec = codecOf(command, key);
      if (key === 'help') return;
      const samples = [
        'files',
        'json',
        'configmap',
        'true',
        '1',
        '10m',
        '2h',
        'aws',
        '127.0.0.1',
        'https://a.example',
        '/srv/x',
        'podpass.example',
        'podpass:1.2.3',
        'oauth2-proxy:v7.15.3',
        'auto',
        '2026-01-31T18:00:00Z',
        'info',
        'shop/web',
        'app=web',
        '123456789012',
        'https://a.example#b',
        'projects/1/locations/global/workloadIdentityPools/pool/providers/provider',
      ];
      // A CA outlives the certificates that it signs.
      const sample = key === 'tlsCaLifetime' ? '8760h' : samples.find((each) => codec.parse(each).ok);
      const value = codec.metavar === '' ? 'true' : sample;
      const { modes }: CommandRow = commandRows[command];
      const mode = Object.entries(modes?.values ?? {}).find(([, { takes }]) => takes?.includes(key))?.[0];
      const inMode = modes !== undefined && mode !== undefined ? [`${flagOf(modes.of)}=${mode}`] : [];
      const given = (argv: string[], env: Record<string, string> = {}) => {
        const parsed = parseSettings(command, { argv: [...inMode, ...argv], env, readFile: () => '' });
        return parsed.ok
          ? []
          : parsed.problems.filter(
              (problem) =>
                problem.key === flagOf(key) || problem.key === variableOf(key) || problem.value === flagOf(key),
            );
      };
      expect(given([`${flagOf(key)}=${value}`])).toEqual([]);
      expect(given([], { [variableOf(key)]: value ?? '' })).toEqual(
        given([`${flagOf(key)}=${value}`], {}).concat((settingRows[key] as SettingRow).flagOnly ? given([]) : []),
      );
      if (codec.metavar !== '') expect(given([flagOf(key)]).length).toBeGreaterThan(0);
    },
  );
});

describe('help', () => {
  test.each(commands)('of podpass %s names each flag, default and environment rule, within 100 columns', (command) => {
    const text = commandHelp(command);
    for (const key of settingsOf(command)) {
      expect(text).toMatch(new RegExp(`(^|\\s)${flagOf(key)}(\\s|$)`, 'm'));
      const { default: common, defaults, codec }: SettingRow = settingRows[key];
      const byDefault = defaults?.[command] ?? common;
      if (byDefault !== undefined && codec.metavar !== '') expect(text.replace(/\s+/g, ' ')).toContain(byDefault);
    }
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    expect(overview('1.0.0')).toContain(command);
  });
});

describe('metrics', () => {
  test.each(['webhook', 'discovery'] as const)(
    'of the %s are all there from the start, counters at 0',
    async (service) => {
      const { text } = await createMetrics(service).expose();
      for (const [name, row] of Object.entries(metricRows)) {
        const mine = row.service === service || row.service === 'both';
        expect([name, text.includes(`# TYPE ${name} ${row.type}\n`)]).toEqual([name, mine]);
        if (!mine || row.type !== 'counter') continue;
        const samples = text.split('\n').filter((line) => line.startsWith(name) && /^[a-z_]+(\{|\s)/.test(line));
        const labels: Record<string, readonly string[]> = 'labels' in row ? row.labels : {};
        expect(samples).toHaveLength(Object.values(labels).reduce((all, values) => all * values.length, 1));
        for (const line of samples) expect(line).toMatch(/ 0$/);
      }
    },
  );
});
