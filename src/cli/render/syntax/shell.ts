/** One word of a POSIX shell, whatever is in it: Shell Command Language, section 2.2.2. */
export function shellWord(value: string): string {
  return `'${value.replaceAll("'", `'\\''`)}'`;
}

/** Lines for a command's standard input, of which nothing is expanded: section 2.7.4. No line may be `EOF`. */
export function hereDocument(command: string, input: string): string {
  if (input.split('\n').includes('EOF')) throw new TypeError('the input has the delimiter in it');
  return `${command} <<'EOF'\n${input}\nEOF`;
}
