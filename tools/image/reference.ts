import { image } from '../../src/codec.ts';

export interface ImageName {
  /** With the registry, as containerd knows it: `docker.io/library/podpass:0.1.0`. */
  readonly full: string;
  readonly tag: string;
}

export const accepted = 'a name in lower case with a tag other than latest, such as registry.example.com/podpass:1.2.3';

/**
 * The whole name that a short one stands for; a text that says what is wrong where it is none. Grammar and completion:
 * github.com/distribution/reference, reference.go and ParseNormalizedNamed.
 */
export function imageName(text: string): ImageName | string {
  const parsed = image.parse(text);
  if (!parsed.ok) return parsed.wrong;
  if (text.includes('@')) return 'has a digest, which comes out of the build';
  const [, name = '', tag = ''] = /^(.*):([^:/]+)$/.exec(text) ?? [];
  if (!/^\w[\w.-]{0,127}$/.test(tag)) return 'has no valid tag';
  const [first = '', ...rest] = name.split('/');
  const hasDomain = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  const domain = hasDomain && first !== 'index.docker.io' ? first : 'docker.io';
  const path = hasDomain ? rest : [first, ...rest];
  const part = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
  if (!path.every((each) => new RegExp(`^${part}$`).test(each))) return 'is no name of an image';
  if (
    !/^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\d+)?$/.test(
      domain,
    )
  )
    return 'has no valid registry';
  const whole = domain === 'docker.io' && path.length === 1 ? ['library', ...path] : path;
  return { full: `${domain}/${whole.join('/')}:${tag}`, tag };
}
