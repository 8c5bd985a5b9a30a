/**
 * One thing that is wrong with what a user wrote. All problems of an input are answered together, each with what was
 * found and what is accepted, so that one look is enough to mend them all.
 */
export interface Problem {
  /** Where it was written: `Pod shop/web`, `ServiceAccount shop/web`, `flag`, `environment`, a file's name. */
  readonly object: string;
  /** The key in that object: an annotation's whole key, a flag, a file's path. */
  readonly key: string;
  /** The value found, as written; shortened only when printed. Absent where nothing was written. */
  readonly value?: string;
  /** What is wrong with it, in a few words. */
  readonly wrong: string;
  /** What would be accepted in its place. */
  readonly accepted: string;
}

/** Every code a client of ours can see in `{"error": {"code", "message"}}`. */
export type FaultCode =
  | 'bad_request'
  | 'not_found'
  | 'method_not_allowed'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'overloaded'
  | 'unavailable'
  | 'internal';

const STATUS: Record<FaultCode, number> = {
  bad_request: 400,
  not_found: 404,
  method_not_allowed: 405,
  payload_too_large: 413,
  unsupported_media_type: 415,
  overloaded: 429,
  unavailable: 503,
  internal: 500,
};

/**
 * A request that cannot be answered. The message is for the client and never holds a body, a token or key material;
 * what went wrong inside is the `cause`, which only the log sees.
 */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: FaultCode, message: string, options: { cause?: unknown; headers?: Record<string, string> } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.name = 'Fault';
    this.code = code;
    this.status = STATUS[code];
    this.headers = options.headers ?? {};
  }
}

/** A fault as clients see it: `{"error": {"code", "message"}}`. */
export function faultBody({ code, message }: Pick<Fault, 'code' | 'message'>): Buffer {
  return Buffer.from(JSON.stringify({ error: { code, message } }));
}

/** An operation of the command line that failed for a reason the user can act on: exit code 1, the message alone. */
export class Failure extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.name = 'Failure';
  }
}

const SHOWN = 100;

// JSON leaves DEL, C1, line separators and the bidirectional controls alone; a terminal does not.
const UNPRINTABLE = /[\u007f-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** A value as people and logs may see it: quoted, control characters escaped, at most about 100 characters. */
export function quote(value: string): string {
  const whole = value.length <= SHOWN ? value : `${value.slice(0, SHOWN)}…`;
  return JSON.stringify(whole).replace(UNPRINTABLE, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The longest names that Kubernetes has, a prefix and the kind before them. */
const LONGEST_NAME = 600;

/** Printable ASCII, as nearly all names are. */
const PLAIN = /^[ -~]*$/;

/** A name that somebody else chose, for a message: as it is where it is one, else like a value. */
export function printable(name: string): string {
  if (name.length > LONGEST_NAME) return quote(name);
  return PLAIN.test(name) || (!/\p{Cc}/u.test(name) && name.search(UNPRINTABLE) < 0) ? name : quote(name);
}

const LONGEST_SENTENCE = 2000;

/** What we say of a value, in which names that somebody else chose may stand as they are. */
export function sentence(words: string): string {
  const whole = words.length <= LONGEST_SENTENCE ? words : `${words.slice(0, LONGEST_SENTENCE)}…`;
  return whole.replace(/\p{Cc}/gu, escaped).replace(UNPRINTABLE, escaped);
}

/** `Pod shop/web: podpass.dev/expiration: "5m" is too short; accepted: …` */
export function describe(problem: Problem): string {
  const { object, key, value, wrong, accepted } = problem;
  const found = value === undefined ? '' : `${quote(value)} `;
  return `${printable(object)}: ${printable(key)}: ${found}${sentence(wrong)}; accepted: ${sentence(accepted)}`;
}

const DESCRIBED = 100;

/** All problems as one text: a single one inline, several as a list with a line each; of very many, the first 100. */
export function describeAll(problems: readonly Problem[]): string {
  const [first] = problems;
  if (first !== undefined && problems.length === 1) return describe(first);
  const lines = problems.slice(0, DESCRIBED).map((problem) => `- ${describe(problem)}`);
  if (problems.length > DESCRIBED) lines.push(`- and ${problems.length - DESCRIBED} more`);
  return `${problems.length} problems:\n${lines.join('\n')}`;
}

/** The message of anything thrown, without its stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Why a file cannot be read, after its name: "does not exist", "may not be read". */
export function whyUnreadable(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES') return 'may not be read';
  return `cannot be read (${code ?? 'unknown reason'})`;
}
