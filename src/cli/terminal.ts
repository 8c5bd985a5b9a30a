/** What a command needs of the process it runs in; passed in, so that commands can be run by tests. */
export interface Terminal {
  /** Of this podpass. */
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Results: standard output. */
  out(text: string): void;
  /** Everything else: standard error. */
  err(text: string): void;
  /** All of standard input. */
  readInput(): Promise<Buffer>;
  /** Whether a person looks at standard output, so that colours help. */
  readonly colours: boolean;
}
