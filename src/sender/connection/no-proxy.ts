/**
 * Which hosts are reached without the proxy: those of `http.noProxy`, and those of the variable `NO_PROXY`, in its usual
 * form. Names are compared as they stand in the URL; none is looked up.
 */

import { type Field, field } from "../../options/field.ts";
import { type AddressRange, isWithin, parseAddress, parseRange } from "../guard/address.ts";
import { canonicalName } from "../guard/allow-list.ts";

const ENTRY = /^(?:\[([^\]]+)\]|([^:[\]\s,]+))(?::(\d{1,5}))?$/;

/** An entry of the option. */
export const DIRECT: Field<string> = field({
  kind: "host",
  help: "a host that is reached without the proxy",
  shape: "host",
  expected:
    'a host ("erp.example", which stands for the names under it too), "*", an address or a range ("10.0.0.0/8"), each optionally with ":port"',
  read: (given) =>
    typeof given === "string" && parseEntry(given.trim()) !== undefined ? given : undefined,
});

/** `hostname` as in a URL. */
export type IsDirect = (hostname: string, port: number) => boolean;

interface Entry {
  port: number | undefined;
  /** Neither: all hosts. */
  range?: AddressRange;
  /** This name and all under it; with a dot in front only those under it. */
  name?: string;
}

/** @param own the option, read by its field; @param variable the text of `NO_PROXY`, of which what cannot be read is left out */
export function noProxy(own: readonly string[] = [], variable = ""): IsDirect {
  const texts = [...own.map((text) => text.trim()), ...variable.split(/[\s,]+/)];
  const entries = texts.map(parseEntry).filter((entry) => entry !== undefined);
  return (hostname, port) => {
    if (entries.length === 0) return false;
    const host = canonicalName(hostname.replace(/^\[(.*)\]$/, "$1"));
    return entries.some((entry) => fits(entry, host, port));
  };
}

/** Of the environment of this process. */
export function noProxyVariable(): string | undefined {
  return process.env.no_proxy ?? process.env.NO_PROXY;
}

function fits({ port, range, name }: Entry, host: string, asked: number): boolean {
  if (port !== undefined && port !== asked) return false;
  if (range !== undefined) {
    const address = parseAddress(host);
    return address !== undefined && isWithin(address, range);
  }
  if (name === undefined) return true;
  return name.startsWith(".") ? host.endsWith(name) : host === name || host.endsWith(`.${name}`);
}

function parseEntry(text: string): Entry | undefined {
  const bare = parseRange(text);
  if (bare !== undefined) return { port: undefined, range: bare };
  const [, bracketed, plain = "", digits] = ENTRY.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === "") return undefined;
  const port = digits === undefined ? undefined : Number(digits);
  if (host === "*") return { port };
  const range = parseRange(host);
  if (range !== undefined) return { port, range };
  // `*.example` is meant for the names under it; `.example`, as curl reads it, for `example` too.
  const name = canonicalName(host.replace(/^\*?\./, ""));
  if (bracketed !== undefined || name === "" || /[*/]/.test(name)) return undefined;
  return { port, name: host.startsWith("*.") ? `.${name}` : name };
}
