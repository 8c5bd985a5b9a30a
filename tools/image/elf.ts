/** What a program or a library needs to be loaded. */
export interface Dynamic {
  /** The path of the loader; of programs only. */
  readonly interpreter: string | undefined;
  /** Names such as `libc.so.6`. */
  readonly needed: readonly string[];
  /** e_machine, as in the ELF specification: 62 is x86-64, 183 is AArch64. */
  readonly machine: number;
}

// System V ABI, "Object Files" and "Program Loading and Dynamic Linking": ELF64, little-endian.
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1;
const DT_STRTAB = 5;

/** Reads the dynamic section; undefined where this is no 64-bit little-endian ELF file. */
export function readDynamic(content: Uint8Array): Dynamic | undefined {
  const elf = Buffer.from(content.buffer, content.byteOffset, content.length);
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) return undefined;
  const number = (at: number) => Number(elf.readBigUInt64LE(at));
  const textAt = (at: number) => elf.toString('utf8', at, elf.indexOf(0, at));

  const table = number(0x20);
  const [size, count] = [elf.readUInt16LE(0x36), elf.readUInt16LE(0x38)];
  const segments = Array.from({ length: count }, (_, index) => {
    const at = table + index * size;
    return { type: elf.readUInt32LE(at), offset: number(at + 8), address: number(at + 16), length: number(at + 32) };
  });
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  const entries = Array.from({ length: Math.floor((dynamic?.length ?? 0) / 16) }, (_, index) => {
    const at = (dynamic?.offset ?? 0) + index * 16;
    return { tag: number(at), value: number(at + 8) };
  });
  const strings = entries.find(({ tag }) => tag === DT_STRTAB)?.value ?? 0;
  const loaded = segments.find(
    ({ type, address, length }) => type === PT_LOAD && address <= strings && strings < address + length,
  );
  const stringsAt = strings - (loaded?.address ?? 0) + (loaded?.offset ?? 0);
  return {
    interpreter: interpreter && textAt(interpreter.offset),
    needed: entries.filter(({ tag }) => tag === DT_NEEDED).map(({ value }) => textAt(stringsAt + value)),
    machine: elf.readUInt16LE(0x12),
  };
}
