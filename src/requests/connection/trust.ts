/** The certificates that a sender trusts: those that Node trusts, and those that the app adds. */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import * as tls from "node:tls";
import { PawlError } from "../../base/errors.ts";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** `undefined` when nothing is added. @throws PawlError `invalid_option` for what is no certificate */
export function trustWith(
  added: string | readonly string[] | undefined,
): tls.SecureContext | undefined {
  if (added === undefined) return undefined;
  const given: unknown[] = Array.isArray(added) ? added : [added];
  const certificates = given.flatMap((pem, i) =>
    certificatesIn(pem, Array.isArray(added) ? `http.ca[${i}]` : "http.ca"),
  );
  return tls.createSecureContext({ ca: [...trustedByNode(), ...certificates] });
}

function certificatesIn(pem: unknown, option: string): string[] {
  const found = typeof pem === "string" ? pem.match(CERTIFICATE) : null;
  try {
    if (found === null) throw new Error("no certificate in it");
    for (const certificate of found) new X509Certificate(certificate);
  } catch (cause) {
    const message = `\`${option}\`: expected certificates in PEM (-----BEGIN CERTIFICATE-----); pass the text of the file, not its path`;
    // The value is not shown: a private key in its place is a likely mistake.
    throw new PawlError("invalid_option", message, { data: { option }, cause });
  }
  return found;
}

/** A list of one's own replaces Node's, so Node's must stand in it. */
function trustedByNode(): string[] {
  const recent: typeof tls & { getCACertificates?: (type: "default") => string[] } = tls;
  if (recent.getCACertificates !== undefined) return recent.getCACertificates("default");
  const extraFile = process.env.NODE_EXTRA_CA_CERTS;
  const extra = extraFile === undefined ? null : readText(extraFile).match(CERTIFICATE);
  return [...tls.rootCertificates, ...(extra ?? [])];
}

/** Node only warns of a file that it cannot read. */
function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
