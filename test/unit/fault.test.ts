import { expect, test } from 'vitest';
import { describe, printable, quote } from '../../src/fault.ts';

test('names that somebody else chose cannot forge lines or colours', () => {
  const object = 'Pod a/\u001b[31m\nwarning: forged';
  const text = describe({ object, key: 'k', value: '\u0085\u202e', wrong: 'is wrong', accepted: 'x' });
  expect(text).toBe('"Pod a/\\u001b[31m\\nwarning: forged": k: "\\u0085\\u202e" is wrong; accepted: x');
  expect(printable('Pod shop/web-1')).toBe('Pod shop/web-1');
  expect(printable('x'.repeat(1_000)).length).toBeLessThan(120);
});

test('a long value is cut', () => {
  expect(quote('x'.repeat(1_000))).toBe(`"${'x'.repeat(100)}…"`);
});
