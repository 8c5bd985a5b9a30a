import { type Entry, piecesOf } from './entry.ts';

// The format is ustar: POSIX.1-2024, pax, "ustar Interchange Format". Offset and length of the fields used here.
const BLOCK = 512;
const NAME = [0, 100] as const;
const SIZE = [124, 12] as const;
const TYPE = 156;
const PREFIX = [345, 155] as const;

/**
 * An archive in pieces, which are long for one buffer. Owner and group are 0 and have no names, the time is `seconds`
 * since 1970: the same entries give the same bytes. Throws a RangeError where a path does not fit.
 */
export function writeTar(entries: readonly Entry[], seconds: number): Uint8Array[] {
  const pieces = entries.flatMap((entry) => {
    const pieces = piecesOf(entry);
    const size = pieces.reduce((sum, { length }) => sum + length, 0);
    return [header(entry, size, seconds), ...pieces, Buffer.alloc(padding(size))];
  });
  return [...pieces, Buffer.alloc(2 * BLOCK)];
}

const padding = (length: number) => (BLOCK - (length % BLOCK)) % BLOCK;

function header({ path, mode, content }: Entry, size: number, seconds: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const text = (at: number, value: string) => block.write(value, at, 'utf8');
  const octal = (at: number, length: number, value: number) => text(at, value.toString(8).padStart(length - 1, '0'));
  const isFolder = content === undefined;
  const [prefix, name] = split(isFolder ? `${path}/` : path);
  text(NAME[0], name);
  octal(100, 8, mode);
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(...SIZE, size);
  octal(136, 12, seconds);
  text(TYPE, isFolder ? '5' : '0');
  text(257, 'ustar\u000000');
  octal(329, 8, 0);
  octal(337, 8, 0);
  text(PREFIX[0], prefix);
  // The checksum counts its own field as spaces.
  block.fill(' ', 148, 156);
  octal(
    148,
    7,
    block.reduce((sum, byte) => sum + byte, 0),
  );
  block[154] = 0;
  return block;
}

/** A path of more than 100 bytes is cut at a slash. */
function split(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= NAME[1]) return ['', path];
  for (let slash = path.indexOf('/'); slash > 0 && slash <= PREFIX[1]; slash = path.indexOf('/', slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)];
    if (name !== '' && Buffer.byteLength(name) <= NAME[1] && Buffer.byteLength(prefix) <= PREFIX[1])
      return [prefix, name];
  }
  throw new RangeError(`the path ${path} does not fit into a tar archive`);
}

/** The files of an archive, by their path; views into it. Links, folders and extended headers are passed over. */
export function readTar(archive: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.length);
  for (let at = 0; at + BLOCK <= bytes.length && bytes[at] !== 0; ) {
    const field = ([start, length]: readonly [number, number]) => {
      const value = bytes.subarray(at + start, at + start + length);
      const end = value.indexOf(0);
      return value.toString('utf8', 0, end < 0 ? length : end);
    };
    const size = Number.parseInt(field(SIZE), 8);
    const type = bytes[at + TYPE] ?? 0;
    const prefix = field(PREFIX);
    if (type === 0 || type === 0x30) {
      files.set(
        prefix === '' ? field(NAME) : `${prefix}/${field(NAME)}`,
        bytes.subarray(at + BLOCK, at + BLOCK + size),
      );
    }
    at += BLOCK + size + padding(size);
  }
  return files;
}
