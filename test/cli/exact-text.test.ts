import { beforeAll, expect, test } from "vitest";
import { type Bench, bench } from "../kernel/operator/fixture.ts";
import { here } from "./here.ts";

/** What JavaScript's numbers cannot hold; in the order in which PostgreSQL keeps it. */
const EXACT = `{"id": 9007199254740993, "huge": 1${"0".repeat(400)}, "cents": 0.10}`;
const META = '{"trace": 12345678901234567890}';
/** Clears the screen, in both ways; turns the direction; ends a line. */
const STEERING = ["\u001b[2J", "\u009b2J", "\u007f", "\u202e", "\u2028", "\u2066", "\ufeff"];
const INDENTED = EXACT.replace("{", "{\n  ").replaceAll(", ", ",\n  ").replace("}", "\n}");

let at: Bench;

beforeAll(async () => {
  at = await bench();
});

const cli = (...args: string[]) => here(at.url, ...args);

/** Without the indent that its place in a document gives it. */
function flat(text: string): string {
  return text.replace(/\n\s*/g, "").replaceAll(/,(?=")/g, ", ");
}

async function enqueued(payload: string): Promise<string> {
  const [row] = await at.store.rows<{ id: string }>("select id from pawl.enqueue($1)", [
    `[{"queue": "low", "kind": "exact", "payload": ${payload}, "meta": ${META}}]`,
  ]);
  return row?.id ?? "";
}

test("R114: the command line hands payloads on as they are: recorded, listed and shown, digit by digit", async () => {
  const about = ["--aggregate", "order:1", "--payload", EXACT, "--meta", META];
  const event = await cli("events", "record", "order.placed", ...about);
  const [row] = await at.store.rows<{ payload: string }>(
    "select payload::text as payload from pawl.event where id = $1",
    [event],
  );
  expect(row?.payload).toBe(EXACT);
  const task = await enqueued(EXACT);
  const dead = await enqueued(EXACT);
  await at.store.rows(
    `with gone as (delete from pawl.task where id = $1 returning id, seq, shard_id, run_at, created_at, payload)
     insert into pawl.dead (id, seq, stream_id, priority, attempt, crashes, reason, created_at, run_at, died_at, payload)
     select g.id, g.seq, h.stream_id, h.priority, 1, 0, 'attempts', g.created_at, g.run_at, pawl.now(), g.payload
       from gone g join pawl.shard h on h.id = g.shard_id`,
    [dead],
  );
  await at.store.rows(
    `insert into pawl.source (name, type, config, cursor_kind, is_push, start, gap, idle, on_fault, retry, high_water, low_water,
       ordering, has_handler, application, requested, highest)
     values ('feed', 'http', '{}', 'number', false, '0', '0', '0', '{}', '{}', 1, 1, 'none', false, 'app', '0', '0')`,
  );
  const [aside] = await at.store.rows<{ number: string }>(
    `insert into pawl.inbox (source_id, event_id, state, after_cursor, payload, meta, error, failed_at)
     select id, '1', 'bad', '0', $1, $2, 'no', pawl.now() from pawl.source returning number`,
    [EXACT, META],
  );
  for (const args of [
    ["events", "show", event],
    ["events", "list"],
    ["tasks", "show", task],
    ["dead", "show", dead],
    ["dead", "list"],
    ["inbox", "show", aside?.number ?? ""],
    ["inbox", "list"],
  ]) {
    const json = await cli(...args, "--json");
    expect(flat(json), args.join(" ")).toContain(`"payload": ${EXACT}`);
    expect(JSON.stringify(JSON.parse(json)), args.join(" ")).not.toContain("payloadText");
    if (args[1] === "list") continue;
    expect(flat(json), args.join(" ")).toContain(args[0] === "dead" ? '"payload"' : META);
    expect((await cli(...args)).replaceAll(/^ {2}/gm, ""), args.join(" ")).toContain(INDENTED);
  }
});

test("R114: what came from elsewhere steers no terminal, neither as text nor as JSON", async () => {
  const payload = JSON.stringify({ text: STEERING.join("x"), tab: "a\tb" });
  const task = await enqueued(payload);
  for (const more of [[], ["--json"]]) {
    const out = await cli("tasks", "show", task, ...more);
    for (const one of STEERING) expect(out).not.toContain(one);
    for (const one of ["\\u001b[2J", "\\u009b2J", "\\u007f", "\\u202e", "\\u2028", "\\ufeff"]) {
      expect(out).toContain(one);
    }
  }
  const json = JSON.parse(await cli("tasks", "show", task, "--json")) as {
    task: { payload: unknown };
  };
  expect(json.task.payload).toEqual(JSON.parse(payload));
});
