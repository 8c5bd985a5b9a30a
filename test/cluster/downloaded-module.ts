/** The files of a Go module that a folder of test/go pins: Go downloads it once, into its own cache. */
import { fileURLToPath } from 'node:url';
import { runProgram } from './podpass.ts';

/** The folder with the module's files. Throws where Go cannot get them: the binaries of these tests are built by Go too. */
export async function downloadedModule(pinnedIn: string, module: string): Promise<string> {
  const folder = fileURLToPath(new URL(`../go/${pinnedIn}`, import.meta.url));
  const env = process.env as Record<string, string>;
  const { code, stdout, stderr } = await runProgram('go', ['-C', folder, 'mod', 'download', '-json', module], { env });
  if (code !== 0) throw new Error(`Go cannot download ${module}: exit code ${code}\n${stdout}${stderr}`);
  return (JSON.parse(stdout) as { Dir: string }).Dir;
}
