import { describe, expect, test } from "vitest";
import { checkPage } from "../../src/inbox/contract.ts";
import { FAKE_FAULTS, type FakeFault, fakeSource } from "../../src/testing/index.ts";
import { fetchContext, readAll, windowOf } from "../inbox/sources/reading.ts";

const asked = { cursor: "number", after: "0", limit: 3, payloadBytesMax: 1_000_000 } as const;

describe("R37: the fake source", () => {
  test("answers pages by id, records each request, and takes more events", async () => {
    const fake = fakeSource(7, { limit: 3 });
    const { window } = await readAll(fake.source);
    fake.add({ id: "9", payload: null });
    await readAll(fake.source, window);
    expect(fake.requests.map(({ after, ids }) => [after, ids.length])).toEqual([
      ["0", 3],
      ["3", 3],
      ["6", 1],
      ["7", 1],
    ]);
    expect([...fake.fetched.entries()]).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 9].map((id) => [String(id), 1]),
    );
  });

  test.each<[FakeFault, object]>([
    ["unsent", { name: "SourceUnavailable", sent: "no" }],
    ["unknown", { name: "SourceUnavailable", sent: "unknown" }],
    ["answered", { name: "SourceAnswered", status: 500 }],
    ["unreadable", { name: "SourceAnswered" }],
  ])("fails as it is told to: %s", async (fault, expected) => {
    const fake = fakeSource(2, { faults: { 1: fault } });
    await expect(readAll(fake.source)).rejects.toMatchObject(expected);
    expect(fake.requests).toEqual([{ no: 1, after: "0", limit: 1_000, fault, ids: [] }]);
    expect((await readAll(fake.source)).pages[0]?.events).toHaveLength(2);
  });

  test("loses an answer until the signal", async () => {
    const { source } = fakeSource(2, { faults: () => "lost" });
    const stop = new AbortController();
    const asking = source.request(windowOf(source), fetchContext(stop.signal));
    stop.abort();
    await expect(asking).rejects.toMatchObject({ sent: "unknown" });
  });

  test.each<FakeFault>(["unordered", "behind", "too-many"])(
    "breaks the contract, which is noticed: %s",
    async (fault) => {
      const { source } = fakeSource(5, { limit: 3, faults: { 1: fault } });
      const raw = await source.request(windowOf(source), fetchContext());
      const page = source.parse(raw, windowOf(source));
      expect(() => checkPage(page, asked)).toThrow(/broke its contract/);
    },
  );

  test("knows each of its faults, and refuses ids that do not ascend", () => {
    expect(FAKE_FAULTS).toHaveLength(9);
    const define = () =>
      fakeSource([
        { id: "2", payload: 0 },
        { id: "1", payload: 0 },
      ]);
    expect(define).toThrow(expect.objectContaining({ code: "invalid_option" }));
  });
});
