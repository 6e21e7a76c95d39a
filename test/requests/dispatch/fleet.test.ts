import { describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/base/log.ts";
import type { Pawl } from "../../../src/index.ts";
import { runOne } from "../../../src/kernel/run-one/run-one.ts";
import { requestHandler } from "../../../src/requests/dispatch/handler.ts";
import { keyRing } from "../../../src/requests/dispatch/key-ring.ts";
import { openSender } from "../../../src/sender/sender.ts";
import { deferred, freePort } from "../../sender/local-servers.ts";
import { movableClock } from "../../support/clock.ts";
import { freshDatabase } from "../../support/database.ts";
import { until } from "../../support/until.ts";
import { app, ended, failed, receiver } from "./support.ts";

const SPEC = { method: "POST", body: "x" } as const;
const HOUR_MS = 3_600_000;

async function kindsOf(pawl: Pawl): Promise<string[]> {
  const rows = await pawl.store.rows<{ kind: string }>(
    "select kind from pawl.stream where kind like 'request:%' order by id",
  );
  return rows.map((row) => row.kind);
}

/** Waits for as many as there are, and says how many were under way at most. */
function gate() {
  let [open, most] = [0, 0];
  let release: (() => void) | undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    release: () => release?.(),
    most: () => most,
    open: () => open,
    answer: async () => {
      open += 1;
      most = Math.max(most, open);
      await released;
      open -= 1;
      return { status: 200 };
    },
  };
}

describe("hosts", () => {
  test("R6: a host that hangs fills its own window, and the others go on", async () => {
    const hanging = gate();
    const slow = await receiver(hanging.answer);
    const good = await receiver([{ status: 200 }]);
    const pawl = await app({ requests: { concurrency: 20, perHost: 4 } });
    await pawl.work({ concurrency: 20 });
    const hangs = { ...SPEC, url: slow.url, timeout: "10m" };
    for (let i = 0; i < 30; i += 1) await pawl.request(hangs);
    await until("its window is full", () => hanging.open() === 4);
    const others = await Promise.all(
      Array.from({ length: 30 }, () => pawl.request({ ...SPEC, url: good.url })),
    );
    for (const { id } of others) expect((await ended(pawl, id)).state).toBe("done");
    expect(hanging.most()).toBe(4);
    hanging.release();
    expect(await kindsOf(pawl)).toEqual([`request:${slow.host}`, `request:${good.host}`]);
  });

  test("R6: a host that fails opens its own breaker, which uses up no attempt", async () => {
    const good = await receiver([{ status: 200 }]);
    const dead = `http://127.0.0.1:${await freePort()}`;
    const breaker = { failures: 3, open: "10m" };
    const pawl = await app({ requests: { breaker } });
    await pawl.work();
    const spec = { ...SPEC, url: dead, interval: "1ms" };
    const sent = await Promise.all(Array.from({ length: 4 }, () => pawl.request(spec)));
    const host = new URL(dead).host;
    await until("the breaker is open", async () => {
      const rows = await pawl.store.rows(
        "select 1 from pawl.breaker b join pawl.stream st on st.id = b.stream_id where st.kind = $1 and b.phase = 'open'",
        [`request:${host}`],
      );
      return rows.length === 1;
    });
    const { id } = await pawl.request({ ...SPEC, url: dead });
    const ok = await pawl.request({ ...SPEC, url: good.url });
    await ended(pawl, ok.id);
    expect(await pawl.task(id)).toMatchObject({ state: "ready", attempt: 0 });
    expect((await pawl.why(id))?.line).toContain("breaker");
    expect(sent).toHaveLength(4);
  });

  test("answers about one request, as 422 is, do not open the breaker of its host", async () => {
    const { url } = await receiver((one) => ({ status: one.path === "/ok" ? 200 : 422 }));
    const pawl = await app({ requests: { breaker: { failures: 2, open: "10m" } } });
    await pawl.work();
    const bad = await Promise.all(
      Array.from({ length: 6 }, () => pawl.request({ ...SPEC, url: `${url}/bad`, attempts: 1 })),
    );
    for (const { id } of bad) expect((await ended(pawl, id)).reason).toBe("attempts");
    const { id } = await pawl.request({ ...SPEC, url: `${url}/ok` });
    expect((await ended(pawl, id)).state).toBe("done");
  });

  test("the first request to a host that no worker has met starts at once, not at the next look at the streams", async () => {
    const hosts = await Promise.all(
      Array.from({ length: 6 }, () => receiver([{ status: 200 }, { status: 200 }])),
    );
    const pawl = await app();
    const worker = await pawl.work();
    const took = async (url: string) => {
      await until("the worker is idle", () => worker.isIdle);
      const sentAt = performance.now();
      await ended(pawl, (await pawl.request({ ...SPEC, url })).id);
      return performance.now() - sentAt;
    };
    const laterMs: number[] = [];
    for (const { url } of hosts) {
      const [first, second] = [await took(url), await took(url)];
      laterMs.push(first - second);
    }
    // each of them would wait for a look at the streams, which is taken every 5 s; a busy machine is slow now and then
    expect(laterMs.toSorted((a, b) => a - b)[1]).toBeLessThan(2_500);
  });

  test("after 500 hosts further ones share streams, the same always the same one", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    const pawl = await app();
    await pawl.store.rows(
      `insert into pawl.stream (queue_id, kind) select q.id, 'request:h' || g || '.example'
         from pawl.queue q cross join generate_series(1, 500) g where q.name = 'requests'`,
    );
    await pawl.work();
    const ids = [await pawl.request({ ...SPEC, url }), await pawl.request({ ...SPEC, url })];
    for (const { id } of ids) expect(await ended(pawl, id)).toMatchObject({ state: "done" });
    expect(received).toHaveLength(2);
    const kinds = (await kindsOf(pawl)).slice(500);
    expect(kinds).toEqual([expect.stringMatching(/^request:#\d{1,2}$/)]);
    const long = await pawl.store.rows<{ kind: string }>(
      "select pawl.request_kind(repeat('a', 250)) as kind",
    );
    expect(long[0]?.kind).toMatch(/^request:#/);
  });
});

test("a kind that only looks like a request, in another queue, is left alone", async () => {
  const pawl = await app();
  const [row] = await pawl.store.rows<{ id: string }>(
    `select id from pawl.enqueue('[{"kind": "request:x", "queue": "low", "payload": {}}]')`,
  );
  const broken = await pawl.store.rows<{ id: string }>(
    `select id from pawl.send_v1('[{"payload": {"host": "x", "method": "GET"}}]')`,
  );
  await pawl.work();
  const dead = await ended(pawl, broken[0]?.id ?? "");
  expect(dead).toMatchObject({ state: "dead", reason: "invalid" });
  expect(dead.error?.message).toContain("`url`");
  expect((await pawl.task(row?.id ?? ""))?.state).toBe("ready");
});

test("R13: a tenant's requests are found by an index, however long the history", async () => {
  const pawl = await app();
  await pawl.store.rows(
    `insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload, meta)
     select g, g, 1, 1, 1, 'done', now(), now(), now(), '{}', jsonb_build_object('tenant', jsonb_build_object('company', g::text))
       from generate_series(1, 20000) g`,
  );
  await pawl.store.rows("analyze pawl.finished");
  const plan = await pawl.store.rows(
    `explain select * from (select f.id, f.meta, f.outcome as state from pawl.finished f) s
      where s.meta ? 'tenant' and s.meta #>> '{tenant,company}' = '77' order by s.id desc limit 50`,
  );
  expect(JSON.stringify(plan)).toMatch(/Index.*expr/);
});

describe("order and limits over the fleet", () => {
  test("R6: requests go out in the order of their due time, then of their creation", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    const pawl = await app({ requests: { concurrency: 1 } });
    const clock = await movableClock(pawl.store);
    const hour = Date.now() + HOUR_MS;
    for (const [name, dueMs] of Object.entries({ c: -10, d: -5, b: -20, a: -30 })) {
      await pawl.request({ ...SPEC, url: `${url}/${name}`, runAt: new Date(hour + dueMs) });
    }
    for (const name of ["1", "2", "3"]) await pawl.request({ ...SPEC, url: `${url}/${name}` });
    await clock.advance(HOUR_MS);
    await pawl.work();
    await until("all came", () => received.length === 7);
    const order = received.map((one) => one.path?.slice(1)).join("");
    // those that were due at once come as they were made, the others when they have become due
    expect(order.replaceAll(/[a-d]/g, "")).toBe("123");
    expect(order.replaceAll(/[123]/g, "")).toBe("abcd");
  });

  test("R6: the limit is exact over several workers", async () => {
    const { url: databaseUrl } = await freshDatabase({ longLeases: true });
    const held = gate();
    const { url } = await receiver(held.answer);
    const options = { requests: { concurrency: 6, perHost: 50 } };
    const fleet = await Promise.all([1, 2, 3].map(() => app(options, databaseUrl)));
    const [pawl] = fleet;
    if (pawl === undefined) throw new Error("no client");
    for (let i = 0; i < 40; i += 1) await pawl.request({ ...SPEC, url, timeout: "10m" });
    await Promise.all(fleet.map((one) => one.work({ concurrency: 20 })));
    await until("the window is full", () => held.open() === 6);
    held.release();
    await until("all are sent", async () => {
      const [row] = await pawl.store.rows<{ n: number }>(
        "select count(*)::int as n from pawl.finished where outcome = 'done'",
      );
      return row?.n === 40;
    });
    expect(held.most()).toBe(6);
  });

  test("R7: many that are run by hand beside working workers are each tried once an attempt, and none is lost", async () => {
    const byWorkers = 20;
    const byHand = deferred<void>();
    const { url, received } = await receiver(async (one) => {
      // workers are held up until one was run by hand: they could have sent all by then
      if (Number(one.path?.slice(1)) < byWorkers) await byHand.promise;
      return { status: JSON.parse(one.body).__task.attempt.number === 1 ? 500 : 200 };
    });
    const pawl = await app({ requests: { breaker: false } });
    const sent = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        pawl.request({
          ...SPEC,
          url: `${url}/${i}`,
          interval: "50ms",
          attempts: 5,
          timeout: "10m",
        }),
      ),
    );
    await pawl.work({ concurrency: 5 });
    const http = openSender({ allow: ["127.0.0.1"] });
    const handler = requestHandler({
      executor: pawl.store,
      http,
      keys: keyRing(pawl.store, pawl.app.keys, () => undefined),
    });
    const stop = new Promise<void>(() => undefined);
    const { store } = pawl;
    const options = { store, queue: "requests", handler, application: "app", revision: 0, stop };
    let did = 0;
    const byOne = async (id: string) => {
      const one = await runOne(id, { ...options, resultBytesMax: 65_536, log: silentLogger }).catch(
        // its claim came too late: it was given back, not started
        (error: unknown) => expect(error).toMatchObject({ code: "lease_lost" }),
      );
      if (one?.did === "run") did += 1;
    };
    await Promise.all(sent.slice(byWorkers).map(({ id }) => byOne(id)));
    await until("one was run by hand", async () => {
      for (const { id } of sent.slice(byWorkers)) if (did === 0) await byOne(id);
      return did > 0;
    });
    byHand.resolve();
    for (const { id } of sent) {
      expect(await ended(pawl, id)).toMatchObject({ state: "done", attempt: 2 });
    }
    expect(received).toHaveLength(120);
    await http.close();
  });

  test("R3: what was retried after its expiry is sent, without one", async () => {
    const { url, received } = await receiver([{ status: 500 }, { status: 200 }]);
    const pawl = await app();
    await pawl.work();
    const jwt = { claims: { cid: 1 }, key: "crm", ttl: "1h" };
    const { id } = await pawl.request({ method: "POST", url, jwt, interval: "2h" });
    const dead = await ended(pawl, id);
    expect(dead.state).toBe("dead");
    // as if all of it had been two hours earlier, by every clock
    await pawl.store.rows(
      `update pawl.dead set created_at = created_at - interval '2 hours', expires_at = expires_at - interval '2 hours'
        where id = $1`,
      [id],
    );
    await pawl.store.rows("select pawl.retry_dead_v1($1, 'ada', null)", [[id]]);
    await until("sent", async () => (await pawl.task(id))?.state === "done");
    expect(received).toHaveLength(2);
  });

  test("R11: a request that expires while a key is missing ends as expired, without an attempt", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    const pawl = await app();
    const clock = await movableClock(pawl.store, { isSlow: true });
    const { id } = await pawl.request({
      method: "POST",
      url,
      jwt: { claims: {}, key: "crm", ttl: "3s" },
      interval: "1s",
    });
    await pawl.store.rows(
      `update pawl.task set payload = jsonb_set(payload, '{jwt,key}', '"gone"') where id = $1`,
      [id],
    );
    await pawl.work();
    const waiting = await failed(pawl, id, 0);
    expect(waiting.error?.message).toContain('no key "gone"');
    await clock.advance(3_000);
    expect(await ended(pawl, id)).toMatchObject({ reason: "expired", attempt: 0 });
    expect(received).toHaveLength(0);
  });
});
