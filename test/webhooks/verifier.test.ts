import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { afterAll, expect, test } from "vitest";
import {
  env,
  eventVerifier,
  file,
  generateWebhookSecret,
  PawlError,
  type RejectedReason,
  readEvent,
  signWebhook,
  WebhookRejected,
  webhookPublicKey,
  webhookVerifier,
} from "../../src/webhooks/index.ts";

const SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const VECTOR = {
  body: '{"test": 2432232314}',
  headers: {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  },
};
const NOW_S = 1_614_265_330;
const now = () => NOW_S * 1_000;
const folder = mkdtempSync(join(tmpdir(), "pawl-verifier-"));
afterAll(() => rmSync(folder, { recursive: true }));

function signed(
  secrets: string[],
  { body = '{"n":1}', timestampS = NOW_S, id = "msg_1" } = {},
): { body: string; headers: Record<string, string> } {
  return {
    body,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(timestampS),
      "webhook-signature": signWebhook({ id, timestampS, body, secrets }),
    },
  };
}

function reasonOf(run: () => unknown): RejectedReason {
  try {
    run();
  } catch (error) {
    if (error instanceof WebhookRejected && error.code === "webhook_rejected") {
      expect(error.data).toEqual({ reason: error.reason, status: error.status });
      return error.reason;
    }
    throw error;
  }
  throw new Error("it was accepted");
}

function refusal(run: () => unknown): PawlError {
  try {
    run();
  } catch (error) {
    if (error instanceof PawlError) return error;
  }
  throw new Error("no PawlError was thrown");
}

test("R87b: the published vector is accepted: as text and as bytes, from Node's headers and from fetch's, in any case", () => {
  const verifier = webhookVerifier({ secrets: SECRET, now });
  const expected = {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestamp: new Date(NOW_S * 1_000),
    payload: { test: 2432232314 },
  };
  const { body, headers } = VECTOR;
  expect(verifier.verify(body, headers)).toEqual(expected);
  expect(verifier.verify(Buffer.from(body), new Headers(headers))).toEqual(expected);
  const upper = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [value]]),
  );
  expect(verifier.verify(new TextEncoder().encode(body), upper)).toEqual(expected);
});

test("R87b: what the public library signs is accepted, for any JSON and any secret", () => {
  const secrets = fc.uint8Array({ minLength: 24, maxLength: 64 });
  fc.assert(
    fc.property(secrets, fc.json(), fc.uuid(), (key, body, id) => {
      const secret = `whsec_${Buffer.from(key).toString("base64")}`;
      const headers = {
        "webhook-id": id,
        "webhook-timestamp": String(NOW_S),
        "webhook-signature": new Webhook(secret).sign(id, new Date(NOW_S * 1_000), body),
      };
      const verifier = webhookVerifier({ secrets: secret, now });
      expect(verifier.verify(body, headers).payload).toEqual(JSON.parse(body));
      expect(reasonOf(() => verifier.verify(`${body} `, headers))).toBe("bad_signature");
    }),
    { numRuns: 50 },
  );
});

test("R87b: any change of a byte of the body, the id, the time or the signature is refused", () => {
  const pair = generateWebhookSecret("v1a");
  for (const [signs, secrets] of [
    [SECRET, SECRET],
    [pair, webhookPublicKey(pair)],
  ] as const) {
    const verifier = webhookVerifier({ secrets, now });
    const good = signed([signs], { body: '{"amount":100}' });
    expect(verifier.verify(good.body, good.headers).payload).toEqual({ amount: 100 });
    const changes: [string, Record<string, string>][] = [
      ['{"amount":900}', {}],
      [good.body, { "webhook-id": "msg_2" }],
      [good.body, { "webhook-timestamp": String(NOW_S + 1) }],
      [good.body, { "webhook-signature": signWebhook({ ...other(), secrets: [signs] }) }],
    ];
    for (const [body, change] of changes) {
      const headers = { ...good.headers, ...change };
      expect(reasonOf(() => verifier.verify(body, headers))).toBe("bad_signature");
    }
  }
});

function other() {
  return { id: "msg_1", timestampS: NOW_S, body: '{"amount":101}' };
}

test("R87b: a signature of another secret is refused, also one of an empty or a cut signature", () => {
  const verifier = webhookVerifier({ secrets: SECRET, now });
  const good = signed([SECRET]);
  const value = good.headers["webhook-signature"] ?? "";
  for (const signature of [
    signed([generateWebhookSecret()]).headers["webhook-signature"] ?? "",
    signed([generateWebhookSecret("v1a")]).headers["webhook-signature"] ?? "",
    "v1,",
    "v1",
    ",",
    " ",
    value.slice(0, -8),
    value.replace("v1,", "v1a,"),
    value.replace("v1,", "v2,"),
    value.slice(3),
    `v1,${"A".repeat(5_000)}`,
  ]) {
    const headers = { ...good.headers, "webhook-signature": signature };
    expect(reasonOf(() => verifier.verify(good.body, headers))).toBe("bad_signature");
  }
});

test("R87b: while secrets change, either side may be first: several signatures, several secrets, both schemes", () => {
  const [older, newer] = [generateWebhookSecret(), generateWebhookSecret()];
  const pair = generateWebhookSecret("v1a");
  const publicSecret = webhookPublicKey(pair);
  const accepts = (secrets: string | string[], signs: string[]) => {
    const { body, headers } = signed(signs);
    return webhookVerifier({ secrets, now }).verify(body, headers).id;
  };
  expect(accepts([newer, older], [older])).toBe("msg_1");
  expect(accepts(older, [newer, older])).toBe("msg_1");
  expect(accepts(newer, [newer, older])).toBe("msg_1");
  expect(accepts(publicSecret, [older, pair])).toBe("msg_1");
  expect(accepts([newer, publicSecret], [pair])).toBe("msg_1");
  expect(reasonOf(() => accepts(newer, [older, pair]))).toBe("bad_signature");
});

test("R87b: signatures of versions that are not known are passed over", () => {
  const good = signed([SECRET]);
  const headers = {
    ...good.headers,
    "webhook-signature": `v9,abc v1x ${good.headers["webhook-signature"]} v1b,zzz`,
  };
  expect(webhookVerifier({ secrets: SECRET, now }).verify(good.body, headers).id).toBe("msg_1");
});

test("R87b: an old or a future message is refused beyond the tolerance, and accepted at it", () => {
  const at = (offsetS: number, toleranceS?: number) => {
    const { body, headers } = signed([SECRET], { timestampS: NOW_S + offsetS });
    const options = toleranceS === undefined ? {} : { toleranceS };
    return webhookVerifier({ secrets: SECRET, now, ...options }).verify(body, headers);
  };
  expect(at(-300).timestamp).toEqual(new Date((NOW_S - 300) * 1_000));
  expect(at(300).id).toBe("msg_1");
  expect(reasonOf(() => at(-301))).toBe("too_old");
  expect(reasonOf(() => at(301))).toBe("too_new");
  expect(at(-3_600, 3_600).id).toBe("msg_1");
  expect(reasonOf(() => at(-11, 10))).toBe("too_old");
});

test.each(["webhook-id", "webhook-timestamp", "webhook-signature"])(
  "R87b: without the header %s, or with two of it, a call is refused by its name",
  (name) => {
    const verifier = webhookVerifier({ secrets: SECRET, now });
    const { body, headers } = signed([SECRET]);
    const value = headers[name] ?? "";
    expect(reasonOf(() => verifier.verify(body, { ...headers, [name]: undefined }))).toBe(
      "missing_header",
    );
    expect(reasonOf(() => verifier.verify(body, { ...headers, [name]: "" }))).toBe(
      "missing_header",
    );
    const twice = { ...headers, [name]: [value, value] };
    expect(reasonOf(() => verifier.verify(body, twice))).toBe("malformed");
  },
);

test.each(["now", "-1", "1e9", "1614265330.5", " 1614265330", "0x60", "16142653301614265330"])(
  "R87b: the timestamp %j is refused as no number of seconds",
  (timestamp) => {
    const verifier = webhookVerifier({ secrets: SECRET, now });
    const { body, headers } = signed([SECRET]);
    const changed = { ...headers, "webhook-timestamp": timestamp };
    expect(reasonOf(() => verifier.verify(body, changed))).toBe("bad_timestamp");
  },
);

test("R87b: a signed text cannot be cut in another place: an id with a full stop is refused, though its signature fits", () => {
  const verifier = webhookVerifier({ secrets: SECRET, now });
  const { headers } = signed([SECRET], { id: "a", body: `${NOW_S}.5` });
  const shifted = { ...headers, "webhook-id": `a.${NOW_S}` };
  expect(reasonOf(() => verifier.verify("5", shifted))).toBe("malformed");
});

test("R87b: a body that is rightly signed but no JSON, or no UTF-8, is refused, and not quoted", () => {
  const verifier = webhookVerifier({ secrets: SECRET, now });
  for (const body of [Buffer.from("hunter2{"), Buffer.from([0xff, 0xfe, 0x7b]), Buffer.alloc(0)]) {
    const signature = signWebhook({ id: "msg_1", timestampS: NOW_S, body, secrets: [SECRET] });
    const headers = { ...signed([SECRET]).headers, "webhook-signature": signature };
    const error = refusal(() => verifier.verify(body, headers));
    expect(error).toMatchObject({ code: "webhook_rejected", reason: "malformed", status: 400 });
    expect(`${error.stack} ${String(error.cause)}`).not.toContain("hunter2");
  }
});

test("R94: a refusal shows neither the secret nor the signature that would have been right", () => {
  const verifier = webhookVerifier({ secrets: SECRET, now });
  const good = signed([SECRET]);
  const headers = { ...good.headers, "webhook-signature": "v1,AAAA" };
  const error = refusal(() => verifier.verify(good.body, headers));
  const said = `${error.stack} ${JSON.stringify(error)}`;
  expect(said).not.toContain(SECRET);
  expect(said).not.toContain((good.headers["webhook-signature"] ?? "").slice(3));
});

test("R94: a secret by reference is read at each call, so that a changed file needs no restart", () => {
  const path = join(folder, "secret");
  const [older, newer] = [generateWebhookSecret(), generateWebhookSecret()];
  writeFileSync(path, `${older}\n`);
  const verifier = webhookVerifier({ secrets: file(path), now });
  const { body, headers } = signed([newer]);
  expect(reasonOf(() => verifier.verify(body, headers))).toBe("bad_signature");
  writeFileSync(path, `${newer}\n`);
  expect(verifier.verify(body, headers).id).toBe("msg_1");
});

test("R87b: what cannot verify is refused when the verifier is made", () => {
  const secrets = undefined as unknown as string;
  for (const [options, code] of [
    [{ secrets }, "invalid_option"],
    [{ secrets: [] }, "invalid_option"],
    [{ secrets: "short" }, "invalid_option"],
    [{ secrets: env("PAWL_TEST_NOT_SET") }, "invalid_environment"],
    [{ secrets: generateWebhookSecret("v1a") }, "invalid_option"],
    [{ secrets: SECRET, toleranceS: 0 }, "invalid_option"],
    [{ secrets: SECRET, toleranceS: Number.NaN }, "invalid_option"],
    [{ secrets: SECRET, tolerance: 5 }, "invalid_option"],
  ] as const) {
    expect(refusal(() => webhookVerifier(options as { secrets: string })).code).toBe(code);
  }
});

test("R87b: a body that was parsed, and missing headers, are refused as mistakes of the caller, with what to do", () => {
  const verifier = webhookVerifier({ secrets: SECRET, now });
  const { body, headers } = signed([SECRET]);
  const wrong: [unknown, unknown][] = [
    [JSON.parse(body), headers],
    [undefined, headers],
    [body, undefined],
    [body, null],
  ];
  for (const [given, those] of wrong) {
    const error = refusal(() => verifier.verify(given as string, those as Headers));
    expect(error.code).toBe("invalid_option");
  }
  const parsed = refusal(() => verifier.verify(JSON.parse(body), headers));
  expect(parsed.message).toContain("before it is parsed");
  expect(refusal(() => eventVerifier(undefined as never)).code).toBe("invalid_option");
});

const EVENT = {
  eventId: "0199-1",
  eventName: "order.placed.v1",
  aggregate: { type: "order", id: "42" },
  occurredAt: "2026-01-02T03:04:05.678Z",
  payload: { total: 9 },
  meta: { tenant: "a" },
};

test("R87b: the event of a delivery is read with its types, and its payload by the receiver's own parser", () => {
  const webhook = { id: "0199-1", timestamp: new Date(), payload: EVENT };
  expect(readEvent(webhook)).toEqual({ ...EVENT, occurredAt: new Date(EVENT.occurredAt) });
  const total: number = readEvent(
    webhook,
    (payload) => (payload as { total: number }).total,
  ).payload;
  expect(total).toBe(9);
  expect(() =>
    readEvent(webhook, () => {
      throw new Error("no such order");
    }),
  ).toThrow("no such order");
});

test("R87b: a verifier of events answers the event, and lets out what the receiver's parser throws, for the sender to try again", () => {
  const { body, headers } = signed([SECRET], { body: JSON.stringify(EVENT) });
  const parse = (payload: unknown): number => (payload as { total: number }).total;
  const event = eventVerifier({ secrets: SECRET, now, parse }).verify(body, headers);
  const total: number = event.payload;
  expect(total).toBe(9);
  expect(eventVerifier({ secrets: SECRET, now }).verify(body, headers).payload).toEqual({
    total: 9,
  });
  const strict = eventVerifier({
    secrets: SECRET,
    now,
    parse: () => {
      throw new TypeError("no such order");
    },
  });
  expect(() => strict.verify(body, headers)).toThrow(TypeError);
  expect(reasonOf(() => strict.verify(`${body} `, headers))).toBe("bad_signature");
});

test.each([
  [null],
  ["text"],
  [[]],
  [{ ...EVENT, eventId: 5 }],
  [{ ...EVENT, eventName: "" }],
  [{ ...EVENT, aggregate: "order" }],
  [{ ...EVENT, aggregate: { type: "order" } }],
  [{ ...EVENT, occurredAt: "yesterday" }],
  [{ ...EVENT, meta: [] }],
])("R87b: %j is no event", (payload) => {
  const webhook = { id: "1", timestamp: new Date(), payload };
  expect(reasonOf(() => readEvent(webhook))).toBe("malformed");
});
