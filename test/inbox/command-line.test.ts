import path from "node:path";
import { expect, test } from "vitest";
import { type ErrorDocument, pawlJson, pawlProcess } from "../cli/cli.ts";
import { here, hereJson } from "../cli/here.ts";
import { freshDatabase } from "../support/database.ts";
import { ORDERS } from "./fixture/pawl.config.ts";

const CONFIG = path.join(import.meta.dirname, "fixture/pawl.config.ts");

interface Listed {
  sources: { name: string; status: string; storedCount: number; why: string }[];
}

/** Everything that there is has been loaded and stored, by a process that then ended. */
async function loaded() {
  const { url } = await freshDatabase();
  const args = ["work", "--roles", "loader,mover", "--once", "--config", CONFIG, "--json"];
  const { code, stdout } = await pawlProcess(args, { url });
  expect({ code, endedBy: JSON.parse(stdout).endedBy }).toEqual({ code: 0, endedBy: "idle" });
  const cli = (...words: string[]) => here(url, ...words, "--config", CONFIG);
  const cliJson = <T = Record<string, unknown>>(...words: string[]) =>
    hereJson<T>(url, ...words, "--config", CONFIG);
  return { url, cli, cliJson };
}

test("R38 R46 R51: `work --roles loader,mover --once` loads and stores what there is, and lists say the rest", async () => {
  const { cli, cliJson } = await loaded();
  const { sources } = await cliJson<Listed>("sources");
  expect(sources).toMatchObject([
    { name: "broken", status: "held", storedCount: 0 },
    { name: "orders", status: "waiting", storedCount: ORDERS - 1, setAside: 1 },
  ]);
  expect(sources[0]?.why).toMatch(/it answered with an error: 500 Internal Server Error; decide/);
  const shown = await cli("sources", "show", "orders");
  expect(shown).toMatch(/requested\s+100/);
  expect(shown).toMatch(
    /1 set aside at .* \(no JSON\), see `pawl inbox list --source orders`, then/,
  );
  expect(await cli("sources", "windows", "orders", "--state", "done")).toMatch(/30/);
});

test("R44 R46: operators decide on the command line, with reasons where something is left out", async () => {
  const { url, cli, cliJson } = await loaded();
  await expect(cli("sources", "skip", "broken", "--to", "9")).rejects.toThrow(
    /expected --why to be given: the reason/,
  );
  await expect(cli("sources", "rewind", "orders", "--to", "10", "--why", "a test")).rejects.toThrow(
    /confirm it by typing its name/,
  );
  expect(await cli("sources", "skip", "broken", "--to", "9", "--why", "they sent nonsense")).toBe(
    "source broken: it goes on after the window, from 0 to 9",
  );
  expect(
    await cliJson(
      "sources",
      "rewind",
      "orders",
      "--to",
      "10",
      "--confirm",
      "orders",
      "--why",
      "test",
    ),
  ).toMatchObject({ action: "rewind", from: "100", to: "10" });
  expect(await cli("sources", "pause", "orders", "--why", "test")).toContain("source:orders: off");
  expect(await cli("sources", "resume", "orders")).toContain("source:orders: on");
  const { audit } = await cliJson<{ audit: { action: string }[] }>("audit");
  expect(audit.map((row) => row.action)).toEqual([
    "sources.resume",
    "sources.pause",
    "sources.rewind",
    "sources.skip",
  ]);
  const { code, json } = await pawlJson<ErrorDocument>(
    ["sources", "retry", "ordes", "--config", CONFIG],
    { url },
  );
  expect(code).toBe(3);
  expect(json.error.message).toContain('did you mean "orders"?');
});

test("R46: what was set aside is shown with its bytes, stored again or removed", async () => {
  const { cli, cliJson } = await loaded();
  const { events } = await cliJson<{ events: { number: string; raw: string }[] }>("inbox");
  const [aside] = events;
  expect(Buffer.from(aside?.raw ?? "", "base64").toString()).toBe("{oops");
  expect(await cli("inbox", "show", aside?.number ?? "")).toContain('"{oops"');
  await expect(cli("inbox", "retry")).rejects.toThrow(/expected numbers, or --all/);
  await expect(cli("inbox", "remove", "--all")).rejects.toThrow(
    /expected --why to be given: the reason/,
  );
  expect(await cli("inbox", "retry", "--all", "--dry-run")).toBe("would retry 1 event");
  expect(await cli("inbox", "remove", "--all", "--why", "a test")).toBe("removed 1 event");
  expect(await cli("inbox")).toBe("none");
});

test("R49: the log is pruned and its months are made from the command line", async () => {
  const { cli } = await loaded();
  expect(await cli("sources", "prune-log", "--done-days", "0", "--dry-run")).toMatch(
    /would remove \d windows/,
  );
  expect(await cli("sources", "prune-log", "--done-days", "0", "--archive")).toMatch(
    /archived \d windows/,
  );
  expect(await cli("sources", "partitions", "--months-ahead", "3")).toMatch(
    /made source_window_\d{6}, source_window_archive_\d{6}/,
  );
  expect(await cli("sources", "partitions")).toBe("all are there");
});
