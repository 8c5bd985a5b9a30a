import { annotationRows, type NamedKey } from '../src/catalog/annotations.ts';
import { environmentVariable, fileNameOf, listItems, mountPath, tokenFileName, tokenLifetime } from '../src/codec.ts';
import { type Problem, quote } from '../src/fault.ts';
import {
  type Annotated,
  checkAudience,
  type Effective,
  effectiveAnnotations,
  parseWritten as parse,
  problemAt as problem,
  type Written,
  writtenAnnotations,
} from './effective-annotations.ts';

/** A token that a Pod is to get: one ServiceAccountTokenProjection, and who sees it. */
export interface Token {
  /** The token's file name; unique in the Pod. */
  readonly name: string;
  readonly audience: string;
  /** Lifetime in seconds, 600 to 2^32. */
  readonly expirationSeconds: number;
  /** The environment variable that gets the path of the token's file. */
  readonly variable?: string;
  /** Names of the containers that see the token; may be empty. */
  readonly containers: ReadonlySet<string>;
}

export interface AnnotationSettings {
  /** The part of the keys before the slash. */
  readonly annotationPrefix: string;
  readonly mountPath: string;
  /** Lifetime in seconds of tokens without one of their own. */
  readonly tokenExpiration: number;
  /** Audiences that the API server accepts itself: such a token could be replayed against it. */
  readonly reservedAudiences: ReadonlySet<string>;
}

/** What the annotations of a Pod and its ServiceAccount ask for. With problems, the rest is not to be used. */
export interface Reading {
  /** Sorted by name, so that nothing depends on the order in which annotations are written. */
  readonly tokens: readonly Token[];
  /** The folder of the token files, and the annotation that chooses it, whether it is written or not. */
  readonly mountPath: { readonly path: string; readonly object: string; readonly key: string };
  /** What counts, for those who read other keys. */
  readonly effective: Effective;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** True where the annotations say `inject: "false"`, which stops all further reading. */
export function isOptedOut(annotations: Readonly<Record<string, string>>, prefix: string): boolean {
  return annotations[`${prefix}/inject`]?.trim() === 'false';
}

/**
 * Reads the annotations of a Pod and its ServiceAccount, key by key: the Pod's wins, and an empty one on the Pod removes
 * the ServiceAccount's. `containers` are the names of the Pod's containers. Returns `undefined` where they are opted out.
 */
export function readAnnotations(
  pod: Annotated,
  serviceAccount: Annotated | undefined,
  containers: readonly string[],
  settings: AnnotationSettings,
): Reading | undefined {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const own = writtenAnnotations('Pod', pod, settings.annotationPrefix);
  const inherited = serviceAccount && writtenAnnotations('ServiceAccount', serviceAccount, settings.annotationPrefix);
  const effective = effectiveAnnotations(own.entries, inherited?.entries);
  const inject = effective.get('inject');
  if (inject?.value === 'false') return undefined;
  warnings.push(...own.warnings, ...(inherited?.warnings ?? []));
  if (inject !== undefined && inject.value !== 'true') {
    problems.push(problem(inject, 'is neither "true" nor "false"', '"true" or "false"'));
  }
  const defaultLifetime = parse(effective.get('expiration'), tokenLifetime, problems) ?? settings.tokenExpiration;
  const folder = effective.get('mount-path');
  const path = parse(folder, mountPath, problems) ?? settings.mountPath;
  const from = folder ?? { object: pod.object, key: `${settings.annotationPrefix}/mount-path` };
  const mountPathAt = { path, object: from.object, key: from.key };

  const declared = declaredTokens(effective);
  if (declared.size > MAX_TOKENS) {
    problems.push(tooManyTokens(pod, declared.size));
    return { tokens: [], mountPath: mountPathAt, effective, problems, warnings };
  }
  let inheritedTokens: ReadonlyMap<string, unknown> | undefined;
  const isInherited = (name: string) => {
    inheritedTokens ??= declaredTokens(effectiveAnnotations(inherited?.entries ?? new Map()));
    return inheritedTokens.has(name);
  };
  const options = tokenOptions(effective, declared, isInherited, problems);
  const shared = containerLists(effective, options, new Set(containers), problems, warnings);
  const variables = new Map<string, Written>();
  const tokens: Token[] = [];
  const unseen: string[] = [];
  for (const [name, origins] of [...declared].sort(([a], [b]) => (a < b ? -1 : 1))) {
    checkOrigins(name, origins, settings.reservedAudiences, problems);
    const lifetime = parse(options.get('expiration', name), tokenLifetime, problems) ?? defaultLifetime;
    const variable = checkedVariable(options.get('env', name), variables, problems);
    const seenBy = shared.of(name);
    if (seenBy.size === 0 && containers.length > 0) unseen.push(name);
    const token = { name, audience: origins[0]?.audience ?? '', expirationSeconds: lifetime, containers: seenBy };
    tokens.push(variable === undefined ? token : { ...token, variable });
  }
  // These would only repeat a problem.
  if (problems.length === 0) {
    for (const name of unseen) warnings.push(`${pod.object}: no container is left for the token ${quote(name)}`);
    if (declared.size === 0) warnings.push(...idleOptions(effective));
  }
  return { tokens, mountPath: mountPathAt, effective, problems, warnings };
}

// ---- messages --------------------------------------------------------------------------------------------------------

const SHOWN_NAMES = 10;

/** The first names of many, for a message. */
function some(names: { readonly size: number; keys(): Iterable<string> }): string {
  const shown: string[] = [];
  for (const name of names.keys()) {
    if (shown.length === SHOWN_NAMES) break;
    if (name !== '') shown.push(quote(name));
  }
  const more = names.size - shown.length;
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

// ---- tokens ----------------------------------------------------------------------------------------------------------

/**
 * Far more than a Pod has use for. Containers can each see another part of the tokens, so the volumes grow with the
 * square of their number, and the webhook works for all tenants.
 */
const MAX_TOKENS = 256;

function tooManyTokens(pod: Annotated, tokens: number): Problem {
  return {
    object: pod.object,
    key: 'audiences and audience.<name>',
    value: String(tokens),
    wrong: 'tokens are asked for together',
    accepted: `at most ${MAX_TOKENS}`,
  };
}

/** Where a token comes from: an annotation, and the audience in it. */
interface Origin {
  readonly from: Written;
  readonly audience: string;
  /** True for `audience.<name>`, where the user chose the name. */
  readonly chosenName: boolean;
}

/** The tokens by file name; more than one origin under a name is a problem that `checkOrigins` reports. */
function declaredTokens(effective: Effective): Map<string, Origin[]> {
  const tokens = new Map<string, Origin[]>();
  const declare = (name: string, origin: Origin) => {
    const origins = tokens.get(name);
    if (origins === undefined) tokens.set(name, [origin]);
    else origins.push(origin);
  };
  const audiences = effective.get('audiences');
  for (const item of listItems(audiences?.value ?? '')) {
    if (audiences !== undefined) declare(fileNameOf(item), { from: audiences, audience: item, chosenName: false });
  }
  for (const [name, from] of effective.ofTokens('audience'))
    declare(name, { from, audience: from.value, chosenName: true });
  return tokens;
}

/** Adds a problem for each thing that is wrong with where a token comes from. */
function checkOrigins(
  name: string,
  origins: readonly Origin[],
  reserved: ReadonlySet<string>,
  problems: Problem[],
): void {
  for (const [index, { from, audience: value, chosenName }] of origins.entries()) {
    const at = { ...from, value };
    const file = tokenFileName.parse(name);
    if (!file.ok && chosenName)
      problems.push(problem(at, `is for a token whose name ${file.wrong}`, tokenFileName.accepted));
    if (!file.ok && !chosenName) {
      const way = `an audience that gives a file name of 1 to 63 characters, or ${from.key.replace(/audiences$/, 'audience.<name>')} with a name of your own`;
      problems.push(problem(at, `gives the file name ${quote(name)}, which ${file.wrong}`, way));
    }
    checkAudience(at, reserved, problems);
    const [first] = origins;
    if (index > 0 && first !== undefined) {
      const wrong = `makes the token file ${quote(name)}, as ${quote(first.audience)} in ${first.from.key} of ${first.from.object} does`;
      problems.push(problem(at, wrong, 'one token for each file name'));
    }
  }
}

/** The options of single tokens: `get('expiration', 'api')` is the annotation `expiration.api` in effect. */
interface TokenOptions {
  get(key: NamedKey, name: string): Written | undefined;
  all(key: NamedKey): Iterable<readonly [string, Written]>;
}

const OPTION_KEYS: readonly NamedKey[] = annotationRows.flatMap((row) =>
  row.named && row.key !== 'audience' ? [row.key] : [],
);

function tokenOptions(
  effective: Effective,
  declared: ReadonlyMap<string, unknown>,
  isInherited: (name: string) => boolean,
  problems: Problem[],
): TokenOptions {
  const families = new Map<NamedKey, Map<string, Written>>();
  for (const family of OPTION_KEYS) {
    const written = effective.ofTokens(family);
    if (written.size === 0) continue;
    const options = new Map<string, Written>();
    families.set(family, options);
    for (const [name, entry] of written) {
      if (declared.has(name)) options.set(name, entry);
      else if (entry.on === 'Pod' || !isInherited(name)) {
        // An option of the ServiceAccount for a token of its own that the Pod has removed is ignored.
        const accepted =
          declared.size === 0 ? 'none, as no audience is asked for' : `the name of a token: ${some(declared)}`;
        problems.push(problem(entry, `is for a token ${quote(name)} that does not exist`, accepted));
      }
    }
  }
  return {
    get: (key, name) => families.get(key)?.get(name),
    all: (key) => families.get(key) ?? [],
  };
}

function checkedVariable(
  entry: Written | undefined,
  variables: Map<string, Written>,
  problems: Problem[],
): string | undefined {
  const variable = parse(entry, environmentVariable, problems);
  if (entry === undefined || variable === undefined) return undefined;
  const other = variables.get(variable);
  if (other === undefined) variables.set(variable, entry);
  else
    problems.push(
      problem(entry, `is the variable of ${other.key} of ${other.object} too`, 'one variable for each token'),
    );
  return variable;
}

// ---- containers ------------------------------------------------------------------------------------------------------

/** Who sees which token. Names that the Pod wrote are checked; a ServiceAccount serves many Pods, so its names may be absent. */
function containerLists(
  effective: Effective,
  options: TokenOptions,
  present: ReadonlySet<string>,
  problems: Problem[],
  warnings: string[],
): { of(token: string): ReadonlySet<string> } {
  const include = (entry: Written): string[] => {
    const names = listItems(entry.value);
    for (const name of names) {
      if (entry.on === 'Pod' && !present.has(name)) {
        const accepted = `containers of this Pod: ${some(present)}`;
        problems.push(problem({ ...entry, value: name }, 'is not a container of this Pod', accepted));
      }
    }
    return names.filter((name) => present.has(name));
  };
  const common = effective.get('containers');
  const all = common === undefined ? [...present] : include(common);
  const own = [...options.all('containers')].map(([token, entry]) => [token, include(entry)] as const);
  const skip = effective.get('skip-containers');
  const skipped = new Set(listItems(skip?.value ?? ''));
  const absent = new Set(skip?.on === 'Pod' ? [...skipped].filter((name) => !present.has(name)) : []);
  if (skip !== undefined && absent.size > 0) {
    warnings.push(`${skip.object}: ${skip.key}: ${some(absent)}: no such container in this Pod`);
  }
  const without = (names: readonly string[]) => new Set(names.filter((name) => !skipped.has(name)));
  // Tokens without containers of their own share one set.
  const byDefault = without(all);
  const sets = new Map(own.map(([token, names]) => [token, without(names)]));
  return { of: (token) => sets.get(token) ?? byDefault };
}

/** Options of the Pod that do nothing, because no audience is asked for: most likely a forgotten or misspelt key. */
function idleOptions(effective: Effective): string[] {
  const keys = ['expiration', 'containers', 'skip-containers', 'mount-path'] as const;
  return keys.flatMap((key) => {
    const entry = effective.get(key);
    return entry?.on === 'Pod' ? [`${entry.object}: ${entry.key} does nothing, as no audience is asked for`] : [];
  });
}
