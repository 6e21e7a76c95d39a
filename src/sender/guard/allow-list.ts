/**
 * The list of private hosts that an app permits: names, addresses and ranges, each for all ports or for one.
 * A metadata service is never permitted by a wildcard, a name or a range: only by its exact address.
 */

import { type Field, field } from "../../options/field.ts";
import { type AddressRange, isWithin, parseRange } from "./address.ts";
import { isMetadata } from "./ranges.ts";

const ENTRY = /^(?:\[(?<bracketed>[^\]]+)\]|(?<plain>[^:[\]]+))(?::(?<port>\d{1,5}))?$/;
const NAME = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;
const WILDCARD = "*.";

/** An entry of the list. */
export const PERMITTED: Field<string> = field({
  kind: "host",
  help: "a private host that may be reached",
  shape: "host",
  expected:
    'a host name ("localhost", "*.internal"), an address or a range ("10.0.0.0/8", "[fd00::/8]"), each optionally with ":port"',
  read: (given) =>
    typeof given === "string" && parseEntry(given) !== undefined ? given : undefined,
});

interface Entry {
  port: number | undefined;
  range?: AddressRange;
  name?: string;
}

export interface AllowList {
  permitsName(name: string, port: number): boolean;
  /** By exactly this name, not by a wildcard. */
  permitsExactName(name: string, port: number): boolean;
  permitsAddress(address: Uint8Array, port: number): boolean;
}

/** Of entries that were read by their field: what is none permits nothing. */
export function allowList(texts: readonly string[]): AllowList {
  const entries = texts.map(parseEntry).filter((entry) => entry !== undefined);
  const ofPort = (port: number): Entry[] =>
    entries.filter((entry) => entry.port === undefined || entry.port === port);
  return {
    permitsName: (name, port) =>
      ofPort(port).some((entry) => entry.name !== undefined && isNamed(name, entry.name)),
    permitsExactName: (name, port) => ofPort(port).some((entry) => entry.name === name),
    permitsAddress: (address, port) =>
      ofPort(port).some(({ range }) => range !== undefined && isPermittedBy(range, address)),
  };
}

/**
 * The name of a host in the one form that is compared: lower case, without the dot of the root. Empty parts are left
 * out, since what looks a name up, such as a proxy, may leave them out too.
 */
export function canonicalName(hostname: string): string {
  const name = hostname.toLowerCase();
  if (!name.includes("..") && !name.startsWith(".")) return name.replace(/\.$/, "");
  const bare = name.split(".").filter(Boolean).join(".");
  // Without them it may be an address: `0x7f.1..` is one.
  return URL.canParse(`http://${bare}`) ? new URL(`http://${bare}`).hostname : bare;
}

function isPermittedBy(range: AddressRange, address: Uint8Array): boolean {
  const isExact = range.bits === range.bytes.length * 8;
  return isWithin(address, range) && (isExact || !isMetadata(address));
}

function isNamed(name: string, pattern: string): boolean {
  return pattern.startsWith(WILDCARD) ? name.endsWith(pattern.slice(1)) : name === pattern;
}

function parseEntry(text: string): Entry | undefined {
  // IPv6 without a port needs no brackets.
  const bare = parseRange(text);
  if (bare !== undefined) return { port: undefined, range: bare };
  const { bracketed, plain, port } = ENTRY.exec(text)?.groups ?? {};
  const portNumber = port === undefined ? undefined : Number(port);
  const isPort = portNumber === undefined || (portNumber >= 1 && portNumber <= 65_535);
  const host = bracketed ?? plain;
  if (host === undefined || !isPort) return undefined;
  const range = parseRange(host);
  if (range !== undefined) return { port: portNumber, range };
  const name = bracketed === undefined ? parseName(host) : undefined;
  return name === undefined ? undefined : { port: portNumber, name };
}

/** As a URL would hold it, so that `Bücher.example` is compared as `xn--bcher-kva.example`. */
function parseName(text: string): string | undefined {
  const isWildcard = text.startsWith(WILDCARD);
  const rest = isWildcard ? text.slice(WILDCARD.length) : text;
  if (!/^[^/\\?#@:%\s]+$/.test(rest) || !URL.canParse(`http://${rest}`)) return undefined;
  const name = canonicalName(new URL(`http://${rest}`).hostname);
  if (parseRange(name) !== undefined || !NAME.test(name)) return undefined;
  return isWildcard ? `${WILDCARD}${name}` : name;
}
