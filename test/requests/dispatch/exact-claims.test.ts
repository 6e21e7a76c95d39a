import { jwtVerify } from "jose";
import { expect, test } from "vitest";
import { rawJson } from "../../../src/index.ts";
import { defineKey, signJwt } from "../../../src/requests/keys/index.ts";
import { app, ended, receiver, SECRET } from "./support.ts";

const EXACT = '{"id": 9007199254740993, "rate": 1.10, "huge": 1000000000000000000000000000001}';

/** The payload of a token whose signature is good, as its text. */
async function signedText(token: string): Promise<string> {
  await jwtVerify(token, new TextEncoder().encode(SECRET));
  return Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
}

test("R10: claims written through SQL are signed digit by digit, with iat, exp and jti behind them", async () => {
  const { url, received } = await receiver([{ status: 202 }]);
  const pawl = await app();
  const later = new Date(Date.now() + 3_600_000);
  const { id } = await pawl.request({
    method: "POST",
    url,
    jwt: { claims: { iss: "shop" }, key: "crm" },
    envelope: false,
    runAt: later,
  });
  await pawl.store.rows(
    "update pawl.task set payload = jsonb_set(payload, '{jwt,claims}', $2::jsonb) where id = $1",
    [id, EXACT],
  );
  await pawl.reschedule(id, { delay: 0 });
  await pawl.work();
  expect(await ended(pawl, id)).toMatchObject({ state: "done" });
  const text = await signedText(received[0]?.body ?? "");
  for (const digits of ["9007199254740993", "1.10", "1000000000000000000000000000001"]) {
    expect(text).toMatch(new RegExp(`: ?${digits.replaceAll(".", "\\.")}[,}]`));
  }
  expect(JSON.parse(text)).toMatchObject({
    iat: expect.any(Number),
    exp: expect.any(Number),
    jti: expect.any(String),
  });
});

test("R10: claims that `pawl.request` gets as JSON's text keep their digits, and their rules", async () => {
  const { url, received } = await receiver([{ status: 202 }]);
  const pawl = await app();
  await pawl.work();
  const send = (text: string) =>
    pawl.request({
      method: "POST",
      url,
      jwt: { claims: rawJson(text), key: "crm" },
      envelope: false,
    });
  const { id } = await send(EXACT);
  await ended(pawl, id);
  expect(await signedText(received[0]?.body ?? "")).toContain('"id": 9007199254740993');
  await expect(send('{"exp": 1}')).rejects.toMatchObject({ code: "invalid_option" });
  await expect(send("[1]")).rejects.toMatchObject({ code: "invalid_option" });
  await expect(send('{"iss": 7}')).rejects.toMatchObject({ code: "invalid_option" });
});

test("R10: claims of a call that are no JSON are refused as an option", async () => {
  const key = defineKey("crm", { secret: SECRET });
  for (const claims of [{ id: 1n }, { f: () => 1n, toJSON: () => 1n }]) {
    await expect(signJwt({ claims, key })).rejects.toMatchObject({ code: "invalid_option" });
  }
  expect(await signedText(await signJwt({ claims: rawJson(EXACT), key }))).toContain("1.10");
});
