import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  type EnqueueOptions,
  type Pawl,
  Unrecoverable,
} from "../../src/index.ts";
import { removeDead, retryDead } from "../../src/kernel/operator/dead/sql.ts";
import { promote } from "../../src/kernel/sql.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

const OPERATOR = { by: "ada", why: "test" };

let pawl: Pawl;
const ran: string[] = [];
let dies: (n: string) => boolean = () => false;

const job = defineJob({
  name: "step",
  input: z.object({ n: z.string() }),
  run: ({ n }) => {
    ran.push(n);
    if (dies(n)) throw new Unrecoverable("no");
  },
});

beforeAll(async () => {
  const { url } = await freshDatabase({ longLeases: true });
  pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
});
afterAll(() => pawl.close());
beforeEach(async () => {
  ran.length = 0;
  dies = () => false;
  await pawl.store.rows("delete from pawl.task");
  await pawl.store.rows("delete from pawl.task_after");
});

type More = EnqueueOptions & { tx?: unknown };

async function put(n: string, more: More = {}): Promise<string> {
  return (await pawl.enqueue(job, { n }, more as EnqueueOptions)).id;
}

async function work(): Promise<void> {
  const worker = await pawl.work();
  onTestFinished(() => worker.stop().then(() => undefined));
}

function comes(id: string, state: string) {
  return until(`task ${id} is ${state}`, async () => {
    const task = await pawl.task(id);
    return task?.state === state && task;
  });
}

/** As the promoter of a worker does, until it finds nothing. */
async function promoted(): Promise<void> {
  await until("nothing is left for the promoter", async () => {
    await promote(pawl.store, 100);
    const rows = await pawl.store.rows("select from pawl.task_to_wake");
    return rows.length === 0;
  });
}

/** Ends a task as its worker's turn would, in the transaction of this client. */
const end = "select pawl.finish_v1(array[$1::bigint], 'cancelled', null)";

const leftRows = () => pawl.store.rows("select task_id, after_id from pawl.task_after");

describe("a task that waits for others", () => {
  test("R118: is parked until all of them are done, also those that ended before, and costs nothing afterwards", async () => {
    const early = await put("early");
    await work();
    await comes(early, "done");
    const [a, b] = [await put("a", { delay: "1h" }), await put("b", { delay: "1h" })];
    const last = await put("last", { after: [early, a, b] });
    const now = await put("now", { after: early });
    await comes(now, "done");
    await comes(last, "parked");
    await pawl.reschedule(a, { delay: 0 });
    await comes(a, "done");
    await until("it waits for one", async () => (await leftRows()).length === 1);
    expect((await pawl.task(last))?.state).toBe("parked");
    const { line } = await pawl.why(last);
    expect(line).toContain(`waits for the end of task ${b}`);
    await pawl.reschedule(b, { delay: 0 });
    await comes(last, "done");
    expect(ran).toEqual(["early", "now", "a", "b", "last"]);
    expect(await leftRows()).toEqual([]);
  });

  test("R118: an empty list, as code computes it, waits for nothing", async () => {
    const id = await put("free", { after: [], onDead: "cancel" });
    expect((await pawl.task(id))?.state).toBe("ready");
    expect(await leftRows()).toEqual([]);
  });

  test("R118: others of the same transaction; a rollback leaves nothing", async () => {
    const ids = await pawl.transaction(async (tx) => {
      const first = await put("1", { tx });
      const second = await put("2", { tx, after: first });
      return [first, second, await put("3", { tx, after: [first, second], onDead: "cancel" })];
    });
    const rolledBack = pawl.transaction(async (tx) => {
      await put("never", { tx, after: ids[0] ?? "" });
      throw new Error("no");
    });
    await expect(rolledBack).rejects.toThrow("no");
    await work();
    await comes(ids[2] ?? "", "done");
    expect(ran).toEqual(["1", "2", "3"]);
    expect(await leftRows()).toEqual([]);
  });

  test("R118: in a lane it keeps its place, and the lane waits with it", async () => {
    const lane = "orders";
    const first = await put("first", { delay: "1h" });
    const head = await put("head", { lane, after: first });
    const behind = await put("behind", { lane });
    const both = await put("both", { lane, after: [first, behind] });
    await work();
    await comes(head, "parked");
    await until("the lane is sorted", async () => {
      const rows = await pawl.store.rows("select from pawl.task where state = 'waiting'");
      return rows.length === 2;
    });
    await pawl.reschedule(first, { delay: 0 });
    await comes(both, "done");
    expect(ran).toEqual(["first", "head", "behind", "both"]);
    expect((await pawl.task(behind))?.state).toBe("done");
  });

  test("R118: a long chain, enqueued at once and cancelled at its beginning, is cancelled to its end", async () => {
    const first = await put("0", { delay: "1h" });
    let before = first;
    await pawl.transaction(async (tx) => {
      for (let n = 1; n <= 60; n += 1) before = await put(String(n), { tx, after: before });
    });
    await promoted();
    await pawl.cancel(first, OPERATOR);
    await promoted();
    expect(await pawl.task(before)).toMatchObject({ state: "cancelled" });
    expect((await pawl.task(before))?.error?.message).toMatch(
      /^task \d+, which it waited for, was cancelled$/,
    );
    expect(await leftRows()).toEqual([]);
  });
});

describe("what one that dies means", () => {
  test("R118: wait: until it was retried and is done; `why` names it", async () => {
    dies = (n) => n === "bad";
    const bad = await put("bad");
    const after = await put("after", { after: bad });
    await work();
    await comes(bad, "dead");
    await comes(after, "parked");
    expect((await pawl.why(after)).line).toContain(
      `waits for the end of task ${bad}; dead of these: ${bad}; \`pawl dead retry ${bad}\``,
    );
    const later = await put("later", { after: bad }); // it had died before
    await until("both are looked at", async () => {
      const rows = await pawl.store.rows("select from pawl.task_to_wake");
      return rows.length === 0;
    });
    dies = () => false;
    await retryDead(pawl.store, [bad], OPERATOR);
    await comes(after, "done");
    await comes(later, "done");
  });

  test("R118: wait: removed, cancelled or expired, it cancels what waits; cancel: dead, at once; run: any end counts", async () => {
    dies = (n) => n === "bad";
    const bad = await put("bad");
    const [wait, cancel, run] = [
      await put("wait", { after: bad }),
      await put("cancel", { after: bad, onDead: "cancel" }),
      await put("run", { after: bad, onDead: "run" }),
    ];
    await work();
    await comes(run, "done");
    expect((await comes(cancel, "cancelled")).error?.message).toBe(
      `task ${bad}, which it waited for, is dead`,
    );
    expect((await pawl.task(wait))?.state).toBe("parked");
    await removeDead(pawl.store, [bad], OPERATOR);
    expect((await comes(wait, "cancelled")).error?.message).toBe(
      `task ${bad}, which it waited for, was removed`,
    );
    const tooLate = await pawl.enqueue(job, { n: "x" }, { delay: "1h", expiresIn: 1 });
    const behind = await put("behind", { after: tooLate.id });
    expect((await comes(behind, "cancelled")).error?.message).toContain("has expired");
    expect(ran).toEqual(["bad", "run"]);
    expect(await leftRows()).toEqual([]);
  });
});

describe("two ends at once", () => {
  test.each(["commit", "rollback"])(
    "R118: two transactions that end the last two, the first with %s: exactly the last one lets it go on",
    async (how) => {
      const [a, b] = [await put("a", { delay: "1h" }), await put("b", { delay: "1h" })];
      const last = await put("last", { after: [a, b], onDead: "run" });
      await promoted();
      const [one, two] = [await rawClient(pawl.store.url), await rawClient(pawl.store.url)];
      await one.query("begin");
      await two.query("begin");
      await one.query(end, [a]);
      await two.query(end, [b]); // the first has not committed, and holds what waits
      await two.query("commit");
      await promoted1();
      expect((await pawl.task(last))?.state).toBe("parked");
      await one.query(how);
      await promoted();
      expect((await pawl.task(last))?.state).toBe(how === "commit" ? "ready" : "parked");
      if (how === "commit") return;
      await pawl.store.rows(end, [a]);
      await promoted();
      expect((await pawl.task(last))?.state).toBe("ready");
    },
  );

  test("R118: an end that commits while the promoter has not looked yet, or cannot, is not missed", async () => {
    const a = await put("a", { delay: "1h" });
    const client = await rawClient(pawl.store.url);
    await client.query("begin");
    await client.query(end, [a]);
    const last = await put("last", { after: a, onDead: "run" });
    await promoted1(); // finds the other one locked
    expect((await pawl.task(last))?.state).toBe("parked");
    await client.query("commit");
    await promoted();
    expect((await pawl.task(last))?.state).toBe("ready");
  });

  /** One round, which may leave something. */
  async function promoted1(): Promise<void> {
    await promote(pawl.store, 100);
  }
});

describe("from SQL, and what is refused", () => {
  const sql = async (task: object) =>
    pawl.store.rows("select * from pawl.enqueue($1::text::jsonb)", [
      JSON.stringify([{ kind: "step", payload: { n: "x" }, ...task }]),
    ]);

  test("R70b R118: what replaces a waiting task waits for nobody, and leaves nothing of what that one waited for", async () => {
    const first = await put("first");
    const old = await put("old", { after: [first], key: "k" });
    expect(await pawl.enqueue(job, { n: "new" }, { key: "k", unique: { replace: true } })).toEqual({
      id: old,
      outcome: "replaced",
    });
    expect(await leftRows()).toEqual([]);
    await pawl.cancel(first);
    await promoted();
    await work();
    await comes(old, "done");
    expect(ran).toEqual(["new"]);
  });

  test("R118: the same from SQL; bad ones are refused before anything is written", async () => {
    const a = await put("a", { delay: "1h" });
    await sql({ after: [Number(a), a], on_dead: "run" });
    await sql({ after: null });
    await sql({ after: [] });
    const before = await pawl.store.rows("select id from pawl.task");
    expect(before).toHaveLength(4);
    for (const [bad, rule] of [
      [{ after: a }, "bad after"],
      [{ after: [0] }, "bad after"],
      [{ after: ["x"] }, "bad after"],
      [{ after: [null] }, "bad after"],
      [{ after: Array.from({ length: 1_001 }, () => a) }, "bad after"],
      [{ after: [a], on_dead: "skip" }, "bad on_dead"],
      [{ on_dead: "run" }, "bad on_dead"],
      [{ after: [a], delay_ms: 1 }, "bad after: with a time"],
      [{ after: [a], key: "k", unique: { replace: true } }, "bad after: with such a key"],
      [{ after: [999_999] }, "task no. 1 of the call: after: there is no task 999999"],
    ] as const)
      await expect(sql(bad)).rejects.toThrow(rule);
    expect(await pawl.store.rows("select id from pawl.task")).toEqual(before);
  });

  test("R112: code refuses the same, naming the option", async () => {
    const a = await put("a", { delay: "1h" });
    for (const [bad, option] of [
      [{ after: "x" }, "after"],
      [{ after: a, delay: "1s" }, "delay"],
      [{ after: a, runAt: new Date() }, "runAt"],
      [{ after: a, key: "k", unique: { replace: true } }, "after"],
      [{ onDead: "run" }, "onDead"],
      [{ after: a, onDead: "skip" }, "onDead"],
    ] as const)
      await expect(pawl.enqueue(job, { n: "x" }, bad as EnqueueOptions)).rejects.toMatchObject({
        code: "invalid_option",
        data: { option },
      });
    const outcome = { id: a, outcome: "created" };
    await expect(pawl.enqueue(job, { n: "x" }, { after: [outcome] } as never)).rejects.toThrow(
      "give its `id`",
    );
    const many = await pawl.enqueueMany(job, [{ n: "1" }, { n: "2" }], { after: [a] });
    expect(await leftRows()).toHaveLength(many.length);
  });
});
