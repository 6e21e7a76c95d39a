import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  type DestinationDefinition,
  defineApp,
  defineJob,
  flow,
  on,
  rawJson,
  toJob,
  webhook,
} from "../../src/index.ts";
import { jobType } from "../../src/outbox/destinations/job-type.ts";
import { eventVerifier } from "../../src/webhooks/index.ts";
import { bodyOf, httpServer } from "../sender/local-servers.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const HUGE = `1${"0".repeat(400)}`;
/** As PostgreSQL writes it: what JavaScript's numbers cannot hold. */
const EXACT = `{"id": 9007199254740993, "huge": ${HUGE}, "long": 3.14159265358979323846, "cents": 0.10}`;
const META = '{"trace": 12345678901234567890}';

async function pawlWith(destinations: Record<string, DestinationDefinition>, job = placed()) {
  const app = defineApp({
    jobs: [job],
    destinations,
    routes: Object.keys(destinations).map((name) => on("order.placed").to(name)),
    http: { allow: ["127.0.0.1"] },
  });
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

function placed(seen: string[] = []) {
  return defineJob({
    name: "placed",
    input: z.unknown(),
    run: async (_, { payloadText }) => void seen.push(await payloadText()),
  });
}

type Pawl = Awaited<ReturnType<typeof pawlWith>>;

async function recordExact(pawl: Pawl): Promise<string> {
  const [row] = await pawl.store.rows<{ id: string }>(
    "select pawl.record('order.placed', 'order', '1', $1, $2) as id",
    [EXACT, META],
  );
  return row?.id ?? "";
}

/** As a receiver in another language would read it: by the text. */
function partOf(text: string, name: string): string {
  const start = text.indexOf(`"${name}":`) + name.length + 3;
  return text.slice(start, text.indexOf("}", start) + 1).trim();
}

test("R114: what was stored is what is sent: signed, raised again, made into jobs, digit by digit", async () => {
  const bodies: string[] = [];
  const server = await httpServer(async (request, response) => {
    const body = await bodyOf(request);
    const event = eventVerifier({ secrets: SECRET }).verify(body, request.headers);
    expect(event.payloadText).toBe(EXACT);
    expect(event.metaText).toBe(META);
    bodies.push(body);
    response.writeHead(204).end();
  });
  onTestFinished(() => server.close());
  const texts: string[] = [];
  const job = placed(texts);
  const seen: (string | undefined)[] = [];
  const pawl = await pawlWith(
    {
      erp: webhook({ url: server.url, secret: SECRET, timeout: "10m" }),
      again: flow({ name: "order.raised" }),
      whole: toJob(job),
      part: toJob(job, { input: (event) => event.payload }),
      named: jobType.define({ job: "placed" }),
      own: flow((event) => seen.push(event.payloadText, event.metaText)),
    },
    job,
  );
  const id = await recordExact(pawl);
  await pawl.work();
  const jobs = await until("all is delivered", async () => {
    const rows = await pawl.store.rows<{ payload: string; meta: string }>(
      `select f.payload::text as payload, f.meta::text as meta from pawl.finished f
         join pawl.stream s on s.id = f.stream_id where s.kind = 'placed'`,
    );
    return rows.length === 3 && bodies.length === 1 && seen.length === 2 && rows;
  });
  expect(partOf(bodies[0] ?? "", "payload")).toBe(EXACT);
  expect(seen).toEqual([EXACT, META]);
  expect(jobs.filter(({ payload }) => payload === EXACT)).toHaveLength(1);
  expect(jobs.filter(({ payload }) => partOf(payload, "payload") === EXACT)).toHaveLength(2);
  expect(jobs.every(({ meta }) => meta.includes('"trace": 12345678901234567890'))).toBe(true);
  expect([...texts].sort()).toEqual(jobs.map(({ payload }) => payload).sort());
  const raised = await until("it is raised", async () => {
    const rows = await pawl.store.rows<{ payload: string; meta: string }>(
      "select payload::text as payload, meta::text as meta from pawl.event where name = 'order.raised'",
    );
    return rows[0];
  });
  expect(raised.payload).toBe(EXACT);
  expect(raised.meta).toContain('"trace": 12345678901234567890');
  expect((await pawl.event(id))?.payloadText).toBe(EXACT);
});

test("R114: a payload that is given as its text is recorded as it is; no JSON is refused before it is sent", async () => {
  const pawl = await pawlWith({});
  const payload = rawJson(EXACT);
  const { id } = await pawl.record("order.placed", { aggregate: ["order", 1], payload });
  expect((await pawl.event(id))?.payloadText).toBe(EXACT);
  expect(() => rawJson("{")).toThrow(expect.objectContaining({ code: "payload_not_json" }));
  // both halves of one character, as Python writes it, are no half
  const smile = rawJson('"\\ud83d\\ude00"');
  await pawl.record("order.placed", { aggregate: ["order", 1], payload: smile });
  const half = rawJson('"\\ud83d"');
  await expect(
    pawl.record("order.placed", { aggregate: ["order", 1], payload: half }),
  ).rejects.toMatchObject({ code: "payload_not_json" });
});
