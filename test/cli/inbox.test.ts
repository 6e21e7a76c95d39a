import { expect, test } from "vitest";
import { defineSource } from "../../src/index.ts";
import { inboxApp } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { here, hereJson } from "./here.ts";

/** One event was set aside. */
async function setAside(raw = Buffer.from("{oops"), error = "no JSON") {
  const unreadable = { id: "1", raw, error };
  const source = defineSource({
    name: "orders",
    gap: 0,
    fetch: async (after) => (after === "0" ? [unreadable] : []),
  });
  const { url, pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { setAside: 1 });
  const [event] = await pawl.inbox.list();
  const number = event?.number ?? "";
  const cli = (...args: string[]) => here(url, "inbox", ...args, "--dry-run");
  return { url, pawl, number, cli };
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
  const unexplained = {
    exitCode: 2,
    message: "pawl inbox remove: expected --why to be given: the reason, for the audit",
  };
  await expect(cli("remove", number)).rejects.toMatchObject(unexplained);
  await expect(cli("remove", "--all")).rejects.toMatchObject(unexplained);
});

test("R94: bytes that were set aside, and why, show no secret of a URL; others are shown byte for byte", async () => {
  const hook = "https://hooks.slack.com/services/T0/hunter2";
  const { url, number } = await setAside(Buffer.from(`{"hook": "${hook}", oops`), `at ${hook}`);
  const json = await hereJson<{ event: { raw: string } }>(url, "inbox", "show", number);
  const raw = Buffer.from(json.event.raw, "base64").toString();
  expect(raw).toBe('{"hook": "https://hooks.slack.com/services/…", oops');
  for (const args of [["inbox"], ["inbox", "show", number]]) {
    expect(await here(url, ...args)).not.toContain("hunter2");
    expect(await here(url, ...args, "--json")).not.toContain("hunter2");
  }
  const bytes = Buffer.from([0xff, 0x00, 0x7b]);
  const plain = await setAside(bytes);
  const { event } = await hereJson<typeof json>(plain.url, "inbox", "show", plain.number);
  expect(Buffer.from(event.raw, "base64")).toEqual(bytes);
});

test("R112: code takes back all that was set aside as the command line does, dry too, and shows it", async () => {
  const { pawl, number } = await setAside();
  expect(await pawl.inbox.retry({ all: true, dryRun: true })).toEqual([number]);
  expect(await pawl.inbox.remove({ all: true, why: "a test", source: "orders" })).toEqual([number]);
  expect(await pawl.inbox.retry([])).toEqual([]);
  expect(await pawl.inbox.show(number)).toBeUndefined();
  // as JavaScript calls them
  const loose = pawl as unknown as Record<string, Record<string, (...given: unknown[]) => unknown>>;
  const call = (noun: string, verb: string, ...given: unknown[]) =>
    expect(loose[noun]?.[verb]?.(...given)).rejects;
  await call("inbox", "retry").toThrow("inbox.retry: expected numbers, or `all` with or without");
  await call("inbox", "list", { sorce: "orders" }).toThrow("no option `sorce`; did you mean");
  await call("sources", "makePartitions", "3").toThrow("expected `monthsAhead` to be an integer");
  const { source, windows } = await present(pawl.sources.show("orders"));
  expect(source).toMatchObject({ name: "orders", setAside: 0 });
  expect(windows.length).toBeGreaterThan(0);
});
