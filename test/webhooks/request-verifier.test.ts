import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { importPKCS8, SignJWT } from "jose";
import { expect, test } from "vitest";
import {
  PawlError,
  type RequestKeyOptions,
  type RequestVerifierOptions,
  requestVerifier,
} from "../../src/webhooks/index.ts";

const SECRET = randomBytes(48).toString("base64");
const NOW_S = 1_750_000_000;
const now = () => NOW_S * 1_000;
const TASK = { createdAt: NOW_S - 60, attempt: { number: 2, limit: 30, interval: 10 } };
const RSA = pair("rsa");
const ED = pair("ed25519");

function pair(type: "rsa" | "ed25519"): { publicKey: string; privateKey: string } {
  const made =
    type === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2_048 })
      : generateKeyPairSync("ed25519");
  return {
    publicKey: made.publicKey.export({ type: "spki", format: "pem" }).toString(),
    privateKey: made.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

interface Made {
  alg?: string;
  secret?: string;
  kid?: string;
  claims?: Record<string, unknown>;
}

async function token({ alg = "HS512", secret = SECRET, kid, claims }: Made = {}): Promise<string> {
  const key = secret.startsWith("-----") ? await importPKCS8(secret, alg) : Buffer.from(secret);
  return new SignJWT({ iat: NOW_S, exp: NOW_S + 60, body: { n: 1 }, ...claims })
    .setProtectedHeader({ alg, ...(kid !== undefined && { kid }) })
    .sign(key);
}

function verifier(options: Partial<RequestVerifierOptions> = {}) {
  return requestVerifier({ keys: SECRET, now, ...options });
}

async function reasonOf(run: Promise<unknown>): Promise<string> {
  try {
    await run;
  } catch (error) {
    if (error instanceof PawlError && error.code === "webhook_rejected") {
      expect(error.stack).not.toContain(SECRET);
      return String(error.data.reason);
    }
    throw error;
  }
  throw new Error("it was accepted");
}

test("R10: the envelope and the plain token are accepted, with the claims and which try it is", async () => {
  const request = await token();
  const claims = { iat: NOW_S, exp: NOW_S + 60, body: { n: 1 } };
  const verified = { claims, algorithm: "HS512", kid: undefined };
  const envelope = JSON.stringify({ request, __task: TASK });
  expect(await verifier().verify(envelope)).toEqual({ ...verified, task: TASK });
  expect(await verifier().verify(Buffer.from(envelope))).toEqual({ ...verified, task: TASK });
  expect(await verifier().verify(JSON.stringify({ request }))).toMatchObject({ task: undefined });
  expect(await verifier().verify(`${request}\n`)).toEqual({ ...verified, task: undefined });
});

test.each([
  ["HS256", SECRET, SECRET],
  ["HS512", SECRET, SECRET],
  ["RS512", RSA.privateKey, RSA.publicKey],
  ["EdDSA", ED.privateKey, ED.publicKey],
])("R10: a %s token of jose is accepted by the kind of key alone", async (alg, secret, key) => {
  const verified = await verifier({ keys: key }).verify(await token({ alg, secret }));
  expect(verified.algorithm).toBe(alg);
});

test("R10: a public key is never taken for a shared secret, whatever the token says", async () => {
  const forge = (alg: string, hash: string, secret: string) => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${part({ alg })}.${part({ exp: NOW_S + 60 })}`;
    return `${text}.${createHmac(hash, secret).update(text).digest("base64url")}`;
  };
  for (const key of [RSA.publicKey, ED.publicKey]) {
    for (const secret of [key, key.trim()]) {
      const forged = forge("HS512", "sha512", secret);
      expect(await reasonOf(verifier({ keys: key }).verify(forged))).toBe("bad_signature");
      const short = forge("HS256", "sha256", secret);
      expect(await reasonOf(verifier({ keys: [key, SECRET] }).verify(short))).toBe("bad_signature");
    }
  }
});

test("R10: an unsigned token, and an algorithm that is not asked for, are refused", async () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  for (const alg of ["none", "None", "HS384", "", 5, null]) {
    const unsigned = `${part({ alg })}.${part({ exp: NOW_S + 60 })}.`;
    expect(["bad_signature", "malformed"]).toContain(await reasonOf(verifier().verify(unsigned)));
  }
  const only512 = verifier({ keys: [{ key: SECRET, algorithm: "HS512" }] });
  expect(await reasonOf(only512.verify(await token({ alg: "HS256" })))).toBe("bad_signature");
  expect(
    await reasonOf(verifier().verify(await token({ alg: "RS256", secret: RSA.privateKey }))),
  ).toBe("bad_signature");
});

test("R10: a shared secret of less than 64 bytes serves HS256 only", async () => {
  const secret = "k".repeat(63);
  const short = verifier({ keys: secret });
  expect((await short.verify(await token({ alg: "HS256", secret }))).algorithm).toBe("HS256");
  expect(await reasonOf(short.verify(await token({ secret })))).toBe("bad_signature");
});

test("R10: another secret, another claim and another signature are refused", async () => {
  const [header, , signature] = (await token()).split(".");
  const [, payload] = (await token({ claims: { body: { n: 2 } } })).split(".");
  for (const forged of [
    await token({ secret: randomBytes(64).toString("hex") }),
    `${header}.${payload}.${signature}`,
    `${header}.${payload}.`,
  ]) {
    expect(await reasonOf(verifier().verify(forged))).toBe("bad_signature");
  }
});

test("R10: of several keys the kid chooses, and keys without a kid are tried for all", async () => {
  const other = randomBytes(48).toString("base64");
  const keys: RequestKeyOptions[] = [
    { key: other, kid: "new" },
    { key: SECRET, kid: "old" },
  ];
  const named = verifier({ keys });
  expect((await named.verify(await token({ kid: "old" }))).kid).toBe("old");
  expect((await named.verify(await token({ kid: "new", secret: other }))).kid).toBe("new");
  expect((await named.verify(await token())).kid).toBeUndefined();
  expect(await reasonOf(named.verify(await token({ kid: "new" })))).toBe("bad_signature");
  expect(await reasonOf(named.verify(await token({ kid: "gone" })))).toBe("bad_signature");
  const unnamed = verifier({ keys: [other, SECRET, RSA.publicKey] });
  expect((await unnamed.verify(await token({ kid: "any" }))).kid).toBe("any");
});

test("R10: times count with a tolerance for clocks", async () => {
  const at = (claims: Record<string, unknown>, options: Partial<RequestVerifierOptions> = {}) =>
    token({ claims }).then((text) => verifier(options).verify(text));
  expect((await at({ exp: NOW_S - 59 })).claims.exp).toBe(NOW_S - 59);
  expect(await reasonOf(at({ exp: NOW_S - 60 }))).toBe("too_old");
  expect(await reasonOf(at({ exp: NOW_S - 1 }, { toleranceS: 0 }))).toBe("too_old");
  expect(await reasonOf(at({ nbf: NOW_S + 61 }))).toBe("too_new");
  expect(await reasonOf(at({ iat: NOW_S - 200 }, { maxAgeS: 100 }))).toBe("too_old");
  expect(await reasonOf(at({ iat: NOW_S + 200 }, { maxAgeS: 100 }))).toBe("too_new");
});

test("R10: a token that never expires is refused unless that is asked for", async () => {
  const eternal = await token({ claims: { exp: undefined } });
  expect(await reasonOf(verifier().verify(eternal))).toBe("wrong_claim");
  const lax = verifier({ requireExpiry: false });
  expect((await lax.verify(eternal)).claims.exp).toBeUndefined();
});

test("R10: issuer and audience are as asked for", async () => {
  const text = await token({ claims: { iss: "https://a.example", aud: ["x", "y"] } });
  const asked = verifier({ issuer: ["https://a.example", "https://b.example"], audience: "y" });
  expect((await asked.verify(text)).claims.aud).toEqual(["x", "y"]);
  expect(await reasonOf(verifier({ issuer: "https://b.example" }).verify(text))).toBe(
    "wrong_claim",
  );
  expect(await reasonOf(verifier({ audience: "z" }).verify(text))).toBe("wrong_claim");
  expect(await reasonOf(verifier({ audience: "z" }).verify(await token()))).toBe("wrong_claim");
});

test.each([
  "",
  "hunter2",
  "a.b.c",
  "a.b.c.d.e",
  "{",
  "{}",
  '{"request":5}',
  '{"request":"hunter2"}',
  "[]",
  "null",
  "..",
  "eyJhbGciOiJIUzUxMiJ9",
])("R10: the body %j is refused as malformed, and not quoted", async (body) => {
  const run = verifier().verify(body);
  const error = await run.then(String, (thrown: Error) => thrown.stack ?? "");
  expect(error).not.toContain("hunter2");
  expect(["malformed", "bad_signature"]).toContain(await reasonOf(verifier().verify(body)));
});

test.each([
  [5],
  [null],
  [{}],
  [{ ...TASK, attempt: undefined }],
  [{ ...TASK, createdAt: "now" }],
  [{ ...TASK, attempt: { ...TASK.attempt, limit: null } }],
])("R10: the task %j is refused", async (task) => {
  const body = JSON.stringify({ request: await token(), __task: task });
  expect(await reasonOf(verifier().verify(body))).toBe("malformed");
});

test("R10: what cannot verify is refused when the verifier is made, and not shown", () => {
  const wrong: unknown[] = [
    { keys: [] },
    { keys: undefined },
    { keys: "hunter2" },
    { keys: RSA.privateKey },
    { keys: [{ key: RSA.publicKey, algorithm: "HS512" }] },
    { keys: [{ key: SECRET, algorithm: "none" }] },
    { keys: [{ key: SECRET, alg: "HS512" }] },
    { keys: SECRET, toleranceS: -1 },
    { keys: SECRET, maxAgeS: 0 },
    { keys: SECRET, isuer: "x" },
  ];
  for (const options of wrong) {
    let thrown: unknown;
    try {
      requestVerifier(options as RequestVerifierOptions);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(PawlError);
    expect(thrown).toMatchObject({ code: "invalid_option" });
    expect(String((thrown as Error).stack)).not.toContain("hunter2");
    expect(String((thrown as Error).stack)).not.toContain(SECRET);
  }
});
