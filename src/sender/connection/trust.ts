/** The certificates that a sender trusts: those that Node trusts, and those that the app adds. */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import * as tls from "node:tls";
import { type Field, field } from "../../options/field.ts";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** A private key in their place is a likely mistake: no message shows it. */
export const CERTIFICATES: Field<string> = field({
  kind: "certificates",
  help: "additional certificates of authorities",
  shape: "pem",
  expected:
    "certificates in PEM (-----BEGIN CERTIFICATE-----); pass the text of the file, not its path",
  isSecret: true,
  read: (given) =>
    typeof given === "string" && certificatesIn(given) !== undefined ? given : undefined,
});

/** `undefined` when nothing is added. What is added was read by its field. */
export function trustWith(
  added: string | readonly string[] | undefined,
): tls.SecureContext | undefined {
  if (added === undefined) return undefined;
  const certificates = [added].flat().flatMap((pem) => certificatesIn(pem) ?? []);
  return tls.createSecureContext({ ca: [...trustedByNode(), ...certificates] });
}

function certificatesIn(pem: string): string[] | undefined {
  const found = pem.match(CERTIFICATE) ?? undefined;
  try {
    for (const certificate of found ?? []) new X509Certificate(certificate);
    return found;
  } catch {
    return undefined;
  }
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
