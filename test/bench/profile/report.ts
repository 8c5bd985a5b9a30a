import type { SelfTime, Share } from './self-time.ts';

/** The tables, each with as many rows. */
export function report({ busyMs, idleMs, collecting, functions, files }: SelfTime, rows: number): string {
  const table = (shares: readonly Share[]) =>
    shares.slice(0, rows).map(({ name, share }) => `${percent(share)}  ${name}`);
  return [
    `${Math.round(busyMs)} ms busy, ${Math.round(idleMs)} ms idle; garbage collection: ${percent(collecting).trim()} of what was busy`,
    '\nself time by function',
    ...table(functions),
    '\nself time by file',
    ...table(files),
  ].join('\n');
}

const percent = (share: number) => `${(share * 100).toFixed(1)} %`.padStart(7);
