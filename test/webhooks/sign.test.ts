import { webcrypto } from "node:crypto";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import {
  decodeWebhookSecret,
  WEBHOOK_SECRET_BYTES_MAX,
  WEBHOOK_SECRET_BYTES_MIN,
  webhookKey,
} from "../../src/webhooks/secrets.ts";
import { generateWebhookSecret, signWebhook, webhookPublicKey } from "../../src/webhooks/sign.ts";

const SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MESSAGE = {
  id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
  timestampS: 1_614_265_330,
  body: '{"test": 2432232314}',
};
const SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
/** RFC 8032 section 7.1, test 1. */
const SEED = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex");
const PUBLIC = Buffer.from(
  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  "hex",
);
const PRIVATE_SECRET = `whsk_${SEED.toString("base64")}`;

function thrownBy(run: () => unknown): PawlError {
  try {
    run();
  } catch (error) {
    if (error instanceof PawlError) return error;
  }
  throw new Error("no PawlError was thrown");
}

test("R87a: the published vector gives the published signature, with and without the prefix, as text and as bytes", () => {
  expect(signWebhook({ ...MESSAGE, secrets: [SECRET] })).toBe(SIGNATURE);
  expect(signWebhook({ ...MESSAGE, secrets: [`whsec_${SECRET}`] })).toBe(SIGNATURE);
  const body = new TextEncoder().encode(MESSAGE.body);
  expect(signWebhook({ ...MESSAGE, body, secrets: [SECRET] })).toBe(SIGNATURE);
});

test("R87a: the public verifier accepts our signature of any JSON and any secret, and refuses it for another body", () => {
  const secrets = fc.uint8Array({
    minLength: WEBHOOK_SECRET_BYTES_MIN,
    maxLength: WEBHOOK_SECRET_BYTES_MAX,
  });
  fc.assert(
    fc.property(secrets, fc.json(), fc.uuid(), (key, body, id) => {
      const secret = `whsec_${Buffer.from(key).toString("base64")}`;
      const timestampS = Math.floor(Date.now() / 1_000);
      const headers = {
        "webhook-id": id,
        "webhook-timestamp": String(timestampS),
        "webhook-signature": signWebhook({
          id,
          timestampS,
          body,
          secrets: [generateWebhookSecret("v1a"), generateWebhookSecret(), secret],
        }),
      };
      const verifier = new Webhook(secret);
      expect(verifier.verify(body, headers)).toEqual(JSON.parse(body));
      expect(() => verifier.verify(`${body} `, headers)).toThrow("No matching signature");
    }),
    { numRuns: 50 },
  );
});

test("R87b: several secrets give one header with a signature of each, in their order", () => {
  const other = generateWebhookSecret();
  const header = signWebhook({ ...MESSAGE, secrets: [other, SECRET, PRIVATE_SECRET] });
  const [first, second, third, ...rest] = header.split(" ");
  expect(first).toBe(signWebhook({ ...MESSAGE, secrets: [other] }));
  expect(second).toBe(SIGNATURE);
  expect(third).toMatch(/^v1a,[A-Za-z0-9+/]{86}==$/);
  expect(rest).toEqual([]);
});

test("R87b: a v1a signature fits id.timestamp.body and the public key of the RFC, by another implementation of ed25519", async () => {
  expect(webhookPublicKey(PRIVATE_SECRET)).toBe(`whpk_${PUBLIC.toString("base64")}`);
  const pair = `whsk_${Buffer.concat([SEED, PUBLIC]).toString("base64")}`;
  const header = signWebhook({ ...MESSAGE, secrets: [pair] });
  expect(header).toBe(signWebhook({ ...MESSAGE, secrets: [PRIVATE_SECRET] }));
  const signature = Buffer.from(header.slice("v1a,".length), "base64");
  const key = await webcrypto.subtle.importKey("raw", PUBLIC, "Ed25519", false, ["verify"]);
  const signed = Buffer.from(`${MESSAGE.id}.${MESSAGE.timestampS}.${MESSAGE.body}`);
  expect(await webcrypto.subtle.verify("Ed25519", key, signature, signed)).toBe(true);
  expect(await webcrypto.subtle.verify("Ed25519", key, signature, signed.subarray(1))).toBe(false);
});

test("R87b: the published v1a vector gives the published signature and public key", () => {
  const secret =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
  expect(signWebhook({ ...MESSAGE, secrets: [secret] })).toBe(
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
  );
  expect(webhookPublicKey(secret)).toBe("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=");
});

test("R87b: secrets that are made are of the published forms, and each is another", () => {
  expect(decodeWebhookSecret(generateWebhookSecret("v1"))).toHaveLength(32);
  expect(generateWebhookSecret()).toMatch(/^whsec_/);
  const pair = generateWebhookSecret("v1a");
  expect(Buffer.from(pair.replace("whsk_", ""), "base64")).toHaveLength(64);
  expect(webhookPublicKey(pair)).toMatch(/^whpk_/);
  expect(generateWebhookSecret("v1a")).not.toBe(pair);
  expect(generateWebhookSecret()).not.toBe(generateWebhookSecret());
});

test.each([
  ["too short", Buffer.alloc(23, 7).toString("base64")],
  ["too long", Buffer.alloc(65, 7).toString("base64")],
  ["empty", ""],
  ["only the prefix", "whsec_"],
  ["a pass phrase", "correct horse battery staple!"],
  ["base64url", `${Buffer.alloc(30, 0xff).toString("base64url")}`],
  ["without padding", Buffer.alloc(32, 7).toString("base64").replace("=", "")],
  ["with a line break", `${SECRET}\n`],
])("R94: a secret that is %s is refused and not shown", (_name, secret) => {
  const thrown = thrownBy(() => decodeWebhookSecret(secret, "webhook secret"));
  expect(thrown).toMatchObject({ code: "invalid_option" });
  const said = `${thrown.message} ${JSON.stringify(thrown)}`;
  if (secret.length > 6) expect(said).not.toContain(secret);
  expect(said).toContain("openssl rand -base64 32");
});

test.each([
  ["of 31 bytes", `whsk_${Buffer.alloc(31, 7).toString("base64")}`],
  ["of 64 bytes that are no pair", `whsk_${Buffer.alloc(64, 7).toString("base64")}`],
  ["that is empty", "whsk_"],
  ["that is public and of 33 bytes", `whpk_${Buffer.alloc(33, 7).toString("base64")}`],
  ["that is no base64", "whsk_correct horse battery"],
])("R94: a key %s is refused and not shown", (_name, secret) => {
  const thrown = thrownBy(() => webhookKey(secret));
  expect(thrown).toMatchObject({ code: "invalid_option" });
  if (secret.length > 6) {
    expect(`${thrown.message} ${JSON.stringify(thrown)}`).not.toContain(secret.slice(5));
  }
});

test("R87b: no secret, and a public key in the place of a private one, cannot sign", () => {
  const publicSecret = webhookPublicKey(PRIVATE_SECRET);
  for (const secrets of [[], [publicSecret]]) {
    expect(thrownBy(() => signWebhook({ ...MESSAGE, secrets }))).toMatchObject({
      code: "invalid_option",
    });
  }
  expect(thrownBy(() => webhookPublicKey(SECRET)).code).toBe("invalid_option");
  expect(thrownBy(() => webhookPublicKey(publicSecret)).code).toBe("invalid_option");
});
