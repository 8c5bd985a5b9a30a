import { describe, expect, test } from 'vitest';
import * as codec from '../../src/codec.ts';

const value = <T>(c: codec.Codec<T>, text: string) => {
  const result = c.parse(text);
  return result.ok ? result.value : undefined;
};
/** What is said of texts that are refused; `undefined` where one is taken. */
const refused = (c: codec.Codec<unknown>, texts: readonly string[]) =>
  Object.fromEntries(texts.map((text) => [text, value(c, text)]));
const none = (texts: readonly string[]) => Object.fromEntries(texts.map((text) => [text, undefined]));

test.each(Object.entries(codec).filter(([, each]) => typeof each === 'object' && 'parse' in each))(
  '%s says what it accepts, and what is wrong with anything else',
  (_, each) => {
    const any = each as codec.Codec<unknown>;
    expect(any.accepted).not.toBe('');
    for (const text of ['', '\0', 'x y', '\u{1f600}'.repeat(100), '-'.repeat(300)]) {
      const result = any.parse(text);
      if (!result.ok) expect(result.wrong).toMatch(/^[a-z]/);
    }
  },
);

test('parsed throws a TypeError that names text, reason and what is accepted', () => {
  expect(codec.parsed(codec.port, '80')).toBe(80);
  expect(() => codec.parsed(codec.port, 'x')).toThrow(TypeError);
  expect(() => codec.parsed(codec.port, 'x')).toThrow('"x" is not a port; accepted: a port from 0 to 65535');
});

describe('a duration', () => {
  test('is one whole number with s, m or h, or whole seconds; white space around it is ignored', () => {
    const texts = ['600', '600s', ' 10m ', '\t1h\n', '0000600', '4294967296', '71582788m'];
    expect(texts.map((text) => value(codec.tokenLifetime, text))).toEqual([
      600, 600, 600, 3600, 600, 4294967296, 4294967280,
    ]);
  });

  test('has no sums, signs, fractions, other units or digits', () => {
    const texts = [
      '',
      ' ',
      '1h30m',
      '+1h',
      '-1h',
      '1.5h',
      '1,5h',
      '1d',
      '1H',
      '1 h',
      'h',
      '1e3',
      '0x258',
      '1_000',
      '٦٠٠',
      '600ms',
      'Infinity',
      '1h\n1h',
    ];
    expect(refused(codec.tokenLifetime, texts)).toEqual(none(texts));
  });

  test('of a token is 600 s to 2^32 s, and both ends are named', () => {
    const texts = ['0', '599', '9m', '4294967297', '71582789m', '1193047h', '9'.repeat(400)];
    expect(refused(codec.tokenLifetime, texts)).toEqual(none(texts));
    expect(codec.tokenLifetime.accepted).toMatch(/600.*4294967296/);
  });
});

describe('lists', () => {
  test('are separated by commas or white space; empty items and repeats are ignored', () => {
    expect(codec.listItems(' a,b\t\tc\r\nd ,, a,\u00a0e,')).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(codec.listItems(' ,\n, ')).toEqual([]);
  });
});

describe('an audience', () => {
  test('is taken as it is, but for white space around it', () => {
    const texts = [' https://a.example/?q#f ', 'a,b', 'ü', 'x'.repeat(2000), '"'];
    expect(texts.map((text) => value(codec.audience, text))).toEqual(texts.map((text) => text.trim()));
  });

  test('has no control characters, no inner white space, and is not empty', () => {
    const texts = ['', '  ', 'a b', 'a\tb', 'a\nb', 'a\u00a0b', 'a\u2028b', 'a\0b', 'a\u001bb', 'a\u007f', '\u0085a'];
    expect(refused(codec.audience, texts)).toEqual(none(texts));
  });
});

describe('a token file name', () => {
  test('of an audience has no scheme and only A-Z a-z 0-9 . _ -', () => {
    const names = {
      vault: 'vault',
      'https://api.example.com/v1': 'api.example.com-v1',
      'https://api.example.com/': 'api.example.com',
      'HTTPS://A.example': 'A.example',
      'git+ssh://host:22': 'host-22',
      'api://1234/.default': '1234-.default',
      'a://b://c': 'b-c',
      'urn:x:y': 'urn-x-y',
      '1a://b': '1a-b',
      '://b': 'b',
      'a//b': 'a-b',
      'a / b': 'a-b',
      '.-a.b-.': 'a.b',
      _a_: '_a_',
      büro: 'b-ro',
      '\u{1f600}': '',
      'https://': '',
      '...': '',
    };
    expect(Object.fromEntries(Object.keys(names).map((text) => [text, codec.fileNameOf(text)]))).toEqual(names);
  });

  test('is found in linear time, as annotations come from anyone who may create a Pod', () => {
    const started = process.cpuUsage();
    codec.fileNameOf(`a${'.'.repeat(40_000)}b`);
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(0.5);
  });

  test('is one path element of 1 to 63 characters that the API server takes', () => {
    const good = ['a', 'A.b_c-1', '.a', '-', '_', 'a'.repeat(63)];
    expect(good.map((text) => value(codec.tokenFileName, text))).toEqual(good);
    const bad = ['', '.', '..', '..a', '...', 'a/b', 'a b', 'ü', 'a\n', 'a'.repeat(64)];
    expect(refused(codec.tokenFileName, bad)).toEqual(none(bad));
  });
});

describe('a variable', () => {
  test('matches ^[A-Z][A-Z0-9_]*$', () => {
    const good = [
      'A',
      'API_TOKEN_FILE',
      'A1',
      'PATH_X',
      'XPATH',
      'LDX',
      'PROXY',
      'HTTP_PROXY_FILE',
      'MY_KUBERNETES_X',
      'KUBERNETES',
      'HOMER',
    ];
    expect(good.map((text) => value(codec.environmentVariable, text))).toEqual(good);
    const bad = ['', 'a', 'Ab', '1A', '_A', 'A-B', 'A B', 'A=B', 'A.B', 'Ä', 'A\n\nB', 'A\0'];
    expect(refused(codec.environmentVariable, bad)).toEqual(none(bad));
  });

  test('does not change how programs load or reach the network', () => {
    const bad = [
      'LD_PRELOAD',
      'LD_',
      'DYLD_INSERT_LIBRARIES',
      'PATH',
      'HOME',
      'SHELL',
      'IFS',
      'ENV',
      'BASH_ENV',
      'NODE_OPTIONS',
      'PYTHONPATH',
      'PYTHON',
      'PERL5LIB',
      'PERL5',
      'RUBYLIB',
      'RUBYOPT',
      'JAVA_TOOL_OPTIONS',
      'JDK_JAVA_OPTIONS',
      'HTTPS_PROXY',
      'NO_PROXY',
      'A_PROXY',
      'KUBERNETES_SERVICE_HOST',
      'KUBERNETES_',
    ];
    expect(refused(codec.environmentVariable, bad)).toEqual(none(bad));
  });
});

describe('a mount path', () => {
  test('is absolute, and normalised', () => {
    const paths = {
      '/srv': '/srv',
      ' //srv/./tokens// ': '/srv/tokens',
      '/etcetera': '/etcetera',
      '/var/lib/x': '/var/lib/x',
      '/run/tokens': '/run/tokens',
      '/var/run/secrets/kubernetes.io.example': '/var/run/secrets/kubernetes.io.example',
      '/.hidden': '/.hidden',
    };
    expect(Object.fromEntries(Object.keys(paths).map((text) => [text, value(codec.mountPath, text)]))).toEqual(paths);
  });

  test('is not relative, has no .. or colon, and is not the root', () => {
    const bad = ['', 'srv', './srv', 'C:\\x', '/..', '/a/..', '/a/../b', '/a:b', '/', '//', '/./', '/a\0b', '/a\nb'];
    expect(refused(codec.mountPath, bad)).toEqual(none(bad));
  });

  test('does not lie in or above a system folder', () => {
    const bad = [
      '/etc',
      '/proc',
      '/sys',
      '/dev',
      '/bin',
      '/sbin',
      '/lib',
      '/lib64',
      '/libx32',
      '/lib/a',
      '/usr',
      '/boot',
      '/run/secrets/kubernetes.io',
      '/var/run/secrets/kubernetes.io',
    ].flatMap((path) => [path, `${path}/`, `/${path}/inner`, `/.${path}`]);
    const above = ['/run', '/run/secrets', '/var', '/var/run', '/var/run/secrets/', '//var/.'];
    expect(refused(codec.mountPath, [...bad, ...above])).toEqual(none([...bad, ...above]));
  });
});

describe('an annotation prefix', () => {
  test('is a DNS name that is not of Kubernetes', () => {
    const good = ['podpass.dev', 'x', 'a-b.example.com', `${'a.'.repeat(126)}a`];
    expect(good.map((text) => value(codec.annotationPrefix, text))).toEqual(good);
    const bad = [
      '',
      'A.example',
      'a/b',
      '-a',
      'a-',
      'a..b',
      '.a',
      'a.',
      'ü.example',
      'a b',
      `${'a.'.repeat(126)}aa`,
      'kubernetes.io',
      'x.k8s.io',
      'k8s.io',
      'a\n',
    ];
    expect(refused(codec.annotationPrefix, bad)).toEqual(none(bad));
  });
});

describe('addresses', () => {
  test('a port is 0 to 65535', () => {
    expect(['0', '8443', '65535', ' 80 '].map((text) => value(codec.port, text))).toEqual([0, 8443, 65535, 80]);
    const bad = ['', '-1', '65536', '99999', '1.5', '0x50', '1e3', 'http', 'tcp://10.0.0.1:80', '８０'];
    expect(refused(codec.port, bad)).toEqual(none(bad));
  });

  test('a bind address is an IP address', () => {
    const good = {
      '::': '::',
      '[::1]': '::1',
      '127.0.0.1': '127.0.0.1',
      '0.0.0.0': '0.0.0.0',
      '::ffff:127.0.0.1': '::ffff:127.0.0.1',
      'fe80::1%eth0': 'fe80::1%eth0',
    };
    expect(Object.fromEntries(Object.keys(good).map((text) => [text, value(codec.bindAddress, text)]))).toEqual(good);
    const bad = ['', 'localhost', '127.0.0.256', '1.2.3', ':', ':::', '1.2.3.4:80', '[::1]:80', 'x::', '*'];
    expect(refused(codec.bindAddress, bad)).toEqual(none(bad));
  });

  test('an http issuer is safe on loopback only, which is localhost, 127.0.0.0/8 and ::1', () => {
    const unsafe = (hosts: string[]) => hosts.map((host) => codec.isUnsafeIssuer(`http://${host}/p`));
    expect(unsafe(['localhost', '127.0.0.1', '127.9.9.9', '[::1]'])).toEqual([false, false, false, false]);
    const others = ['localhost.example.com', '128.0.0.1', '127.0.0.1.example.com', '[::2]'];
    expect(unsafe(others)).toEqual(others.map(() => true));
    expect(codec.isUnsafeIssuer('https://example.com')).toBe(false);
  });

  test('an issuer is kept byte for byte', () => {
    const good = [
      'https://issuer.example.com',
      'https://issuer.example.com/',
      'https://ISSUER.example.com/A/b/',
      'https://issuer.example.com:443',
      'http://localhost:8080',
      'https://[::1]:8443/x',
    ];
    expect(good.map((text) => value(codec.issuerUrl, text))).toEqual(good);
  });

  test('an issuer has no query, fragment, user or white space, and is http or https', () => {
    const bad = [
      '',
      'issuer.example.com',
      'ftp://x.example',
      'https://',
      'https://x.example?',
      'https://x.example/?a=b',
      'https://x.example#',
      'https://x.example/#a',
      'https://u@x.example',
      'https://u:p@x.example',
      'https://@x.example',
      ' https://x.example',
      'https://x.example\n',
      'https://x.example/a b',
      'https://x.example/a/../b',
      'https://x.example\\a',
      'HTTPS:x.example',
      'file:///etc/passwd',
    ];
    expect(refused(codec.issuerUrl, bad)).toEqual(none(bad));
  });
});

test('plain values', () => {
  expect([value(codec.flag, 'true'), value(codec.flag, 'false')]).toEqual([true, false]);
  expect(refused(codec.flag, ['', 'True', '1', 'yes', ' true'])).toEqual(none(['', 'True', '1', 'yes', ' true']));
  expect(value(codec.choice('a', 'b'), 'b')).toBe('b');
  expect(refused(codec.choice('a', 'b'), ['', 'c', 'A', 'toString'])).toEqual(none(['', 'c', 'A', 'toString']));
  expect(codec.choice('a', 'b').accepted).toBe('a, b');
  expect(value(codec.filePath, '/a b')).toBe('/a b');
  expect(refused(codec.filePath, ['', 'a\0'])).toEqual(none(['', 'a\0']));
});
