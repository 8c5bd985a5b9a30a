import { expect } from 'vitest';

interface Element {
  readonly SPDXID: string;
  readonly checksums?: readonly { readonly algorithm: string; readonly checksumValue: string }[];
}
export interface SpdxDocument {
  readonly SPDXID: string;
  readonly packages: readonly (Element & { name: string; versionInfo?: string; licenseDeclared: string })[];
  readonly files: readonly (Element & { fileName: string })[];
  readonly relationships: readonly {
    readonly spdxElementId: string;
    readonly relationshipType: string;
    readonly relatedSpdxElement: string;
  }[];
}

type Check = (value: unknown) => void;
const matches =
  (pattern: RegExp): Check =>
  (value) =>
    expect(value).toMatch(pattern);
const text = matches(/\S/);
const noAssertion: Check = (value) => expect(value).toBe('NOASSERTION');
const list =
  (check: Check): Check =>
  (value) => {
    expect(Array.isArray(value)).toBe(true);
    for (const each of value as unknown[]) check(each);
  };

/** All these keys, those with a question mark perhaps, and no other. */
const object =
  (keys: Readonly<Record<string, Check>>): Check =>
  (value) => {
    const rest = { ...(value as Record<string, unknown>) };
    for (const [key, check] of Object.entries(keys)) {
      const name = key.replace('?', '');
      if (name === key || name in rest) {
        expect(rest, `the key ${name}`).toHaveProperty([name]);
        check(rest[name]);
      }
      delete rest[name];
    }
    expect(rest).toEqual({});
  };

const LENGTHS: Readonly<Record<string, number>> = { SHA1: 40, SHA256: 64, SHA512: 128 };
const checksum: Check = (value) => {
  object({ algorithm: matches(/^SHA(1|256|512)$/), checksumValue: matches(/^[0-9a-f]+$/) })(value);
  const { algorithm, checksumValue } = value as { algorithm: string; checksumValue: string };
  expect(checksumValue.length).toBe(LENGTHS[algorithm]);
};
const id = matches(/^SPDXRef-[A-Za-z0-9.-]+$/);
// SPDX 2.3, annex D; the operators are all that the packages use.
const license = matches(/^(NOASSERTION|\(?[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*\)?)$/);

const common = {
  SPDXID: id,
  name: text,
  'versionInfo?': text,
  'comment?': text,
  downloadLocation: noAssertion,
  licenseConcluded: license,
  licenseDeclared: license,
  copyrightText: noAssertion,
  primaryPackagePurpose: matches(/^(APPLICATION|CONTAINER|LIBRARY)$/),
  'checksums?': list(checksum),
  'externalRefs?': list(
    object({
      referenceCategory: matches(/^PACKAGE-MANAGER$/),
      referenceType: matches(/^purl$/),
      referenceLocator: matches(/^pkg:(npm|deb)\/[^\s@]+@[^\s@]+$/),
    }),
  ),
};

// The part of the SPDX 2.3 schema (spdx/spdx-spec, schemas/spdx-schema.json) that is used here, with the rules of the
// text that the schema leaves out: identifiers, checksums, references.
const document = object({
  spdxVersion: matches(/^SPDX-2\.3$/),
  dataLicense: matches(/^CC0-1\.0$/),
  SPDXID: matches(/^SPDXRef-DOCUMENT$/),
  name: text,
  documentNamespace: matches(/^https:\/\/[^\s#]+$/),
  creationInfo: object({
    created: matches(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    creators: list(matches(/^(Tool|Person|Organization): \S/)),
  }),
  packages: list((value) => {
    const { filesAnalyzed } = value as { filesAnalyzed: unknown };
    if (filesAnalyzed === false) return object({ ...common, filesAnalyzed: () => {} })(value);
    return object({
      ...common,
      filesAnalyzed: (analyzed) => expect(analyzed).toBe(true),
      licenseInfoFromFiles: list(noAssertion),
      packageVerificationCode: object({
        packageVerificationCodeValue: matches(/^[0-9a-f]{40}$/),
        packageVerificationCodeExcludedFiles: list(matches(/^\.\//)),
      }),
    })(value);
  }),
  files: list(
    object({
      SPDXID: id,
      fileName: matches(/^\.\/\S/),
      checksums: (value) => {
        list(checksum)(value);
        // SPDX 2.3, 8.4: a file has its SHA-1.
        expect(value).toContainEqual(expect.objectContaining({ algorithm: 'SHA1' }));
      },
      licenseConcluded: noAssertion,
      copyrightText: noAssertion,
    }),
  ),
  relationships: list(
    object({
      spdxElementId: id,
      relationshipType: matches(/^(DESCRIBES|CONTAINS|OTHER)$/),
      relatedSpdxElement: id,
      'comment?': text,
    }),
  ),
});

/** Fails where this is no SPDX 2.3 document, or one with a reference to nothing, or an element that nothing refers to. */
export function checkSpdx(value: SpdxDocument): void {
  document(value);
  const ids = [value, ...value.packages, ...value.files].map(({ SPDXID }) => SPDXID);
  expect(new Set(ids).size).toBe(ids.length);
  const known = new Set(ids);
  for (const { spdxElementId, relatedSpdxElement } of value.relationships)
    expect([known.has(spdxElementId), known.has(relatedSpdxElement)]).toEqual([true, true]);
  const held = new Set(value.relationships.map(({ relatedSpdxElement }) => relatedSpdxElement));
  expect(ids.filter((each) => each !== value.SPDXID && !held.has(each))).toEqual([]);
}
