import { wrap } from '../help.ts';
import type { Finding, Severity } from './rule.ts';

const WIDTH = 100;
const HEADINGS: Readonly<Record<Severity, string>> = { error: 'ERRORS', warning: 'WARNINGS', info: 'NOTES' };

/** The findings for people: by severity, each with what was seen, why it matters and what to do; ends with a summary. */
export function report(findings: readonly Finding[], subject: string): string {
  const groups = Object.entries(HEADINGS).flatMap(([severity, heading]) => {
    const group = findings.filter((finding) => finding.severity === severity);
    return group.length === 0 ? [] : [`${heading}\n\n${group.map(paragraph).join('\n\n')}\n`];
  });
  return [...groups, `${summary(findings)} for ${subject}\n`].join('\n');
}

function paragraph({ code, subject, seen, why, next }: Finding): string {
  const parts = { seen, why, next };
  const lines = Object.entries(parts).flatMap(([label, text]) =>
    wrap(text, WIDTH - 8).map((line, index) => `  ${(index === 0 ? label : '').padEnd(4)}  ${line}`),
  );
  return [`${code}: ${subject}`, ...lines].join('\n');
}

function summary(findings: readonly Finding[]): string {
  const count = (severity: Severity, one: string) => {
    const number = findings.filter((finding) => finding.severity === severity).length;
    return `${number} ${one}${number === 1 ? '' : 's'}`;
  };
  return `${count('error', 'error')}, ${count('warning', 'warning')}, ${count('info', 'note')}`;
}
