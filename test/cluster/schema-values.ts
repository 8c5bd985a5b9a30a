/** Values of the types that an API server's own OpenAPI document describes. */
import fc from 'fast-check';

export interface Schema {
  readonly type?: string;
  readonly $ref?: string;
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
}

export type Schemas = Readonly<Record<string, Schema>>;

/** What many fields take: names, paths, keys, addresses, images. */
const TEXTS = ['a', 'web', 'data', '/data', 'x.example.com/y', '10.0.0.1', 'spec.nodeName', 'busybox:1', '', '5m'];
const NUMBERS = [0, 1, 2, 60, 1000, 3600, 8080];

/** Types whose schema does not say what they take. */
const SPECIAL: Readonly<Record<string, readonly unknown[]>> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': ['1', '100m', '64Mi', 0],
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': [8080, 'http', '10%'],
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': ['2024-01-01T00:00:00Z'],
};

const DEEPEST = 6;

export function nameOf(schema: Schema): string | undefined {
  const ref = schema.$ref ?? schema.allOf?.[0]?.$ref;
  return ref?.replace('#/components/schemas/', '');
}

export function resolve(schema: Schema, schemas: Schemas): Schema {
  const name = nameOf(schema);
  const found = name === undefined ? schema : schemas[name];
  if (found === undefined) throw new Error(`the document has no schema ${name}`);
  return found;
}

/** Any value that conforms to a schema, which does not make it a valid one. */
export function anyOf(schema: Schema, schemas: Schemas, depth = 0): fc.Arbitrary<unknown> {
  const special = SPECIAL[nameOf(schema) ?? ''];
  if (special !== undefined) return fc.constantFrom(...special);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const resolved = resolve(schema, schemas);
  if (resolved.enum !== undefined) return fc.constantFrom(...resolved.enum);
  switch (resolved.type) {
    case 'boolean':
      return fc.boolean();
    case 'integer':
    case 'number':
      return fc.constantFrom(...NUMBERS);
    case 'array':
      if (resolved.items === undefined || depth > DEEPEST) return fc.constant([]);
      return fc.array(anyOf(resolved.items, schemas, depth + 1), { maxLength: 2 });
    case 'object':
      return objectOf(resolved, schemas, depth);
    default:
      return fc.constantFrom(...TEXTS);
  }
}

function objectOf(
  { properties = {}, required = [], additionalProperties }: Schema,
  schemas: Schemas,
  depth: number,
): fc.Arbitrary<unknown> {
  if (typeof additionalProperties === 'object') {
    const key = fc.constantFrom('a', 'example.com/b', 'memory');
    return fc.dictionary(key, anyOf(additionalProperties, schemas, depth + 1), { maxKeys: 2, noNullPrototype: true });
  }
  const optional = Object.keys(properties).filter((key) => !required.includes(key));
  return fc.subarray(optional, { maxLength: depth > DEEPEST ? 0 : Math.min(3, optional.length) }).chain((some) => {
    const members = [...required, ...some].flatMap((key) => {
      const member = properties[key];
      return member === undefined ? [] : [[key, anyOf(member, schemas, depth + 1)] as const];
    });
    return fc.record(Object.fromEntries(members), { noNullPrototype: true });
  });
}
