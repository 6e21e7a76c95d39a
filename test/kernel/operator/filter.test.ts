import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../../src/index.ts";
import { dead } from "../../../src/kernel/operator/dead/sql.ts";
import { ROWS_LOOKED_AT } from "../../../src/kernel/operator/filter.ts";
import { atEnd } from "../../support/at-end.ts";
import { freshDatabase } from "../../support/database.ts";

const job = (name: string, queue: string) =>
  defineJob({ name, queue, input: z.object({}).loose(), run: () => undefined });
const jobs = [
  job("send-email", "high"),
  job("send-sms", "normal"),
  job("count", "low"),
  job("bulk", "low"),
];
const [email, sms, count] = jobs;

let pawl: Pawl;
/** Live tasks, by a name for each. */
const ids = new Map<string, string>();

async function add(
  name: string,
  of: (typeof jobs)[number] | undefined,
  payload: Record<string, unknown>,
  options = {},
) {
  if (of === undefined) throw new Error("no job");
  ids.set(name, (await pawl.enqueue(of, payload, options)).id);
}

beforeAll(async () => {
  const { url } = await freshDatabase();
  pawl = await connect(defineApp({ name: "filters", jobs }), {
    databaseUrl: url,
    log: silentLogger,
  });
  atEnd(() => pawl.close());
  await add(
    "first",
    email,
    { user: { id: 42 }, to: "ada@example.com" },
    { key: "k 1", meta: { tenant: "a" } },
  );
  await add("second", sms, { user: { id: "42" }, total: 99.5 }, { priority: 0, lane: "l-1" });
  await add("third", sms, { user: { id: 7 }, total: 100 }, { lane: "l-1" });
  await add("fourth", count, { list: [1, 2] }, { runAt: new Date("2999-01-01") });
  // as attempts leave them
  await pawl.store.rows(
    `insert into pawl.dead (id, seq, stream_id, priority, attempt, crashes, reason, created_at, run_at, died_at, payload, error, lane)
     select 1000 + n, n, st.id, 1, n, 0, case n when 1 then 'crashed' else 'attempts' end, pawl.now() - interval '3 days', pawl.now(),
            pawl.now() - n * interval '1 hour', jsonb_build_object('n', n), jsonb_build_object('message', '50% of request ' || n || ' Timed out'),
            case n when 3 then 'l-9' end
       from generate_series(1, 4) n, pawl.stream st where st.kind = 'send-email'`,
  );
});

const found = async (filter: string) => {
  const byId = new Map([...ids].map(([name, id]) => [id, name]));
  return (await pawl.tasks.list({ filter })).map(({ id }) => byId.get(id) ?? id).sort();
};
const foundDead = async (filter: string) =>
  (await pawl.dead.list({ filter })).map(({ id }) => Number(id) - 1000);

describe("R59: tasks are found", () => {
  test.each([
    ["queue:high", ["first"]],
    ["queue:high,low", ["first", "fourth"]],
    ["-queue:high", ["fourth", "second", "third"]],
    ["kind:send-*", ["first", "second", "third"]],
    ["kind:send-* -kind:*sms", ["first"]],
    ["state:scheduled", ["fourth"]],
    ["-state:scheduled kind:count", []],
    ["state:dead,scheduled kind:send-email", ["1001", "1002", "1003", "1004"]],
    ["payload.user.id:42", ["first", "second"]],
    ["payload.user.id:4*", ["first", "second"]],
    ["payload.total:>99.5", ["third"]],
    ["payload.total:<=100", ["second", "third"]],
    ["-payload.user.id:42", ["fourth", "third"]],
    ["payload.list.1:2", ["fourth"]],
    ['key:"k 1"', ["first"]],
    ["key:k*", ["first"]],
    ["lane:l-1", ["second", "third"]],
    ["lane:l-1 priority:0", ["second"]],
    ["meta.tenant:a", ["first"]],
    ["attempt:0", ["first", "fourth", "second", "third"]],
    ["age:<1h", ["first", "fourth", "second", "third"]],
    ["age:>1h", []],
    ["since:1h before:1ms priority:1", ["first", "fourth", "third"]],
    ["err:x", []],
    ["worker:1", []],
  ])("by %j", async (filter, expected) => {
    expect(await found(filter)).toEqual(expected);
  });

  test.each([
    ["state:dead", [1, 2, 3, 4]],
    ["reason:crashed", [1]],
    ["-reason:crashed queue:high", [2, 3, 4]],
    ['err:"TIMED out"', [1, 2, 3, 4]],
    ["err:50%", [1, 2, 3, 4]],
    ["err:5_%", []],
    ['err:"request 3"', [3]],
    ["since:2h30m", [1, 2]],
    ["before:2h30m attempt:<4", [3]],
    ["age:>2d", [1, 2, 3, 4]],
    ["lane:l-9", [3]],
    ["id:1002,1004,999999", [2, 4]],
    ["-id:1002,1004", [1, 3]],
    ["payload.n:>=3", [3, 4]],
  ])(
    "dead, by %j: the list, the count, the groups and a dry run agree",
    async (filter, expected) => {
      expect(await foundDead(filter)).toEqual(expected);
      const groups = await pawl.dead.groups({ filter });
      expect(groups.reduce((sum, group) => sum + group.tasks, 0)).toBe(expected.length);
      for (const action of ["retry", "remove"] as const) {
        expect(await pawl.dead[action]({ all: true, filter, dryRun: true })).toMatchObject({
          count: expected.length,
        });
      }
    },
  );

  test("beside options, both have to fit; names that nobody defines are refused, and an empty filter never changes all", async () => {
    expect(await pawl.tasks.list({ queue: "high", filter: "kind:send-sms" })).toEqual([]);
    expect(await pawl.tasks.list({ state: "scheduled", filter: "state:ready" })).toEqual([]);
    await expect(found("queue:hihg")).rejects.toThrow('did you mean "high"?');
    await expect(foundDead("kind:send-emial")).rejects.toThrow('did you mean "send-email"?');
    await expect(pawl.dead.remove({ all: true, filter: " " })).rejects.toThrow("is empty");
    await expect(pawl.dead.remove(["1001"], { filter: "id:1" })).rejects.toThrow("without `all`");
    expect(await foundDead("")).toEqual([1, 2, 3, 4]);
  });
});

test("R59: what a filter cannot leave anything of is refused: `-state:dead` does not stand for all dead letters", async () => {
  const filter = "-state:dead";
  for (const call of [
    () => pawl.dead.list({ filter }),
    () => pawl.dead.groups({ filter }),
    () => pawl.dead.remove({ all: true, filter }),
    () => pawl.dead.retry({ all: true, filter: "kind:send-email -state:dead", dryRun: true }),
  ])
    await expect(call()).rejects.toMatchObject({
      code: "invalid_option",
      message: expect.stringContaining("`-state` leaves out all there are"),
    });
  expect(await foundDead("")).toEqual([1, 2, 3, 4]);
  expect(await found("-state:ready,scheduled,waiting,running")).toEqual([]);
});

test("R59: an id that a filter names twice is listed once", async () => {
  expect(await foundDead("id:1002,1002")).toEqual([2]);
  expect(await found("state:dead id:1002,1002")).toEqual(["1002"]);
});

describe("R59 R112: the text of a filter is data", () => {
  const HOSTILE = [
    "'; drop table pawl.dead; --",
    "' or '1'='1",
    "$1",
    "\\",
    "%",
    "_",
    '{"field":"id"}',
    "null",
    "\u202Eabc",
    "1e400",
  ];
  const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;

  test.each(HOSTILE)("%j in any place finds nothing and harms nothing", async (text) => {
    for (const field of ["lane", "key", `payload.${quoted(text)}`, "payload.user.id", "meta.x"]) {
      expect(await found(`${field}:${quoted(text)}`)).toEqual([]);
    }
    await expect(found(`queue:${quoted(text)}`)).rejects.toMatchObject({ code: "unknown_queue" });
    expect(await foundDead(`lane:${quoted(text)}`)).toEqual([]);
    expect(await foundDead("state:dead")).toHaveLength(4);
  });

  test("whatever fits the grammar is answered by the database as a model answers it", async () => {
    const rows = (await dead(pawl.store, { limit: 10 })).rows.map(
      ({ id, attempt, reason, lane, error }) => ({
        id: Number(id),
        attempt,
        reason,
        lane: lane ?? undefined,
        err: error?.message ?? "",
      }),
    );
    type Row = (typeof rows)[number];
    const like = (text: string | undefined, wanted: string) =>
      text !== undefined &&
      new RegExp(
        `^${wanted
          .split("*")
          .map((part) => part.replaceAll(/[.%^$+?()[\]{}|\\]/g, "\\$&"))
          .join(".*")}$`,
      ).test(text);
    const one = fc.oneof(
      fc
        .integer({ min: 1000, max: 1006 })
        .map((n) => [`id:${n}`, (row: Row) => row.id === n] as const),
      fc.tuple(fc.constantFrom(">", "<", ">=", "<=", ""), fc.integer({ min: 0, max: 5 })).map(
        ([op, n]) =>
          [
            `attempt:${op}${n}`,
            ({ attempt }: Row) =>
              ({
                ">": attempt > n,
                "<": attempt < n,
                ">=": attempt >= n,
                "<=": attempt <= n,
                "": attempt === n,
              })[op] === true,
          ] as const,
      ),
      fc
        .constantFrom("l-9", "l*", "*9", "L-9", "%", "l_9", "*")
        .map((lane) => [`lane:${lane}`, (row: Row) => like(row.lane, lane)] as const),
      fc
        .constantFrom("timed", "REQUEST 2", "%", "_", "4 t")
        .map(
          (text) =>
            [
              `err:${quoted(text)}`,
              (row: Row) => row.err.toLowerCase().includes(text.toLowerCase()),
            ] as const,
        ),
      fc
        .constantFrom("crashed", "attempts")
        .map((reason) => [`reason:${reason}`, (row: Row) => row.reason === reason] as const),
    );
    const terms = fc.array(fc.tuple(fc.boolean(), one), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(terms, async (all) => {
        const filter = all.map(([isNot, [text]]) => `${isNot ? "-" : ""}${text}`).join(" ");
        const expected = rows.filter((row) =>
          all.every(([isNot, [, fits]]) => fits(row) !== isNot),
        );
        expect(await foundDead(filter), filter).toEqual(expected.map(({ id }) => id - 1000));
      }),
      { numRuns: 150 },
    );
  });
});

test("R59 R110: a list reads a bounded part of a long backlog and says so, and what an index finds is found behind it", async () => {
  await pawl.store.rows(
    `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload, key)
     select (pawl.shards_of(st.id, 1::smallint, false))[1], st.queue_id, nextval('pawl.seq'), 'ready', pawl.now(), pawl.now(),
            jsonb_build_object('n', n), case n when 1 then pawl.full_key('bulk', 'oldest') end
       from pawl.stream st, generate_series(1, $1::int) n where st.kind = 'bulk' order by n`,
    [ROWS_LOOKED_AT + 10],
  );
  const notes: string[] = [];
  const report = (text: string, kind?: string) => kind === "line" && notes.push(text);
  const { tasksNoun } = await import("../../../src/kernel/operator/tasks/verbs.ts");
  const desk = { store: pawl.store, report } as never;
  const { taskFilter } = await import("../../../src/kernel/operator/filter.ts");
  const list = async (filter: string) => {
    notes.length = 0;
    const place = { label: "`filter`", option: "filter" };
    const input = { limit: 50, filter: taskFilter.read(filter, place) };
    const rows = (await tasksNoun.verbs.list.run(desk, input, {} as never)) as { id: string }[];
    return { count: rows.length, isCut: notes.length > 0 };
  };
  expect(await list("payload.n:1")).toEqual({ count: 0, isCut: true });
  expect(await list(`payload.n:${ROWS_LOOKED_AT + 9}`)).toEqual({ count: 1, isCut: true });
  expect(await list("key:oldest")).toEqual({ count: 1, isCut: false });
  expect(await list("kind:bulk")).toEqual({ count: 50, isCut: false });
  expect(await list("kind:send-* payload.user.id:7")).toEqual({ count: 1, isCut: false });
});
