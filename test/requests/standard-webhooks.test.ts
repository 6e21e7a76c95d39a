import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import {
  decodeWebhookSecret,
  signStandardWebhook,
  WEBHOOK_SECRET_BYTES_MAX,
  WEBHOOK_SECRET_BYTES_MIN,
} from "../../src/requests/standard-webhooks.ts";

const SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MESSAGE = {
  id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
  timestamp: 1_614_265_330,
  body: '{"test": 2432232314}',
};
const SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

test("the published vector gives the published signature, with and without the prefix, as text and as bytes", () => {
  expect(signStandardWebhook({ ...MESSAGE, secret: SECRET })).toBe(SIGNATURE);
  expect(signStandardWebhook({ ...MESSAGE, secret: `whsec_${SECRET}` })).toBe(SIGNATURE);
  const body = new TextEncoder().encode(MESSAGE.body);
  expect(signStandardWebhook({ ...MESSAGE, body, secret: SECRET })).toBe(SIGNATURE);
});

test("the public verifier accepts our signature of any JSON and any secret, and refuses it for another body", () => {
  const secrets = fc.uint8Array({
    minLength: WEBHOOK_SECRET_BYTES_MIN,
    maxLength: WEBHOOK_SECRET_BYTES_MAX,
  });
  fc.assert(
    fc.property(secrets, fc.json(), fc.uuid(), (key, body, id) => {
      const secret = `whsec_${Buffer.from(key).toString("base64")}`;
      const timestamp = Math.floor(Date.now() / 1_000);
      const headers = {
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": signStandardWebhook({ id, timestamp, body, secret }),
      };
      const verifier = new Webhook(secret);
      expect(verifier.verify(body, headers)).toEqual(JSON.parse(body));
      expect(() => verifier.verify(`${body} `, headers)).toThrow("No matching signature");
    }),
    { numRuns: 50 },
  );
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
])("a secret that is %s is refused and not shown", (_name, secret) => {
  const thrown = thrownBy(() => decodeWebhookSecret(secret, "webhook secret"));
  expect(thrown).toBeInstanceOf(PawlError);
  expect(thrown).toMatchObject({ code: "invalid_option" });
  const said = `${thrown.message} ${JSON.stringify(thrown)}`;
  if (secret.length > 6) expect(said).not.toContain(secret);
  expect(said).toContain("openssl rand -base64 32");
});

function thrownBy(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  return new Error("nothing was thrown");
}
