import { BlockList, isIP } from 'node:net';

/** From where an address can be reached. */
export type Reach = 'loopback' | 'link-local' | 'private' | 'public';

const RANGES: Readonly<Record<Exclude<Reach, 'public'>, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  // RFC 1918, RFC 6598 (shared address space), RFC 4193.
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '0.0.0.0/8', 'fc00::/7'],
};

const lists = Object.entries(RANGES).map(([reach, ranges]) => {
  const list = new BlockList();
  for (const range of ranges) {
    const [net = '', bits] = range.split('/');
    list.addSubnet(net, Number(bits), isIP(net) === 6 ? 'ipv6' : 'ipv4');
  }
  return { reach: reach as Reach, list };
});

/** By the registries of special addresses (RFC 6890). An IPv4 address in the form of IPv6 counts as IPv4. */
export function reachOf(address: string): Reach {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  return lists.find(({ list }) => list.check(address, family))?.reach ?? 'public';
}

/** The reach of a host: the widest of its addresses, as clients try them all. */
export function reachOfAll(addresses: readonly string[]): Reach {
  const reaches = addresses.map(reachOf);
  return (['public', 'private', 'link-local'] as const).find((reach) => reaches.includes(reach)) ?? 'loopback';
}
