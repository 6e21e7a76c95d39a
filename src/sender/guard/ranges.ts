/**
 * Which addresses are not of the public internet (IANA special-purpose registries, RFC 6890 and later), and
 * which belong to a cloud's metadata service. Where an IPv6 address only wraps an IPv4 one, that one decides.
 */

import { type AddressRange, isWithin, parseRange } from "./address.ts";

const FORBIDDEN_V4 = ranges({
  "0.0.0.0/8": "this network",
  "10.0.0.0/8": "private",
  "100.64.0.0/10": "shared by a provider (CGNAT)",
  "127.0.0.0/8": "loopback",
  "169.254.0.0/16": "link-local",
  "172.16.0.0/12": "private",
  "192.0.0.0/24": "reserved for protocols",
  "192.0.2.0/24": "for documentation",
  "192.88.99.0/24": "a 6to4 relay",
  "192.168.0.0/16": "private",
  "198.18.0.0/15": "for benchmarks",
  "198.51.100.0/24": "for documentation",
  "203.0.113.0/24": "for documentation",
  "224.0.0.0/4": "multicast",
  "240.0.0.0/4": "reserved",
});
/** In order: the first that fits gives the reason. The last one stands for all that nobody has assigned. */
const FORBIDDEN_V6 = ranges({
  "::/128": "unspecified",
  "::1/128": "loopback",
  "::/96": "IPv4-compatible",
  "64:ff9b:1::/48": "local translation (NAT64)",
  "100::/64": "discarded",
  "2001::/23": "reserved for protocols (Teredo and others)",
  "2001:db8::/32": "for documentation",
  "3fff::/20": "for documentation",
  "5f00::/16": "for segment routing",
  "fc00::/7": "private",
  "fe80::/10": "link-local",
  "fec0::/10": "site-local",
  "ff00::/8": "multicast",
});
const GLOBAL_V6 = range("2000::/3");
/** AWS and most others, its containers, Alibaba, Azure, Oracle, Tencent, Scaleway, Google. */
const METADATA = ranges(
  Object.fromEntries(
    [
      "100.100.100.200",
      "168.63.129.16",
      "169.254.0.23",
      "169.254.42.42",
      "169.254.169.254",
      "169.254.170.2",
      "169.254.170.23",
      "192.0.0.192",
      "fd00:42::42",
      "fd00:ec2::23",
      "fd00:ec2::254",
      "fd20:ce::254",
    ].map((address) => [address, "a metadata service"]),
  ),
);
/** Prefixes of IPv6 whose packets end at the IPv4 address that stands at this byte. */
const WRAPPERS = [
  { within: range("64:ff9b::/96"), at: 12 },
  { within: range("2002::/16"), at: 2 },
];
const LOCAL_NAT64 = range("64:ff9b:1::/48");
/** RFC 4380: turned over. */
const TEREDO = range("2001::/32");
/** IPv4-compatible, mapped and translated. */
const LAST_BYTES = ["::/96", "::ffff:0:0/96", "::ffff:0:0:0/96"].map(range);
/** RFC 5214: the last 8 bytes are 0000:5efe or 0200:5efe, then the IPv4 address. */
const ISATAP = [0x5e, 0xfe];

/** Why nobody outside can be meant by this address, as in "is private"; `undefined` for a public one. */
export function forbiddenBecause(address: Uint8Array): string | undefined {
  if (isMetadata(address)) return "a metadata service";
  if (address.length === 4) return reasonIn(FORBIDDEN_V4, address);
  const wrapped = WRAPPERS.find(({ within }) => isWithin(address, within));
  if (wrapped !== undefined) return forbiddenBecause(address.subarray(wrapped.at, wrapped.at + 4));
  const reason = reasonIn(FORBIDDEN_V6, address);
  if (reason !== undefined) return reason;
  if (!isWithin(address, GLOBAL_V6)) return "not assigned to anybody";
  return isIsatap(address) ? forbiddenBecause(address.subarray(12)) : undefined;
}

/** What hands out the credentials of the machine; a wrapped one too. */
export function isMetadata(address: Uint8Array): boolean {
  if (reasonIn(METADATA, address) !== undefined) return true;
  return address.length === 16 && embeddedIn(address).some(isMetadata);
}

/** The IPv4 addresses that may be meant: also by prefixes that only a broad allowance lets through. */
function embeddedIn(address: Uint8Array): Uint8Array[] {
  const at = (...places: number[]) => Uint8Array.from(places, (place) => address[place] ?? 0);
  const last = address.subarray(12);
  if (isWithin(address, TEREDO)) return [last.map((byte) => byte ^ 0xff)];
  // RFC 6052: by the length of the prefix, and around byte 8
  if (isWithin(address, LOCAL_NAT64))
    return [last, at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)];
  if (LAST_BYTES.some((range) => isWithin(address, range)) || isIsatap(address)) return [last];
  const wrapped = WRAPPERS.find(({ within }) => isWithin(address, within));
  return wrapped === undefined ? [] : [address.subarray(wrapped.at, wrapped.at + 4)];
}

function isIsatap(address: Uint8Array): boolean {
  const isMarked = ISATAP.every((byte, i) => address[10 + i] === byte);
  return isMarked && address[9] === 0 && (address[8] === 0 || address[8] === 2);
}

function reasonIn(
  table: Array<{ range: AddressRange; reason: string }>,
  address: Uint8Array,
): string | undefined {
  return table.find((row) => isWithin(address, row.range))?.reason;
}

function ranges(table: Record<string, string>): Array<{ range: AddressRange; reason: string }> {
  return Object.entries(table).map(([text, reason]) => ({ range: range(text), reason }));
}

function range(text: string): AddressRange {
  const parsed = parseRange(text);
  if (parsed === undefined) throw new Error(`not a range: ${text}`);
  return parsed;
}
