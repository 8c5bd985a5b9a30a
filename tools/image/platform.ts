/** Where an image runs. */
export type Architecture = 'amd64' | 'arm64';

interface PlatformRow {
  /** As Node names it, and the npm packages with its binaries. */
  readonly node: 'x64' | 'arm64';
  /** The sha512 of the npm package `node-linux-…` of `NODE_VERSION`. */
  readonly integrity: string;
  /** The name of the folder that Debian and its like keep libraries of this platform in. */
  readonly triplet: string;
}

/** The Node of the image: the newest LTS, as in .ci/run. */
export const NODE_VERSION = '26.10.0';

export const platformRows: Readonly<Record<Architecture, PlatformRow>> = {
  amd64: {
    node: 'x64',
    integrity: 'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
    triplet: 'x86_64-linux-gnu',
  },
  arm64: {
    node: 'arm64',
    integrity: 'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
    triplet: 'aarch64-linux-gnu',
  },
};

export const architectures = Object.keys(platformRows) as Architecture[];

/** This machine's, where images can be made on it. */
export function ownArchitecture(platform = process.platform, arch: string = process.arch): Architecture | undefined {
  return platform === 'linux' ? architectures.find((each) => platformRows[each].node === arch) : undefined;
}
