import type { Problem } from '../src/fault.ts';
import type { Token } from './annotations.ts';

/** Devices, with and without something after a dot. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/;

/**
 * Problems of names that are fine on Linux and are no files of their own on Windows, where the kubelet would fail to
 * write them, or write two tokens into one file: learn.microsoft.com/windows/win32/fileio/naming-a-file
 */
export function windowsFileNames(tokens: readonly Token[], object: string): Problem[] {
  const taken = new Map<string, string>();
  return tokens.flatMap(({ name }) => {
    // The case does not count there, and neither do dots at the end.
    const file = name.replace(/(?<!\.)\.+$/, '').toLowerCase();
    const other = taken.get(file);
    taken.set(file, other ?? name);
    const wrong = DEVICE.test(file)
      ? 'is the name of a device on Windows'
      : other !== undefined
        ? `is the same file on Windows as ${JSON.stringify(other)}`
        : undefined;
    if (wrong === undefined) return [];
    const accepted = 'names of tokens that are files of their own on Windows';
    return [{ object, key: 'audiences and audience.<name>', value: name, wrong, accepted }];
  });
}
