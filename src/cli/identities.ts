import type { HasContainerCredentials } from '../../webhook/presets/aws.ts';
import { parseIdentities } from '../../webhook/presets/identities.ts';
import { Failure, messageOf, whyUnreadable } from '../fault.ts';
import type { Log } from '../log.ts';
import { followFile, readIfThere } from '../runtime/follow-file.ts';

const NOBODY: HasContainerCredentials = () => false;

export interface Identities {
  readonly has: HasContainerCredentials;
  /** Calls this, and nothing that was given before, each time when others may be named. */
  onChange(call: () => void): void;
  stop(): void;
}

/**
 * The file of `--aws-container-credentials-config`, kept as new as it is: one that is absent or empty names nobody, and
 * one that cannot be used leaves what was known.
 */
export async function followIdentities(path: string | undefined, log: Log): Promise<Identities> {
  if (path === undefined) return { has: NOBODY, onChange() {}, stop() {} };
  let known = NOBODY;
  let changed = () => {};
  const failed = (error: unknown) =>
    log.error({ path, reason: messageOf(error) }, 'container credentials not reloaded; those before stay in use');
  const { stop } = await followFile(path, {
    text(text) {
      try {
        const { size, has } = parseIdentities(text ?? '');
        known = has;
        changed();
        log[text === undefined ? 'warn' : 'info']({ path, identities: size }, 'container credentials loaded');
      } catch (error) {
        failed(error);
      }
    },
    error: failed,
  });
  return {
    has: (namespace, name) => known(namespace, name),
    onChange(call) {
      changed = call;
    },
    stop,
  };
}

/** The same file for a command that ends. Throws a Failure where it cannot be used. */
export async function readIdentities(path: string | undefined): Promise<HasContainerCredentials> {
  if (path === undefined) return NOBODY;
  let text: string | undefined;
  try {
    text = await readIfThere(path);
  } catch (cause) {
    throw new Failure(`${path} ${whyUnreadable(cause)}`, { cause });
  }
  if (text === undefined) throw new Failure(`${path} does not exist`);
  try {
    return parseIdentities(text).has;
  } catch (cause) {
    throw new Failure(`${path} cannot be used: ${messageOf(cause)}`, { cause });
  }
}
