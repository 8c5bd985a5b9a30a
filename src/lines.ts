/**
 * Cuts a stream at line breaks, before decoding, so that a character cut in two by the network is whole again. Empty
 * lines are left out; throws `tooLong()` where a line is over `maxBytes`.
 */
export async function* lines(
  chunks: AsyncIterable<Buffer>,
  maxBytes: number,
  tooLong: () => Error,
): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      const line = Buffer.concat(parts);
      [parts, size, start] = [[], 0, end + 1];
      if (line.length > 0) yield line;
    }
    parts.push(chunk.subarray(start));
    size += chunk.length - start;
    if (size > maxBytes) throw tooLong();
  }
}
