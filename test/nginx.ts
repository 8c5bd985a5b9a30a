/** nginx, where the machine has it. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];

/** The path of nginx, or why there is none; under CI that is an error. */
export function findNginx(): string | { readonly missing: string } {
  const found = folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path));
  if (found !== undefined) return found;
  const missing = 'nginx is not on this machine (apt-get install nginx)';
  if (process.env.CI === 'true') throw new Error(missing);
  return { missing };
}
