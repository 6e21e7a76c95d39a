import { expect, test } from "vitest";
import { defineSource } from "../../src/index.ts";
import { inboxApp } from "../support/inbox-app.ts";
import { here, hereJson } from "./here.ts";

/** One event was set aside. */
async function setAside() {
  const unreadable = { id: "1", raw: Buffer.from("{oops"), error: "no JSON" };
  const source = defineSource({
    name: "orders",
    gap: 0,
    fetch: async (after) => (after === "0" ? [unreadable] : []),
  });
  const { url, pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { set_aside: 1 });
  const [event] = await pawl.inbox.list();
  const number = event?.number ?? "";
  const cli = (...args: string[]) => here(url, "inbox", ...args, "--dry-run");
  return { url, number, cli };
}

test("R46: a dry run of inbox retry and remove says what they would do, and changes nothing", async () => {
  const { url, number, cli } = await setAside();
  expect(await cli("retry", number)).toBe("would retry 1 event");
  expect(await cli("remove", number, "--why", "a test event")).toBe("would remove 1 event");
  expect(await cli("remove", "--all", "--why", "a test event")).toBe("would remove 1 event");
  expect(await hereJson(url, "inbox")).toMatchObject({ events: [{ number }] });
  expect(await hereJson(url, "audit")).toEqual({ audit: [] });
});

test("R46: a dry run of inbox retry and remove refuses what they refuse", async () => {
  const { number, cli } = await setAside();
  const missing = { code: "inbox_event_not_found", exitCode: 3, data: { number: "999999" } };
  await expect(cli("retry", number, "999999")).rejects.toMatchObject(missing);
  await expect(cli("remove", "999999", "--why", "a test")).rejects.toMatchObject(missing);
  const unexplained = { exitCode: 2, message: "inbox: remove needs a reason, for the audit" };
  await expect(cli("remove", number)).rejects.toMatchObject(unexplained);
  await expect(cli("remove", "--all")).rejects.toMatchObject(unexplained);
});
