import { createHash } from 'node:crypto';
import type { BundledPackage } from './bundled.ts';
import { type Entry, piecesOf } from './entry.ts';
import type { Library } from './libraries.ts';
import type { NodeRelease } from './node-release.ts';
import { isoTime, type Package } from './oci.ts';
import { NODE_VERSION } from './platform.ts';
import { SBOM } from './root-files.ts';

/** What the image is made of. */
export interface Parts {
  readonly about: Package;
  readonly node: NodeRelease;
  readonly libraries: readonly Library[];
  readonly packages: readonly BundledPackage[];
  /** All files but the SBOM itself. */
  readonly files: readonly Entry[];
}

/** The libraries' own licences: the files LICENSES of glibc and COPYING.RUNTIME of GCC. */
const GLIBC = 'LGPL-2.1-or-later';
const GCC = 'GPL-3.0-or-later WITH GCC-exception-3.1';
const LICENSES: readonly (readonly [RegExp, string])[] = [
  [/^(ld-linux|lib(c|m|dl|pthread|rt|resolv|nss_files|nss_dns)\.so)/, GLIBC],
  [/^lib(stdc\+\+|gcc_s|atomic)\.so/, GCC],
];
const licenseOf = (library: string) => LICENSES.find(([pattern]) => pattern.test(library))?.[1] ?? NONE;

const NONE = 'NOASSERTION';
const hex = (algorithm: string, pieces: readonly Uint8Array[]) => {
  const hash = createHash(algorithm);
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
};

/** Letters, digits, dots and dashes are all that an SPDX identifier may have (SPDX 2.3, 3.2). */
const idOf = (kind: string, name: string) => `SPDXRef-${kind}-${name.replace(/[^A-Za-z0-9.-]+/g, '-')}`;

interface PackageRow {
  readonly SPDXID: string;
  readonly name: string;
  readonly versionInfo?: string;
  readonly license?: string | undefined;
  readonly purpose: 'APPLICATION' | 'LIBRARY' | 'CONTAINER';
  readonly purl?: string;
  readonly sha512?: string | undefined;
  readonly comment?: string;
}

const spdxPackage = ({ license = NONE, purpose, purl, sha512, ...row }: PackageRow) => ({
  ...row,
  downloadLocation: NONE,
  filesAnalyzed: false,
  licenseConcluded: NONE,
  licenseDeclared: license,
  copyrightText: NONE,
  primaryPackagePurpose: purpose,
  ...(sha512 !== undefined && { checksums: [{ algorithm: 'SHA512', checksumValue: sha512 }] }),
  ...(purl !== undefined && {
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }],
  }),
});

/**
 * What is in the image, as SPDX 2.3 in JSON (spdx.github.io/spdx-spec/v2.3). It follows from the parts alone, so that
 * the same image has the same SBOM; `seconds` since 1970 is its time.
 */
export function sbom({ about, node, libraries, packages, files }: Parts, seconds: number): string {
  const image = idOf('Image', about.name);
  const app = idOf('Package', about.name);
  const nodeId = idOf('Package', 'node');
  const relationships: {
    spdxElementId: string;
    relationshipType: string;
    relatedSpdxElement: string;
    comment?: string;
  }[] = [];
  const contains = (outer: string, inner: string) =>
    relationships.push({ spdxElementId: outer, relationshipType: 'CONTAINS', relatedSpdxElement: inner });
  relationships.push({ spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: image });

  const spdxFiles = files.map((entry) => {
    const sha1 = hex('sha1', piecesOf(entry));
    return {
      SPDXID: idOf('File', entry.path),
      fileName: `./${entry.path}`,
      checksums: [
        { algorithm: 'SHA1', checksumValue: sha1 },
        { algorithm: 'SHA256', checksumValue: hex('sha256', piecesOf(entry)) },
      ],
      licenseConcluded: NONE,
      copyrightText: NONE,
    };
  });
  for (const { SPDXID } of spdxFiles) contains(image, SPDXID);

  const rows: PackageRow[] = [];
  const add = (outer: string, row: PackageRow) => {
    if (rows.some(({ SPDXID }) => SPDXID === row.SPDXID)) return;
    rows.push(row);
    contains(outer, row.SPDXID);
  };
  add(image, {
    SPDXID: app,
    name: about.name,
    versionInfo: about.version,
    license: about.license,
    purpose: 'APPLICATION',
    purl: `pkg:npm/${about.name}@${about.version}`,
  });
  for (const { name, version, license, sha512 } of packages) {
    add(app, {
      SPDXID: idOf('Npm', `${name}-${version}`),
      name,
      versionInfo: version,
      license,
      purpose: 'LIBRARY',
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      sha512,
    });
  }
  add(image, {
    SPDXID: nodeId,
    name: 'node',
    versionInfo: NODE_VERSION,
    license: 'MIT',
    purpose: 'APPLICATION',
    purl: `pkg:npm/${node.npmPackage}@${NODE_VERSION}`,
    sha512: node.sha512,
    comment:
      'The checksum is that of the npm package. Its parts have licences of their own: /usr/share/doc/node/LICENSE.',
  });
  for (const [name, version] of Object.entries(node.versions)) {
    // Versions of interfaces, and what this build of Node is without.
    if (['node', 'modules', 'napi'].includes(name) || version === '') continue;
    add(nodeId, { SPDXID: idOf('NodePart', name), name, versionInfo: version, purpose: 'LIBRARY' });
  }
  for (const { name, path, origin } of libraries) {
    const from = idOf('System', origin === undefined ? name : `${origin.name}-${origin.version}`);
    const license = licenseOf(name);
    add(
      image,
      origin === undefined
        ? { SPDXID: from, name, license, purpose: 'LIBRARY', comment: 'dpkg does not know where this file is from.' }
        : {
            SPDXID: from,
            name: origin.name,
            versionInfo: origin.version,
            license,
            purpose: 'LIBRARY',
            purl: `pkg:deb/${origin.vendor}/${origin.name}@${encodeURIComponent(origin.version)}?arch=${origin.architecture}`,
          },
    );
    relationships.push({
      spdxElementId: idOf('File', path),
      relationshipType: 'OTHER',
      relatedSpdxElement: from,
      comment: 'The file was copied from this package.',
    });
  }

  const content = {
    packages: [
      {
        ...spdxPackage({
          SPDXID: image,
          name: `${about.name}-image`,
          versionInfo: about.version,
          purpose: 'CONTAINER',
        }),
        filesAnalyzed: true,
        // SPDX 2.3, 7.9: the SHA-1 of all files' SHA-1, sorted.
        packageVerificationCode: {
          packageVerificationCodeValue: hex('sha1', [
            Buffer.from(
              spdxFiles
                .map(({ checksums }) => checksums[0]?.checksumValue)
                .sort()
                .join(''),
            ),
          ]),
          packageVerificationCodeExcludedFiles: [`./${SBOM}`],
        },
        licenseInfoFromFiles: [NONE],
      },
      ...rows.map(spdxPackage),
    ],
    files: spdxFiles,
    relationships,
  };
  const digest = hex('sha256', [Buffer.from(JSON.stringify(content))]);
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `${about.name}-${about.version}`,
    // The form that SPDX 2.3, 6.5 proposes to those who have no web site for it.
    documentNamespace: `https://spdx.org/spdxdocs/${about.name}-${about.version}-${digest}`,
    creationInfo: { created: isoTime(seconds), creators: [`Tool: ${about.name}-image-${about.version}`] },
    ...content,
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
