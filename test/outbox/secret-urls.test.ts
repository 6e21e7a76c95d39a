import { describe, expect, test, vi } from "vitest";
import type { PawlError } from "../../src/base/errors.ts";
import { env, webhook } from "../../src/index.ts";
import { until } from "../support/until.ts";
import { receiver, SECRET, shop, storedText, withMasterKey } from "./operators-support.ts";

withMasterKey();

const HIDDEN = "services/T0/B0/hunter2";
const operators = { env: ["PAWL_TEST_HOOK"] };

async function delivered(pawl: Awaited<ReturnType<typeof shop>>["pawl"], to: string) {
  const { id } = await pawl.sendTo("webhook", to, "order.placed", {
    aggregate: ["order", 1],
    payload: {},
  });
  const worker = await pawl.work();
  await until("it is delivered", async () => (await pawl.event(id))?.status === "published");
  await worker.stop();
}

describe("the URL of a webhook as a reference", () => {
  test("in code: read at each delivery, and shown by its name alone", async () => {
    const at = await receiver();
    vi.stubEnv("PAWL_TEST_HOOK", `${at.url}/${HIDDEN}`);
    const slack = webhook({ url: env("PAWL_TEST_HOOK"), secret: SECRET });
    const { pawl } = await shop({ destinations: { slack }, routes: [] });
    await delivered(pawl, "slack");
    vi.stubEnv("PAWL_TEST_HOOK", `${at.url}/${HIDDEN}/next`);
    await delivered(pawl, "slack");
    expect(at.received.map((one) => one.path)).toEqual([`/${HIDDEN}`, `/${HIDDEN}/next`]);
    const shown = await pawl.destinations.show("slack");
    expect(shown?.config.url).toBe("env:PAWL_TEST_HOOK");
    expect(await pawl.destinations.test("slack")).toMatchObject({
      accepted: true,
      exchanges: [{ request: { url: `${at.url}/services/…` } }],
    });
  });

  test("that is missing or wrong keeps a worker from starting, and is not shown", async () => {
    const slack = webhook({ url: env("PAWL_TEST_HOOK"), secret: SECRET });
    const { pawl } = await shop({ destinations: { slack }, routes: [] });
    await expect(pawl.work()).rejects.toThrow(/webhook URL: .*PAWL_TEST_HOOK is not set/);
    for (const wrong of [
      "hunter2",
      "ftp://a.example/hunter2/hunter2",
      "https://u:hunter2@a.example",
    ]) {
      vi.stubEnv("PAWL_TEST_HOOK", wrong);
      const error = await pawl.work().then(
        () => undefined,
        (thrown: unknown) => thrown as PawlError,
      );
      expect(error?.code).toBe("invalid_url");
      expect(JSON.stringify([error?.message, error])).not.toContain("hunter2");
      expect(error?.message).toContain("`url` of env:PAWL_TEST_HOOK");
    }
  });

  test("R115: of an operator it has to be permitted, and the guard judges where it leads at each delivery", async () => {
    const at = await receiver();
    vi.stubEnv("PAWL_TEST_HOOK", `${at.url}/${HIDDEN}`);
    const config = { url: "env:PAWL_TEST_HOOK", secret: SECRET };
    const closed = await shop();
    await expect(
      closed.pawl.destinations.add({ name: "slack", type: "webhook", config }),
    ).rejects.toThrow(
      /`url` refers to env:PAWL_TEST_HOOK, .*operators: \{ env: \["PAWL_TEST_HOOK"\] \}/,
    );
    const { pawl } = await shop({ operators });
    const added = await pawl.destinations.add({ name: "slack", type: "webhook", config });
    expect(added).toMatchObject({ notes: [], config: { url: "env:PAWL_TEST_HOOK" } });
    await delivered(pawl, "slack");
    expect(at.received.map((one) => one.path)).toEqual([`/${HIDDEN}`]);
    vi.stubEnv("PAWL_TEST_HOOK", `http://10.0.0.1/${HIDDEN}`);
    const refused = await pawl.destinations.test("slack");
    expect(refused).toMatchObject({ accepted: false, error: { code: "address_forbidden" } });
    expect(JSON.stringify(refused)).not.toContain("hunter2");
    await expect(
      pawl.destinations.add({ name: "other", type: "webhook", config }),
    ).rejects.toMatchObject({ code: "address_forbidden" });
    vi.stubEnv("PAWL_TEST_HOOK", "");
    const late = await pawl.destinations.add({ name: "late", type: "webhook", config });
    expect(late.notes.join()).toMatch(/webhook URL: .*PAWL_TEST_HOOK/);
  });

  test("R115: another reference is another place, to which stored secrets do not go by themselves", async () => {
    const { pawl } = await shop({ operators });
    vi.stubEnv("PAWL_TEST_HOOK", "https://other.example/hooks");
    const config = { url: "https://erp.example/hooks", secret: SECRET };
    await pawl.destinations.add({ name: "erp", type: "webhook", config });
    await expect(pawl.destinations.edit("erp", { url: "env:PAWL_TEST_HOOK" })).rejects.toThrow(
      /another host.*`secret`/,
    );
    const moved = await pawl.destinations.edit("erp", {
      url: "env:PAWL_TEST_HOOK",
      secret: SECRET,
    });
    expect(moved.config.url).toBe("env:PAWL_TEST_HOOK");
    await pawl.destinations.edit("erp", { ...moved.config, timeout: "5s" });
    await expect(pawl.destinations.edit("erp", { url: config.url })).rejects.toThrow(
      /another host/,
    );
  });
});

describe.each([
  ["sealed, with a master key", true],
  ["in the open, without one", false],
])("R94: a URL that hides a secret and was typed in, %s,", (_name, isSealed) => {
  const secret = "env:PAWL_TEST_SECRET";

  async function erp(target: string) {
    if (!isSealed) vi.stubEnv("PAWL_SECRET_KEY", "");
    vi.stubEnv("PAWL_TEST_SECRET", SECRET);
    const { pawl } = await shop();
    const config = { url: `${target}/${HIDDEN}?token=hunter2`, secret };
    const added = await pawl.destinations.add({ name: "slack", type: "webhook", config });
    return { pawl, added };
  }

  test("is delivered to, and is shown by its first segment", async () => {
    const at = await receiver();
    const { pawl, added } = await erp(at.url);
    expect(added.config.url).toBe(`${at.url}/services/…?…`);
    expect((await storedText(pawl)).includes("hunter2")).toBe(!isSealed);
    await delivered(pawl, "slack");
    expect(at.received.map((one) => one.path)).toEqual([`/${HIDDEN}?token=hunter2`]);
  });

  test("stays when it is written back as it was shown, and no mask is ever stored in its place", async () => {
    const at = await receiver();
    const { pawl, added } = await erp(at.url);
    const edit = (changes: Record<string, unknown>) => pawl.destinations.edit("slack", changes);
    await edit({ ...added.config, timeout: "5s" });
    await edit({ url: added.config.url });
    if (isSealed) await edit({ url: "stored" });
    for (const mask of [
      `${at.url}/services/…`,
      `${at.url}/other/…?…`,
      "https://hooks.slack.com/services/…",
      "https://hooks.slack.com/services/***",
    ]) {
      await expect(edit({ url: mask })).rejects.toMatchObject({
        code: "invalid_option",
        message: expect.stringMatching(/`url`.*(?:…|\*\*\*).* in full/),
      });
    }
    await delivered(pawl, "slack");
    expect(at.received.map((one) => one.path)).toEqual([`/${HIDDEN}?token=hunter2`]);
    await edit({ url: `${at.url}/plain` });
    expect((await pawl.destinations.show("slack"))?.config.url).toBe(`${at.url}/plain`);
  });
});

test("R94: a mask is refused where there is nothing that it could stand for", async () => {
  const { pawl } = await shop();
  const mask = "https://hooks.slack.com/services/…";
  const add = (config: Record<string, unknown>) =>
    pawl.destinations.add({
      name: "slack",
      type: "webhook",
      config: { secret: SECRET, ...config },
    });
  await expect(add({ url: mask })).rejects.toThrow(/`url` to be in full/);
  await expect(add({ url: "https://a.example", headers: { "x-to": mask } })).rejects.toThrow(
    /in full/,
  );
  expect(() => webhook({ url: mask, secret: SECRET })).toThrow(/stands for what is hidden/);
});

test("R94: a URL in any header or field is shown masked, and stays when it is written back", async () => {
  const { pawl } = await shop();
  const to = "https://hooks.slack.com/services/T0/B0/hunter2";
  const config = { url: "https://a.example/x", secret: SECRET, headers: { "x-to": to } };
  const { config: shown } = await pawl.destinations.add({ name: "erp", type: "webhook", config });
  expect(shown.headers).toEqual({ "x-to": "https://hooks.slack.com/services/…" });
  await pawl.destinations.edit("erp", { ...shown, timeout: "5s" });
  expect(await storedText(pawl)).toContain(to);
});
