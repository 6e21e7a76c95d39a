/**
 * IP addresses and ranges as bytes, so that one address has one form however it is written. An IPv4 address
 * inside `::ffff:0:0/96` is that IPv4 address: the kernel connects to it as such.
 */

import { isIP } from "node:net";

export interface AddressRange {
  bytes: Uint8Array;
  bits: number;
}

const IPV4_MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** 4 bytes or 16; `undefined` for what is no address, and for one with a zone (`fe80::1%eth0`). */
export function parseAddress(text: string): Uint8Array | undefined {
  const family = isIP(text);
  if (family === 4) return Uint8Array.from(text.split("."), Number);
  if (family !== 6 || text.includes("%")) return undefined;
  const bytes = parseIpv6(text);
  const isMapped = IPV4_MAPPED.every((byte, i) => bytes[i] === byte);
  return isMapped ? bytes.subarray(12) : bytes;
}

/** `10.0.0.0/8`, `fd00::/8`, or one address; `undefined` for what is neither. */
export function parseRange(text: string): AddressRange | undefined {
  const [address = "", length, ...rest] = text.split("/");
  const bytes = parseAddress(address);
  if (bytes === undefined || rest.length > 0) return undefined;
  if (length === undefined) return { bytes, bits: bytes.length * 8 };
  if (!/^\d{1,3}$/.test(length)) return undefined;
  // A range inside ::ffff:0:0/96 has lost 96 bits with its prefix.
  const bits = Number(length) - (bytes.length === 4 && address.includes(":") ? 96 : 0);
  return bits >= 0 && bits <= bytes.length * 8 ? { bytes, bits } : undefined;
}

export function isWithin(address: Uint8Array, range: AddressRange): boolean {
  if (address.length !== range.bytes.length) return false;
  for (let bit = 0; bit < range.bits; bit += 8) {
    const mask = 0xff & (0xff00 >> Math.min(8, range.bits - bit));
    const index = bit / 8;
    if (((address[index] ?? 0) & mask) !== ((range.bytes[index] ?? 0) & mask)) return false;
  }
  return true;
}

function parseIpv6(text: string): Uint8Array {
  const [before = "", after] = text.split("::");
  const head = groups(before);
  const tail = groups(after ?? "");
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
