import { spawnSync } from 'node:child_process';

/** The binary to test: what PODPASS_OAUTH2_PROXY names, else the one on the PATH. */
export const binary = process.env.PODPASS_OAUTH2_PROXY || 'oauth2-proxy';

/** The binary's version. Throws an Error that says what to do where it cannot be run. */
export function versionOfBinary(): string {
  const { status, stdout, stderr, error } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  if (error !== undefined || status !== 0) {
    const why = error?.message ?? stderr.trim();
    throw new Error(
      `${binary} cannot be run (${why}): put oauth2-proxy v7.15.3 or later on the PATH, or name it in PODPASS_OAUTH2_PROXY`,
    );
  }
  return stdout.trim();
}
