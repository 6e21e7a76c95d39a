/**
 * Decides which hosts may be reached: those of the public internet, and those that the app permits. A host
 * given as an address is judged by it, a name by itself and then by ALL its addresses: one that is private
 * makes the name suspect as a whole, and which of them would be tried first is chance.
 */

import { parseAddress } from "./address.ts";
import { allowList, canonicalName } from "./allow-list.ts";
import { forbiddenBecause, isMetadata } from "./ranges.ts";
import { addressForbidden, type Refusal } from "./refusal.ts";

/** Names by which clouds offer the credentials of the machine. */
const METADATA_NAMES = new Set([
  "instance-data",
  "instance-data.ec2.internal",
  "metadata",
  "metadata.azure.internal",
  "metadata.google.internal",
  "metadata.goog",
  "metadata.tencentyun.com",
]);
/** As files of hosts have them; a proxy that looks names up may too. */
const LOCAL_NAMES = new Set([
  "ip6-localhost",
  "ip6-loopback",
  "localhost",
  "localhost.localdomain",
  "localhost6",
  "localhost6.localdomain6",
]);

export interface Guard {
  /** What can be said of a host before its name is looked up. Takes `[::1]` and `::1`. */
  refuseHost(hostname: string, port: number): Refusal | undefined;
  /** The addresses of a name, or the one that a socket is connected to. */
  refuseAddresses(
    hostname: string,
    port: number,
    addresses: readonly string[],
  ): Refusal | undefined;
}

/** @throws PawlError `invalid_option` naming the entry, as in `http.allow[2]` */
export function openGuard(allow: readonly string[]): Guard {
  const list = allowList(allow);
  const refuseAddress = (host: string, port: number, text: string): Refusal | undefined => {
    const address = parseAddress(text);
    const named = text === host ? {} : { address: text };
    if (address === undefined) return { host, ...named, reason: "not an address of the internet" };
    const reason = forbiddenBecause(address);
    if (reason === undefined || list.permitsAddress(address, port)) return undefined;
    if (!isMetadata(address) && list.permitsName(host, port)) return undefined;
    return { host, ...named, reason };
  };
  return {
    refuseHost: (hostname, port) => {
      const host = bareHost(hostname);
      if (isAddress(host)) return refuseAddress(host, port, host);
      if (METADATA_NAMES.has(host) && !list.permitsExactName(host, port)) {
        return { host, reason: "a metadata service" };
      }
      const isLocal = LOCAL_NAMES.has(host) || host.endsWith(".localhost");
      return isLocal && !list.permitsName(host, port) ? { host, reason: "loopback" } : undefined;
    },
    refuseAddresses: (hostname, port, addresses) => {
      const host = bareHost(hostname);
      return addresses.map((text) => refuseAddress(host, port, text)).find(Boolean);
    },
  };
}

/** For places that the app's own code names, such as a database: private ones may be reached, metadata services never. */
export function metadataGuard(): Guard {
  const refuseAddress = (host: string, text: string): Refusal | undefined => {
    const address = parseAddress(text);
    if (address === undefined || !isMetadata(address)) return undefined;
    return { host, ...(text !== host && { address: text }), reason: "a metadata service" };
  };
  return {
    refuseHost: (hostname) => {
      const host = bareHost(hostname);
      if (METADATA_NAMES.has(host)) return { host, reason: "a metadata service" };
      return isAddress(host) ? refuseAddress(host, host) : undefined;
    },
    refuseAddresses: (hostname, _port, addresses) => {
      const host = bareHost(hostname);
      return addresses.map((text) => refuseAddress(host, text)).find(Boolean);
    },
  };
}

/**
 * For the definition of a destination or a request: refuses an address or a name of which it is certain that
 * sending to it would be refused. A name that is looked up is judged when it is sent to.
 *
 * @throws PawlError `address_forbidden`; `invalid_option` naming an entry of `allow`
 */
export function refuseForbiddenUrl(url: URL, allow: readonly string[] = []): void {
  const refusal = openGuard(allow).refuseHost(url.hostname, portOf(url));
  if (refusal !== undefined) throw addressForbidden(refusal, url);
}

export function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

function bareHost(hostname: string): string {
  return canonicalName(hostname.replace(/^\[(.*)\]$/, "$1"));
}

function isAddress(host: string): boolean {
  return host.includes(":") || parseAddress(host) !== undefined;
}
