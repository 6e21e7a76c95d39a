/** Certificates of our own, made by the openssl command: an authority, and what it issues. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

export const HAS_OPENSSL: boolean = spawnSync("openssl", ["version"]).status === 0;
if (!HAS_OPENSSL) process.stderr.write("skipped: tests of TLS need the openssl command\n");

export interface Pair {
  key: string;
  cert: string;
}

export interface Authority {
  /** The authority's own certificate. */
  cert: string;
  /** `names` as in `DNS:localhost,IP:127.0.0.1`; below zero days it has expired already. */
  issue(names: string, days?: number): Pair;
  close(): void;
}

export function authority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), "pawl-tls-"));
  const file = (name: string): string => join(folder, name);
  openssl(
    folder,
    `req -x509 ${KEY} -keyout ca.key -out ca.pem -days 2 -subj /CN=Authority -addext keyUsage=critical,keyCertSign`,
  );
  return {
    cert: readFileSync(file("ca.pem"), "utf8"),
    issue: (names, days = 2) => {
      writeFileSync(file("names"), `subjectAltName=${names}\n`);
      openssl(folder, `req -new ${KEY} -keyout leaf.key -out leaf.csr -subj /CN=leaf`);
      openssl(
        folder,
        `x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days ${days} -out leaf.pem`,
      );
      return pairIn(folder);
    },
    close: () => rmSync(folder, { recursive: true }),
  };
}

export function selfSigned(names: string): Pair {
  const folder = mkdtempSync(join(tmpdir(), "pawl-tls-"));
  openssl(
    folder,
    `req -x509 ${KEY} -keyout leaf.key -out leaf.pem -days 2 -subj /CN=leaf -addext subjectAltName=${names}`,
  );
  const pair = pairIn(folder);
  rmSync(folder, { recursive: true });
  return pair;
}

function pairIn(folder: string): Pair {
  return {
    key: readFileSync(join(folder, "leaf.key"), "utf8"),
    cert: readFileSync(join(folder, "leaf.pem"), "utf8"),
  };
}

function openssl(cwd: string, command: string): void {
  const made = spawnSync("openssl", command.split(" "), { cwd, encoding: "utf8" });
  if (made.status !== 0) throw new Error(`openssl ${command}: ${made.stderr}`);
}
