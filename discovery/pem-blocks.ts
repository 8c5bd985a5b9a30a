/** One block of a PEM text (RFC 7468). */
export interface PemBlock {
  /** What stands after BEGIN, such as `PUBLIC KEY`. */
  readonly label: string;
  /** The decoded bytes; absent where the block has no END line of its own or is not base64. */
  readonly der?: Buffer;
  /** True where the body is encrypted in the old way: a `Proc-Type: 4,ENCRYPTED` header (RFC 1421 section 4.6.1.1). */
  readonly encrypted: boolean;
}

const BEGIN = /^-----BEGIN ([^\n]*)-----$/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** All blocks in their order. What stands between them is ignored, and so are indentation and the kind of line breaks. */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let open: { label: string; lines: string[] } | undefined;
  for (const line of text.split(/\r\n|\r|\n/)) {
    const trimmed = line.trim();
    const begun = BEGIN.exec(trimmed)?.[1];
    if (begun !== undefined) {
      if (open !== undefined) blocks.push(unfinished(open));
      open = { label: begun, lines: [] };
    } else if (open !== undefined && trimmed.startsWith('-----END ')) {
      blocks.push(trimmed === `-----END ${open.label}-----` ? finished(open) : unfinished(open));
      open = undefined;
    } else {
      open?.lines.push(trimmed);
    }
  }
  if (open !== undefined) blocks.push(unfinished(open));
  return blocks;
}

function finished({ label, lines }: { label: string; lines: readonly string[] }): PemBlock {
  const headers = lines.filter((line) => line.includes(':'));
  const encrypted = headers.some((line) => /^Proc-Type:.*ENCRYPTED/.test(line));
  const body = lines
    .filter((line) => !line.includes(':'))
    .join('')
    .replace(/\s/g, '');
  if (!BASE64.test(body) || body.length % 4 !== 0) return { label, encrypted };
  return { label, encrypted, der: Buffer.from(body, 'base64') };
}

function unfinished({ label }: { label: string }): PemBlock {
  return { label, encrypted: false };
}
