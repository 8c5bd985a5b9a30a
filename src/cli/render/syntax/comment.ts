import type { Syntax } from '../../../catalog/consumers.ts';
import { sentence } from '../../../fault.ts';

/** What a comment begins with; JSON has none. */
const PREFIX: Readonly<Record<Syntax, string | undefined>> = {
  yaml: '#',
  toml: '#',
  nginx: '#',
  shell: '#',
  hcl: '#',
  properties: '#',
  python: '#',
  text: '#',
  json: undefined,
};

export function hasComments(syntax: Syntax): boolean {
  return PREFIX[syntax] !== undefined;
}

/** Lines of comment. What does not print, a line's end among it, is escaped, so that nothing gets out of the comment. */
export function comment(syntax: Syntax, lines: readonly string[]): string {
  const prefix = PREFIX[syntax];
  return prefix === undefined ? '' : lines.map((line) => `${prefix} ${sentence(line)}\n`).join('');
}
