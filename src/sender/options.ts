/** The options of an HTTP sender. */

import type { LookupFunction } from "node:net";
import { type Field, type FieldsOf, fieldOf } from "../options/field.ts";
import { func } from "../options/kinds.ts";
import { asItIs, group, list } from "../options/parts.ts";
import type { SecretRef } from "../secrets/secret.ts";
import { DIRECT } from "./connection/no-proxy.ts";
import { PROXY } from "./connection/proxy.ts";
import { CERTIFICATES } from "./connection/trust.ts";
import { PERMITTED } from "./guard/allow-list.ts";

export interface SenderOptions {
  /**
   * Private hosts that are permitted all the same: names (`localhost`, `*.internal`), addresses or CIDR ranges, each
   * optionally with `:port`.
   */
  allow?: readonly string[];
  /** The http or https proxy for all requests, with credentials if it needs them. */
  proxy?: string | SecretRef;
  /**
   * Hosts that are reached without the proxy, in addition to the variable `NO_PROXY`: names (with their subdomains), `*`,
   * addresses or CIDR ranges, each optionally with `:port`.
   */
  noProxy?: readonly string[];
  /** Additional CA certificates to trust, as PEM. */
  ca?: string | readonly string[];
  /** For tests: replaces `dns.lookup`. */
  lookup?: LookupFunction;
}

const MANY = list(CERTIFICATES, { isEmptyOk: true });

export const SENDER: Field<SenderOptions> = asItIs(
  group("how requests leave", {
    allow: list(PERMITTED, { isEmptyOk: true }),
    proxy: PROXY,
    noProxy: list(DIRECT, { isEmptyOk: true }),
    ca: fieldOf<string | readonly string[], unknown>({
      ...MANY,
      read: (given, place) =>
        Array.isArray(given) ? MANY.read(given, place) : CERTIFICATES.read(given, place),
    }),
    lookup: func<LookupFunction>("like `dns.lookup`"),
  } satisfies FieldsOf<SenderOptions>),
);
