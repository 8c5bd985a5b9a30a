import { meantPresetAnnotation, type PresetKey, type PresetName, presetAnnotation } from '../../src/catalog/presets.ts';
import { duration } from '../../src/codec.ts';
import { type Problem, quote } from '../../src/fault.ts';
import { type At, checkAudience, problemAt } from '../effective-annotations.ts';
import { type ContainerPlace, containerPlaces } from '../pod.ts';
import type { PresetRequest } from './preset.ts';

/** Annotations of a preset, and what is said of them while they are read. Values are as written: SDKs see them so. */
export class PresetAnnotations<P extends PresetName> {
  readonly problems: Problem[] = [];
  readonly warnings: string[] = [];
  readonly #request: PresetRequest;
  readonly #preset: P;
  readonly #prefix: string;

  constructor(preset: P, prefix: string, request: PresetRequest) {
    this.#preset = preset;
    this.#prefix = prefix;
    this.#request = request;
    this.#warnOfKeys();
  }

  ofPod(key: PresetKey<P, 'annotation'>): At | undefined {
    return this.#at(this.#request.object, this.#request.pod.metadata?.annotations ?? {}, key);
  }

  ofAccount(key: PresetKey<P, 'annotation'>): At | undefined {
    return this.#at(this.#request.account.object, this.#request.account.annotations, key);
  }

  keyOf(key: PresetKey<P, 'annotation'>): string {
    return `${this.#prefix}/${key}`;
  }

  refuse(at: At, wrong: string, accepted: string): void {
    this.problems.push(problemAt(at, wrong, accepted));
  }

  /** The object comes last: the API server cuts long warnings. */
  warn({ object, key, value }: At, what: string): void {
    this.warnings.push(`${key}: ${quote(value)} ${what} (${object})`);
  }

  /** The audience of the token; `setting` is the flag's name and value, for where no annotation says one. */
  audience(at: At | undefined, setting: readonly [flag: string, value: string]): string {
    const found = at ?? { object: 'podpass', key: setting[0], value: setting[1] };
    checkAudience(found, this.#request.reserved, this.problems);
    return found.value.trim();
  }

  /** The first lifetime that is one, of the Pod, of the ServiceAccount, or by default; in seconds. */
  lifetime(key: PresetKey<P, 'annotation'>, rule: LifetimeRule, byDefault: number): number {
    for (const at of [this.ofPod(key), this.ofAccount(key)]) {
      if (at === undefined || (at.value === '' && rule.empty === 'absent')) continue;
      const seconds = this.#seconds(at, rule);
      if (seconds !== undefined) return seconds;
    }
    return byDefault;
  }

  /** The containers that are not in a list of names; undefined names are a warning. */
  containersWithout(at: At | undefined, names: readonly string[]): ContainerPlace[] {
    const places = containerPlaces(this.#request.pod.spec);
    const present = new Set(places.map(({ container }) => container.name));
    const skipped = new Set(names.filter((name) => name !== ''));
    const absent = [...skipped].filter((name) => !present.has(name)).slice(0, SHOWN_NAMES);
    if (at !== undefined && absent.length > 0)
      this.warnings.push(`${at.object}: ${at.key}: ${absent.map(quote).join(', ')}: no such container in this Pod`);
    return places.filter(({ container }) => !skipped.has(container.name));
  }

  #seconds(at: At, { min, max, below, unreadable }: LifetimeRule): number | undefined {
    const { accepted } = duration(min, max);
    // A negative number is one, and too short; everywhere else podpass has no signs.
    const parsed = /^-\d+$/.test(at.value) ? ({ ok: true, value: 0 } as const) : ANY_DURATION.parse(at.value);
    if (!parsed.ok && unreadable === 'ignore') {
      this.warn(at, `${parsed.wrong} and is ignored`);
      return undefined;
    }
    if (!parsed.ok || parsed.value > max || (parsed.value < min && below === 'refuse')) {
      const wrong = parsed.ok ? `is too ${parsed.value > max ? 'long' : 'short'}` : parsed.wrong;
      this.refuse(at, wrong, accepted);
      return min;
    }
    if (parsed.value < min) this.warn(at, `is too short; it is taken as ${min} s`);
    return Math.max(parsed.value, min);
  }

  #at(object: string, annotations: Readonly<Record<string, string>>, name: PresetKey<P, 'annotation'>): At | undefined {
    const key = this.keyOf(name);
    const value = Object.hasOwn(annotations, key) ? annotations[key] : undefined;
    return value === undefined ? undefined : { object, key, value };
  }

  /** Keys that do nothing where they are, and keys that are most likely misspelt. */
  #warnOfKeys(): void {
    const { pod, object, account } = this.#request;
    const found = [
      { on: 'Pod', object, annotations: pod.metadata?.annotations ?? {} },
      { on: 'ServiceAccount', object: account.object, annotations: account.annotations },
    ] as const;
    const start = `${this.#prefix}/`;
    let warnings = 0;
    for (const { on, object: where, annotations } of found) {
      for (const [whole, value] of Object.entries(annotations)) {
        if (!whole.startsWith(start)) continue;
        const what = this.#idle(on, whole.slice(start.length), value);
        if (what === undefined) continue;
        warnings += 1;
        if (warnings <= MAX_KEY_WARNINGS) this.warnings.push(`${quote(whole)} ${what} (${where})`);
      }
    }
  }

  #idle(on: 'Pod' | 'ServiceAccount', key: string, value: string): string | undefined {
    const row = presetAnnotation(this.#preset, key);
    if (row === undefined) {
      const meant = meantPresetAnnotation(this.#preset, key);
      return meant === undefined
        ? undefined
        : `is not known and does nothing; did you mean ${quote(`${this.#prefix}/${meant}`)}?`;
    }
    if (row.on.split(', ').includes(on)) return undefined;
    // Webhooks write what they went by on the Pod.
    if (on === 'Pod' && this.#request.account.annotations[`${this.#prefix}/${key}`] === value) return undefined;
    return `does nothing on a ${on}; it belongs on a ${row.on.split(', ')[0]}`;
  }
}

/** How a cloud's own webhook takes lifetimes, in seconds. */
export interface LifetimeRule {
  readonly min: number;
  readonly max: number;
  readonly below: 'raise' | 'refuse';
  readonly unreadable: 'ignore' | 'refuse';
  /** Whether an empty value is as good as none, or is read like another. */
  readonly empty: 'absent' | 'read';
}

/** The API server's limits: kubernetes/pkg/apis/core/validation, validateProjectedVolumeSource. */
export const LONGEST_LIFETIME = 2 ** 32;

/** Refuses nothing but what is no duration at all. */
const ANY_DURATION = duration(0, Number.POSITIVE_INFINITY);
const SHOWN_NAMES = 10;
/** The API server passes on 4 KiB of warnings: apiserver/pkg/endpoints/filters/warning.go. */
const MAX_KEY_WARNINGS = 20;
