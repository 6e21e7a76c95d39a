import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { rootCertificates } from "node:tls";
import { describe, expect, test } from "vitest";
import { pairHalfIn } from "../../src/base/key-shape.ts";
import { defineKey, type JwtAlgorithm } from "../../src/requests/keys/index.ts";
import { requestVerifier } from "../../src/webhooks/index.ts";
import { webhookKey } from "../../src/webhooks/secrets.ts";

const RSA = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const ED = generateKeyPairSync("ed25519");
const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });
const CERTIFICATE = (rootCertificates[0] ?? "").replace(/-----[^-]+-----|\s/g, "");

function spki(key: KeyObject): Buffer {
  return key.export({ format: "der", type: "spki" });
}
function jwk(key: KeyObject): string {
  return JSON.stringify(key.export({ format: "jwk" }));
}
function sshBlob(name: string, ...parts: Buffer[]): Buffer {
  return Buffer.concat(
    [Buffer.from(name), ...parts].flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    }),
  );
}
const ED_BLOB = sshBlob("ssh-ed25519", spki(ED.publicKey).subarray(-32)).toString("base64");
const RSA_BLOB = sshBlob("ssh-rsa", Buffer.of(1, 0, 1), randomBytes(256)).toString("base64");
const wrapped = (text: string): string => text.replace(/(.{64})/g, "$1\n");
const PKCS1 = RSA.publicKey.export({ format: "der", type: "pkcs1" });
const PEM = RSA.publicKey.export({ format: "pem", type: "spki" }).toString();
const PKCS8 = ED.privateKey.export({ format: "der", type: "pkcs8" });

const PUBLIC: [string, string][] = [
  ["PEM", PEM],
  ["PEM with lost line breaks", PEM.replaceAll("\n", "\\n")],
  ["PEM in base64", Buffer.from(PEM).toString("base64")],
  ["SPKI of RSA", spki(RSA.publicKey).toString("base64")],
  ["SPKI of RSA in lines", wrapped(spki(RSA.publicKey).toString("base64"))],
  ["SPKI of RSA, marked", `base64:${spki(RSA.publicKey).toString("base64")}`],
  ["SPKI of P-256 in base64url", spki(EC.publicKey).toString("base64url")],
  ["SPKI of ed25519", spki(ED.publicKey).toString("base64")],
  ["SPKI of ed25519 behind whsec_", `whsec_${spki(ED.publicKey).toString("base64")}`],
  ["SPKI in hex", spki(EC.publicKey).toString("hex")],
  [
    "SPKI in hex with colons",
    spki(EC.publicKey)
      .toString("hex")
      .replace(/..(?=.)/g, "$&:"),
  ],
  ["PKCS #1", PKCS1.toString("base64")],
  ["a certificate", CERTIFICATE],
  ["a JWK", jwk(RSA.publicKey)],
  ["a JWK in base64", Buffer.from(jwk(ED.publicKey)).toString("base64url")],
  ["a set of JWKs", `{"keys":[${jwk(EC.publicKey)}]}`],
  ["a line of SSH", `ssh-rsa ${RSA_BLOB} me@host`],
  ["a line of SSH with options", `from="10.0.0.1" ssh-ed25519 ${ED_BLOB}`],
  ["a blob of SSH", ED_BLOB],
  ["a blob of SSH behind whsec_", `whsec_${ED_BLOB}`],
  ["SSH2", `---- BEGIN SSH2 PUBLIC KEY ----\n${ED_BLOB}\n---- END SSH2 PUBLIC KEY ----`],
  ["a public key of webhooks", `whpk_${randomBytes(32).toString("base64")}`],
  ["XML", "<RSAKeyValue><Modulus>AQAB</Modulus><Exponent>AQAB</Exponent></RSAKeyValue>"],
];
const PRIVATE: [string, string][] = [
  ["PKCS #8", PKCS8.toString("base64")],
  ["PKCS #8 behind whsec_", `whsec_${PKCS8.toString("base64")}`],
  ["a private JWK", jwk(ED.privateKey)],
  ["SEC 1", EC.privateKey.export({ format: "der", type: "sec1" }).toString("hex")],
  ["PKCS #1", RSA.privateKey.export({ format: "der", type: "pkcs1" }).toString("base64")],
  ["a private key of webhooks", `whsk_${randomBytes(32).toString("base64")}`],
];

describe("R10: a key of a pair is no shared secret, however it is written", () => {
  test.each([
    ...PUBLIC.map(([name, key]) => [name, key, "public"] as const),
    ...PRIVATE.map(([name, key]) => [name, key, "private"] as const),
  ])("%s", (_name, key, half) => {
    expect(pairHalfIn(key)).toBe(half);
    for (const algorithm of ["HS256", "HS512"] satisfies JwtAlgorithm[]) {
      expect(() => defineKey("crm", { algorithm, secret: key })).toThrow(/pair|PEM/);
      expect(() => requestVerifier({ keys: [{ key, algorithm }] })).toThrow(/pair|PEM/);
    }
    if (!key.startsWith("-----BEGIN ") || key.includes("PRIVATE")) {
      expect(() => requestVerifier({ keys: key })).toThrow(/pair|PEM/);
    }
    if (/^wh[ps]k_/.test(key)) return;
    expect(() => webhookKey(key)).toThrow(/pair/);
    expect(() => webhookKey(key)).not.toThrow(key.slice(0, 20));
  });

  test("random secrets are, in every form", () => {
    for (let i = 0; i < 300; i++) {
      const bytes = randomBytes(24 + (i % 41));
      // Half of them look like DER at first sight.
      if (i % 2 === 0) bytes.set([0x30, bytes.length - 2]);
      for (const text of [
        bytes.toString("base64"),
        bytes.toString("hex"),
        `whsec_${bytes.toString("base64")}`,
      ]) {
        expect(pairHalfIn(text)).toBeUndefined();
      }
      expect(webhookKey(bytes.toString("base64")).canSign).toBe(true);
    }
    for (const text of [
      "correct horse battery staple ".repeat(3),
      "{not json",
      "[]",
      "null",
      "123",
    ]) {
      expect(pairHalfIn(text)).toBeUndefined();
    }
  });
});
