/** Runs that go on in another version: each whole, or left as it is and told. */

import { expect, test } from "vitest";
import { defineProcess, type MigrateRun, type Pawl, type RunBefore } from "../../src/index.ts";
import { openTransaction } from "../support/database.ts";
import { waitForLocks } from "../support/kernel.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";
import { BASE, toMoney, v1, v2 } from "./two-versions.ts";

/** A run that waits for `paid`, in version 1. */
async function waiting(pawl: Pawl, order = 1): Promise<string> {
  const { id } = await pawl.start(v1, { order });
  await untilStatus(pawl, id, "waiting");
  return id;
}

/** With a run that waits in version 1, whose worker has stopped. */
async function deployed(migrate: MigrateRun): Promise<{ pawl: Pawl; id: string }> {
  const before = await pawlWith([v1]);
  const worker = await before.work();
  const id = await waiting(before);
  await worker.stop();
  return { pawl: await pawlWith([v2(migrate)], before.databaseUrl), id };
}

test("R17: a run moves with its outputs and data, its history says so, and it goes on in the new version", async () => {
  const seen: RunBefore[] = [];
  const { pawl, id } = await deployed((run) => {
    seen.push(structuredClone(run));
    return toMoney(run);
  });
  const act = { by: "ada", why: "version 1 is gone" };
  expect(await pawl.processes.migrate("order", { from: 1, dryRun: true, ...act })).toEqual({
    process: "order",
    from: 1,
    to: 2,
    isDryRun: true,
    count: 1,
    runs: [{ id, step: "paid", outcome: "planned", to: "money", reason: null }],
  });
  expect((await pawl.processes.show(id))?.run).toMatchObject({ version: 1, status: "waiting" });
  expect(await pawl.processes.migrate("order", { from: 1, ...act })).toMatchObject({
    isDryRun: false,
    count: 1,
    runs: [{ id, outcome: "migrated", to: "money" }],
  });
  expect(seen[1]).toEqual({
    id,
    version: 1,
    step: "paid",
    status: "waiting",
    input: { order: 1 },
    outputs: { reserve: { order: 1 } },
    data: { by: "v1", order: 1 },
  });
  const moved = await pawl.processes.show(id);
  expect(moved?.run).toMatchObject({ version: 2, status: "pending", step: "money" });
  expect(moved?.steps.at(-1)).toMatchObject({
    outcome: "migrated",
    message: "version 1 to 2",
    ...act,
  });
  expect(await pawl.audit.list({ target: `task:${id}` })).toMatchObject([
    { action: "processes.migrate", detail: { from: 1, to: 2, step: "money" }, ...act },
  ]);
  await pawl.work();
  await untilStatus(pawl, id, "waiting");
  await pawl.signal(id, "money", 5);
  const { steps } = await until("it waits for packed", async () => {
    const shown = await pawl.processes.show(id);
    return shown?.run.waitsFor === "packed" && shown;
  });
  expect(steps.find(({ step }) => step === "pack")?.output).toEqual({
    outputs: { reserve: { order: 1 }, money: 5 },
    data: { by: "v1", order: 1, moved: true },
    given: { order: 1 },
  });
  expect(await pawl.processes.versions("order")).toMatchObject([
    { version: 1, live: "0", errors: "0" },
    { version: 2, live: "1" },
  ]);
});

test("runs that are held, in error, scheduled for later, in a lane and not begun move, and stay what they are", async () => {
  const holding = defineProcess({
    ...BASE,
    version: 1,
    steps: (s) =>
      s
        .call("look", ({ input: { order }, hold }) => {
          if (order === 2) throw new Error("no carrier");
          return order === 1 ? hold("look at it") : undefined;
        })
        .wait("paid"),
  });
  const before = await pawlWith([holding]);
  const worker = await before.work();
  const held = await before.start(holding, { order: 1 });
  const failed = await before.start(holding, { order: 2 }, { lane: "a" });
  const first = await before.start(holding, { order: 3 }, { lane: "b" });
  await untilStatus(before, held.id, "held");
  await untilStatus(before, failed.id, "error");
  await untilStatus(before, first.id, "waiting");
  const behindDead = await before.start(holding, { order: 3 }, { lane: "a" });
  const behind = await before.start(holding, { order: 4 }, { lane: "b" });
  const later = await before.start(holding, { order: 5 }, { runAt: new Date(Date.now() + 1e8) });
  await worker.stop();
  const next = defineProcess({
    ...BASE,
    version: 2,
    migrate: {
      1: ({ step, status }) => ({ step: step === "look" ? "see" : step, data: { status } }),
    },
    steps: (s) => s.call("see", ({ data }) => data).wait("paid"),
  });
  const pawl = await pawlWith([next], before.databaseUrl);
  const { count, runs } = await pawl.processes.migrate("order", { from: 1 });
  expect(count).toBe(6);
  expect(runs.map(({ id }) => id)).toEqual(
    [held, failed, first, behindDead, behind, later].map(({ id }) => id),
  );
  expect((await pawl.processes.versions("order"))[0]).toMatchObject({ live: "0", errors: "0" });
  await pawl.work();
  expect((await untilStatus(pawl, held.id, "held")).run).toMatchObject({
    step: "paid",
    message: "look at it",
  });
  await pawl.processes.release(held.id);
  await untilStatus(pawl, held.id, "waiting");
  const dead = await pawl.processes.show(failed.id);
  expect(dead?.run).toMatchObject({ version: 2, status: "error", step: "see" });
  await pawl.processes.restart(failed.id);
  const done = await untilStatus(pawl, failed.id, "waiting");
  expect(done.steps.find((row) => row.step === "see" && row.outcome === "done")?.output).toEqual({
    status: "error",
  });
  for (const one of [failed, first]) await pawl.signal(one.id, "paid");
  for (const one of [behindDead, behind]) await untilStatus(pawl, one.id, "waiting");
  expect((await pawl.task(later.id))?.state).toBe("scheduled");
  expect((await pawl.processes.show(later.id))?.run).toMatchObject({ version: 2, step: "see" });
});

test("what a run waits for goes on at a step of the same name: no second child, no time that begins again", async () => {
  const sub = defineProcess({ ...BASE, name: "sub", version: 1, steps: (s) => s.wait("word") });
  const asks: string[] = [];
  const parent = (version: number) =>
    defineProcess({
      ...BASE,
      name: "parent",
      version,
      ...(version === 2 && { migrate: { 1: ({ step }) => ({ step }) } }),
      steps: (s) => {
        const all = s.child("sub", { process: sub, input: ({ input: given }) => given });
        return version === 1 ? all : all.call("end", ({ outputs }) => outputs.sub);
      },
    });
  const timed = (version: number) =>
    defineProcess({
      ...BASE,
      name: "timed",
      version,
      ...(version === 2 && { migrate: { 1: ({ step }) => ({ step }) } }),
      steps: (s) => {
        const all = s.wait("paid", { timeout: "1h" }).call("pay", () => void asks.push("paid"), {
          ifInterrupted: () => {
            asks.push("asked");
            return "hold";
          },
        });
        return version === 1 ? all : all.call("end", () => 1);
      },
    });
  const before = await pawlWith([parent(1), timed(1), sub]);
  const [first, second] = before.app.processes;
  if (first === undefined || second === undefined) throw new Error("no processes");
  const worker = await before.work();
  const { id } = await before.start(first, { order: 1 });
  const { id: waits } = await before.start(second, { order: 1 });
  const { id: cut } = await before.start(second, { order: 1 });
  for (const one of [id, waits, cut]) await untilStatus(before, one, "waiting");
  await worker.stop();
  await before.processes.complete(cut, "paid");
  await before.store.rows(
    "insert into pawl.process_step (run_id, no, seq, step, outcome, next) values ($1, 3, 0, 'pay', 'began', 'pay')",
    [cut],
  );
  const until1 = (await before.processes.show(waits))?.run.until;
  const pawl = await pawlWith([parent(2), timed(2), sub], before.databaseUrl);
  expect((await pawl.processes.migrate("parent", { from: 1 })).count).toBe(1);
  expect((await pawl.processes.migrate("timed", { from: 1 })).count).toBe(2);
  await pawl.work();
  await untilStatus(pawl, cut, "held");
  expect(asks).toEqual(["asked"]);
  expect((await untilStatus(pawl, waits, "waiting")).run.until).toEqual(until1);
  const children = await pawl.processes.list({ process: "sub" });
  expect(children).toHaveLength(1);
  await pawl.signal(children[0]?.id ?? "", "word", "heard");
  await untilStatus(pawl, id, "done");
  expect((await pawl.task(id))?.result).toMatchObject({ status: "done", output: "heard" });
  expect(await pawl.processes.list({ process: "sub" })).toHaveLength(1);
});

test("items of an `each` that were done are not done again in the new version", async () => {
  const ran: string[] = [];
  let isUp = false;
  const items = (version: number) =>
    defineProcess({
      ...BASE,
      name: "items",
      version,
      ...(version === 2 && { migrate: { 1: ({ step }) => ({ step }) } }),
      steps: (s) => {
        const all = s.each("send", {
          items: () => ["a", "b", "c"].map((one) => one + version),
          onFailed: "error",
          run: (item) => {
            if (!isUp && item === "b1") throw new Error("no");
            ran.push(item);
          },
        });
        return version === 1 ? (all as never) : all.call("end", ({ outputs }) => outputs.send.done);
      },
    });
  const before = await pawlWith([items(1)]);
  const [first] = before.app.processes;
  if (first === undefined) throw new Error("no process");
  const worker = await before.work();
  const { id } = await before.start(first, { order: 1 });
  await untilStatus(before, id, "error");
  await worker.stop();
  const pawl = await pawlWith([items(2)], before.databaseUrl);
  expect((await pawl.processes.migrate("items", { from: 1 })).count).toBe(1);
  isUp = true;
  await pawl.processes.restart(id);
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(ran.toSorted()).toEqual(["a1", "b1", "c1"]);
  expect((await pawl.task(id))?.result).toBe(3);
});

test("a function that fails, or answers what does not fit, leaves its run as it is and tells why; the others move", async () => {
  const before = await pawlWith([v1]);
  const worker = await before.work();
  const ids: string[] = [];
  for (let order = 1; order <= 10; order += 1) ids.push(await waiting(before, order));
  await worker.stop();
  const answers: Record<number, () => unknown> = {
    1: () => {
      throw new Error("unknown carrier");
    },
    2: () => undefined,
    3: () => ({ step: "pakc" }),
    4: () => ({ step: "money", input: { order: "x" } }),
    5: () => ({ step: "money", outputs: { ship: 1 } }),
    6: () => ({ step: "money", data: { n: 1n } }),
    7: () => Promise.reject(new Error("unheard")),
    8: () => ({ stp: "money" }),
    9: () => ({ step: "money", data: { a: "x\u0000" } }),
    10: () => ({ step: "money" }),
  };
  const odd: MigrateRun = ({ input: given }) =>
    answers[(given as { order: number }).order]?.() as never;
  const pawl = await pawlWith([v2(odd)], before.databaseUrl);
  const { count, runs } = await pawl.processes.migrate("order", { from: 1 });
  expect(count).toBe(1);
  const reasons = [
    "unknown carrier",
    "leaves it as it is",
    'version 2 has no step "pakc"; did you mean "pack"',
    "order: Invalid input",
    'version 2 has no step "ship"',
    "bigint",
    "returned a promise",
    "no option `stp`",
    "u0000",
  ];
  for (const [i, reason] of reasons.entries()) {
    expect(runs[i]).toMatchObject({ id: ids[i], step: "paid", outcome: "refused", to: null });
    expect(runs[i]?.reason).toContain(reason);
    const shown = await pawl.processes.show(ids[i] ?? "");
    expect(shown?.run).toMatchObject({ version: 1, status: "waiting" });
    expect(shown?.steps.at(-1)?.outcome).toBe("waiting");
  }
  expect(runs[9]).toMatchObject({ id: ids[9], outcome: "migrated" });
});

test("a run that a worker holds is left and told; one that goes on between the reading and the writing is not half moved", async () => {
  const before = await pawlWith([v1]);
  let isLetGo: (() => void) | undefined;
  const slow = defineProcess({
    ...BASE,
    version: 1,
    steps: (s) =>
      s
        .call("reserve", ({ input: { order } }) =>
          order === 1 ? new Promise<void>((resolve) => (isLetGo = resolve)) : undefined,
        )
        .wait("paid")
        .call("ship", () => "shipped"),
  });
  const pawl = await pawlWith([v2(toMoney, [slow])], before.databaseUrl);
  const { id: running } = await before.start(v1, { order: 1 });
  const { id } = await before.start(v1, { order: 2 });
  await pawl.work();
  await until("the first one runs", () => isLetGo);
  await untilStatus(pawl, id, "waiting");

  const tx = await openTransaction(pawl.databaseUrl);
  await tx.query("select * from pawl.lock_task($1)", [id]);
  await waitForLocks(pawl.store, "migrate_runs_v1");
  const migrating = pawl.processes.migrate("order", { from: 1 });
  await until("it waits for the run's lock", async () => {
    const waits = await pawl.store.rows(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%migrate_runs_v1%'",
    );
    return waits.length > 0;
  });
  await tx.query("select pawl.signal_process_v1($1, 'paid', '1', 'ada')", [id]);
  await tx.query(
    "insert into pawl.process_step (run_id, no, step, outcome, next) values ($1, 3, 'paid', 'completed', 'ship')",
    [id],
  );
  await tx.query("commit");
  expect((await migrating).runs).toMatchObject([
    { id: running, outcome: "running", reason: expect.stringContaining("runs now") },
    { id, outcome: "moved", reason: expect.stringContaining("meanwhile") },
  ]);
  await untilStatus(pawl, id, "done");
  const { steps } = (await pawl.processes.show(id)) ?? {};
  expect(steps?.some(({ outcome }) => outcome === "migrated")).toBe(false);
  isLetGo?.();
});

test("a migration that fails in the middle of a batch moves none of it", async () => {
  const before = await pawlWith([v1]);
  const worker = await before.work();
  const ids = [await waiting(before, 1), await waiting(before, 2)];
  await worker.stop();
  const pawl = await pawlWith([v2(toMoney)], before.databaseUrl);
  await pawl.store.rows(`create function public.refuse() returns trigger language plpgsql as
    $$ begin if new.target = 'task:${ids[1]}' then raise exception 'no'; end if; return new; end $$`);
  await pawl.store.rows(
    "create trigger refuse before insert on pawl.audit for each row execute function public.refuse()",
  );
  await expect(pawl.processes.migrate("order", { from: 1 })).rejects.toThrow("no");
  for (const id of ids) {
    const shown = await pawl.processes.show(id);
    expect(shown?.run).toMatchObject({ version: 1, status: "waiting" });
  }
  await pawl.store.rows("drop trigger refuse on pawl.audit");
  expect((await pawl.processes.migrate("order", { from: 1 })).count).toBe(2);
});

test("what no definition says is refused, with what there is", async () => {
  const { pawl } = await deployed(toMoney);
  const refused: [string, object, string][] = [
    ["ordre", { from: 1 }, 'no process "ordre"; did you mean "order"'],
    ["order", { from: 1, to: 3 }, "no version 3 of process"],
    ["order", { from: 2, to: 1 }, "does not say what becomes of runs of version 2"],
    ["order", { from: 0 }, "`from`"],
    ["order", { from: 1, limit: 0 }, "`limit`"],
    ["order", { from: 1, dryRn: true }, "dryRun"],
  ];
  for (const [process, options, message] of refused) {
    const migrating = pawl.processes.migrate(process, options as { from: number });
    await expect(migrating).rejects.toThrow(message);
    await expect(migrating).rejects.toMatchObject({ code: "invalid_option" });
  }
  const third = (migrate: unknown) =>
    defineProcess({
      ...BASE,
      version: 3,
      steps: (s) => s.wait("a"),
      migrate: migrate as Record<number, MigrateRun>,
    });
  for (const migrate of [[], 5, { one: () => 1 }, { 1: 5 }, { "-1": () => 1 }])
    expect(() => third(migrate)).toThrow("an object with a function for each version");
  expect(() => third({ 3: toMoney })).toThrow("`migrate` has version 3, which is this one");
  const other = await pawlWith([third({ 7: toMoney })], pawl.databaseUrl);
  await expect(other.processes.migrate("order", { from: 7 })).rejects.toThrow(
    "no version 7 of process",
  );
});
