/** As much of RFC 9112 as the servers of the bench use. */

const [BLANK_LINE, LINE] = [Buffer.from('\r\n\r\n'), Buffer.from('\r\n')];

/** How many bytes the answer has that begins here; undefined while it is not whole. Throws where the end cannot be told. */
export function responseLength(bytes: Buffer): number | undefined {
  const end = bytes.indexOf(BLANK_LINE);
  if (end === -1) return undefined;
  const body = end + BLANK_LINE.length;
  const head = bytes.toString('latin1', 0, body);
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
  if (length !== undefined) return bytes.length < body + Number(length) ? undefined : body + Number(length);
  if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) return chunkedEnd(bytes, body);
  throw new Error('an answer with neither Content-Length nor chunks');
}

function chunkedEnd(bytes: Buffer, from: number): number | undefined {
  for (let at = from; ; ) {
    const line = bytes.indexOf(LINE, at);
    if (line === -1) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    if (!(size >= 0)) throw new Error('an answer with a chunk without a size');
    at = line + LINE.length + size + LINE.length;
    if (at > bytes.length) return undefined;
    if (size === 0) return at;
  }
}

/** Of an answer that is whole. */
export function statusOf(bytes: Buffer): number {
  return Number(bytes.toString('latin1', 9, 12));
}

/** The body of an answer that is whole. */
export function bodyOf(bytes: Buffer): Buffer {
  const start = bytes.indexOf(BLANK_LINE) + BLANK_LINE.length;
  if (!/\r\ntransfer-encoding: *chunked\r\n/i.test(bytes.toString('latin1', 0, start))) return bytes.subarray(start);
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const line = bytes.indexOf(LINE, at);
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    if (size === 0) return Buffer.concat(chunks);
    const data = line + LINE.length;
    chunks.push(bytes.subarray(data, data + size));
    at = data + size + LINE.length;
  }
}
