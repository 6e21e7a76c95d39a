import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { decodeJwt, decodeProtectedHeader, importSPKI, jwtVerify } from "jose";
import { afterEach, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import {
  checkKey,
  defineKey,
  defineKeys,
  describeKey,
  type JwtClaims,
  type JwtKey,
  type JwtKeyOptions,
  keyNamed,
  receiverKeys,
  signJwt,
} from "../../src/requests/keys/index.ts";
import { env } from "../../src/secrets/secret.ts";
import { requestVerifier } from "../../src/webhooks/index.ts";

const NAME = "PAWL_TEST_JWT_KEY";
afterEach(() => {
  delete process.env[NAME];
});

const SHARED = randomBytes(48).toString("base64");
const NOW_MS = 1_750_000_000_500;
const now = () => NOW_MS;
const CLAIMS = {
  iss: "https://plugin.example",
  aud: "https://backend.example",
  cid: 42,
  plugin: { alias: "logistic", id: "7" },
  body: { order: 1, note: "naïve ☃" },
};

function pem(
  type: "rsa" | "ed25519" | "x25519",
  bits = 2_048,
): { publicKey: string; privateKey: string } {
  const made =
    type === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: bits })
      : type === "ed25519"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("x25519");
  return {
    publicKey: made.publicKey.export({ type: "spki", format: "pem" }).toString(),
    privateKey: made.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

const RSA = pem("rsa");
const ED = pem("ed25519");

function refusal(run: () => unknown): PawlError {
  try {
    run();
  } catch (error) {
    if (error instanceof PawlError) return error;
  }
  throw new Error("no PawlError was thrown");
}

const KINDS: [string, JwtKeyOptions][] = [
  ["HS512", { secret: SHARED }],
  ["HS256", { algorithm: "HS256", secret: SHARED }],
  ["RS512", { algorithm: "RS512", secret: RSA.privateKey }],
  ["EdDSA", { algorithm: "EdDSA", secret: ED.privateKey }],
];

test.each(KINDS)(
  "R10: a %s token carries the claims, iat, exp and jti, and both jose and our verifier accept it",
  async (alg, options) => {
    const key = defineKey("crm", { ...options, kid: "2026-01" });
    const token = await signJwt({
      claims: CLAIMS,
      key,
      ttlMs: 60_000,
      jti: "request-7",
      nowMs: NOW_MS,
    });
    const expected = { ...CLAIMS, iat: 1_750_000_000, exp: 1_750_000_060, jti: "request-7" };
    expect(decodeProtectedHeader(token)).toEqual({ alg, typ: "JWT", kid: "2026-01" });

    const publicKey = { RS512: RSA.publicKey, EdDSA: ED.publicKey }[alg];
    const theirs = publicKey === undefined ? Buffer.from(SHARED) : await importSPKI(publicKey, alg);
    const { payload } = await jwtVerify(token, theirs, { currentDate: new Date(NOW_MS) });
    expect(payload).toEqual(expected);

    const verifier = requestVerifier({ keys: receiverKeys(key), now });
    expect(await verifier.verify(token)).toEqual({
      claims: expected,
      task: undefined,
      algorithm: alg,
      kid: "2026-01",
    });
  },
);

test("R10: HS512 is the default, and its signature is HMAC-SHA512 over the text of the secret", async () => {
  const token = await signJwt({ claims: {}, key: defineKey("crm", { secret: SHARED }) });
  const [header, payload, signature] = token.split(".");
  expect(signature).toBe(
    createHmac("sha512", SHARED).update(`${header}.${payload}`).digest("base64url"),
  );
});

test("R10: a secret in base64: is its bytes", async () => {
  const bytes = randomBytes(64);
  const key = defineKey("crm", { secret: `base64:${bytes.toString("base64")}` });
  const token = await signJwt({ claims: CLAIMS, key });
  expect((await jwtVerify(token, bytes)).payload.cid).toBe(42);
});

test("R10: without a jti each token has its own, and exp never lies after the expiry of the request", async () => {
  const key = defineKey("crm", { secret: SHARED });
  const sign = () =>
    signJwt({ claims: {}, key, ttlMs: 60_000, nowMs: NOW_MS, expiresAtMs: NOW_MS + 10_000 });
  const [one, other] = [decodeJwt(await sign()), decodeJwt(await sign())];
  expect(one.jti).toMatch(/^[0-9a-f-]{36}$/);
  expect(one.jti).not.toBe(other.jti);
  expect(one.exp).toBe(1_750_000_010);
  expect(decodeJwt(await signJwt({ claims: {}, key, nowMs: NOW_MS })).exp).toBe(1_750_000_300);
});

test("R10: keys rotate with overlap: the first signs, and receivers accept the previous ones too", async () => {
  const [older, newer] = [randomBytes(48).toString("base64"), SHARED];
  const before = defineKey("crm", { secret: older });
  const after = defineKey("crm", { secret: [newer, older] });
  const verifier = requestVerifier({ keys: receiverKeys(after) });
  for (const key of [before, after]) {
    const { claims } = await verifier.verify(await signJwt({ claims: CLAIMS, key }));
    expect(claims.iss).toBe(CLAIMS.iss);
  }
  await jwtVerify(await signJwt({ claims: {}, key: after }), Buffer.from(newer));
});

test("R10, R94: a key by reference is read at each signing, checked at the start, and never shown", async () => {
  const key = defineKey("crm", { secret: env(NAME), kid: "a" });
  expect(refusal(() => checkKey(key))).toMatchObject({ code: "invalid_environment" });
  await expect(signJwt({ claims: {}, key })).rejects.toMatchObject({ code: "invalid_environment" });
  process.env[NAME] = "hunter2";
  const short = refusal(() => checkKey(key));
  expect(short.code).toBe("invalid_option");
  expect(`${short.message}${JSON.stringify(short)}`).not.toContain("hunter2");
  process.env[NAME] = SHARED;
  checkKey(key);
  await jwtVerify(await signJwt({ claims: {}, key }), Buffer.from(SHARED));
  expect(describeKey(key)).toEqual({
    name: "crm",
    algorithm: "HS512",
    kid: "a",
    secrets: [`env:${NAME}`],
  });
  expect(describeKey(defineKey("x", { secret: SHARED })).secrets).toEqual(["***"]);
});

test("R10: a PEM key whose line breaks became \\n in an environment variable is read all the same", async () => {
  process.env[NAME] = ED.privateKey.replaceAll("\n", "\\n");
  const key = defineKey("crm", { algorithm: "EdDSA", secret: env(NAME) });
  const token = await signJwt({ claims: {}, key });
  await jwtVerify(token, await importSPKI(ED.publicKey, "EdDSA"));
});

test.each<[string, JwtKeyOptions, string]>([
  ["63 bytes for HS512", { secret: "k".repeat(63) }, "at least 64 bytes"],
  ["31 bytes for HS256", { algorithm: "HS256", secret: "k".repeat(31) }, "at least 32 bytes"],
  ["a PEM for HS512", { secret: RSA.publicKey }, "PEM"],
  ["a text for RS512", { algorithm: "RS512", secret: "k".repeat(64) }, "PEM"],
  ["a public key for RS512", { algorithm: "RS512", secret: RSA.publicKey }, "public key"],
  ["ed25519 for RS512", { algorithm: "RS512", secret: ED.privateKey }, "ed25519"],
  ["RSA for EdDSA", { algorithm: "EdDSA", secret: RSA.privateKey }, "rsa"],
  ["x25519 for EdDSA", { algorithm: "EdDSA", secret: pem("x25519").privateKey }, "x25519"],
  ["1024 bits for RS512", { algorithm: "RS512", secret: pem("rsa", 1_024).privateKey }, "2048"],
  ["half a PEM", { algorithm: "EdDSA", secret: ED.privateKey.slice(0, 60) }, "cannot be read"],
  ["broken base64:", { secret: "base64:§§§" }, "base64"],
  ["a wrong kid", { secret: SHARED, kid: "a b" }, "kid"],
  ["no secret", { secret: [] }, "1 to 16"],
  ["a number", { secret: 5 as unknown as string }, "env("],
  ["none", { secret: SHARED, algorithm: "none" as "HS256" }, "HS512"],
  ["a misspelt algorithm", { secret: SHARED, algorithm: "HS521" as "HS512" }, "did you mean"],
  ["a misspelt option", { secret: SHARED, algoritm: "HS512" } as JwtKeyOptions, "algorithm"],
])("R10: a key with %s is refused when it is defined, and not shown", (_name, options, words) => {
  const error = refusal(() => defineKey("crm", options));
  expect(error.code).toBe("invalid_option");
  expect(error.message).toContain(words);
  const said = `${error.message} ${JSON.stringify(error)} ${String(error.cause)}`;
  for (const part of JSON.stringify(options.secret).split("\\n")) {
    if (part.length > 20 && !part.startsWith("-----")) expect(said).not.toContain(part);
  }
});

test("R10: a key that is not defined is named with the nearest that is", () => {
  const keys = defineKeys({ crm: { secret: SHARED }, erp: { secret: SHARED } });
  expect(keyNamed(keys, "crm").name).toBe("crm");
  expect(refusal(() => keyNamed(keys, "crn")).message).toContain('did you mean "crm"?');
  expect(refusal(() => defineKeys({ "a b": { secret: SHARED } })).code).toBe("invalid_option");
});

test.each([
  [{ exp: 5 }, "exp"],
  [{ iat: 5 }, "iat"],
  [{ jti: "x" }, "jti"],
  [{ iss: 5 }, "iss"],
  [{ aud: [1] }, "aud"],
  [[], "claims"],
  [null, "claims"],
])("R10: the claims %j are refused by name", async (claims, option) => {
  const key: JwtKey = defineKey("crm", { secret: SHARED });
  await expect(signJwt({ claims: claims as JwtClaims, key })).rejects.toMatchObject({
    code: "invalid_option",
    data: { option },
  });
});

test("R10: a token that would be born expired is refused", async () => {
  const key = defineKey("crm", { secret: SHARED });
  for (const ttlMs of [-5_000, Number.NaN]) {
    await expect(signJwt({ claims: {}, key, ttlMs })).rejects.toMatchObject({
      code: "invalid_option",
    });
  }
});
