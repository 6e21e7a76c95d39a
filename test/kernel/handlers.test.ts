/** Which handler a worker calls for the tasks of a queue and a kind: one rule for all parts. */

import { expect, test } from "vitest";
import { streams } from "../../src/kernel/sql.ts";
import { Streams } from "../../src/kernel/streams.ts";
import type { TaskHandler } from "../../src/kernel/task.ts";
import { freshStore } from "../support/database.ts";
import { defineKinds } from "../support/kernel.ts";

function handler(timeoutMs: number, of: Pick<TaskHandler, "queue" | "kind">): TaskHandler {
  return { ...of, version: 1, timeoutMs, run: () => undefined };
}

test("R116: a handler fits by its queue and kind, or by how they begin, and a queue that handlers name is theirs alone: a job called like a kind of a part takes none of its tasks", async () => {
  const store = await freshStore();
  await defineKinds(store, { queue: "low", kinds: ["mail", "request:a.example", "other"] });
  await defineKinds(store, { queue: "requests", kinds: ["request:a.example", "request", "mail"] });
  await defineKinds(store, { queue: "destination:erp", kinds: ["delivery:webhook", "delivery"] });
  const made = new Streams({
    handlers: [
      handler(5, { kind: "delivery" }),
      handler(6, { kind: "delivery:webhook" }),
      handler(7, { queue: "destination:*", kind: "delivery:webhook" }),
      handler(1, { kind: "mail" }),
      handler(2, { kind: "request:a.example" }),
      handler(3, { queue: "requests", kind: "request:*" }),
      handler(4, { queue: "requests", kind: "mail" }),
    ],
    queues: ["requests"],
    otherQueues: true,
  });
  expect(await made.refresh(store)).toBe(true);
  const found = (await streams(store)).map(({ id, queue, kind }) => {
    const one = made.handlers.get(id);
    if (one !== undefined) expect(one).toMatchObject({ queue, kind });
    return [`${queue} ${kind}`, one?.timeoutMs] as const;
  });
  expect(Object.fromEntries(found)).toEqual({
    "low mail": 1,
    "low request:a.example": 2,
    "low other": undefined,
    "requests request:a.example": 3,
    "requests request": undefined,
    "requests mail": 4,
    "destination:erp delivery:webhook": 7,
    "destination:erp delivery": undefined,
  });
  expect(await made.refresh(store)).toBe(false);
});
