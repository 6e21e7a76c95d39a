import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AnyJob,
  connect,
  type DestinationDefinition,
  defineApp,
  defineJob,
  on,
  type Pawl,
  type TaskContext,
} from "../../src/index.ts";
import { type ToJobOptions, toJob } from "../../src/outbox/destinations/job.ts";
import { jobType } from "../../src/outbox/destinations/job-type.ts";
import { deliveriesOf } from "../../src/outbox/sql.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const ORDER = { aggregate: ["order", 7], payload: { total: 9 }, meta: { trace: "t-1" } } as const;

interface Seen {
  input: unknown;
  context: Pick<TaskContext, "meta" | "queue" | "attempt">;
}

function recordingJob(name = "on-order"): { job: AnyJob; seen: Seen[] } {
  const seen: Seen[] = [];
  const job = defineJob({
    name,
    input: z.looseObject({}),
    queue: "high",
    run: (input, { meta, queue, attempt }) => {
      seen.push({ input, context: { meta, queue, attempt } });
    },
  });
  return { job, seen };
}

async function pawlWith(
  destination: DestinationDefinition,
  jobs: readonly AnyJob[],
  schema = "pawl",
): Promise<Pawl> {
  const app = defineApp({
    schema,
    jobs,
    destinations: { mailer: destination },
    routes: [on("order.*").to("mailer")],
  });
  const { url } = await freshDatabase(
    schema === "pawl" ? { longLeases: true } : { migrated: false },
  );
  const pawl = await connect(app, { databaseUrl: url, migrate: true, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

async function deliveryOf(pawl: Pawl, event: string, status: string) {
  return until(`the delivery is ${status}`, async () => {
    const [delivery] = await deliveriesOf(pawl.store, event);
    return delivery?.status === status && delivery;
  });
}

describe("what cannot work is refused when it is said:", () => {
  const { job } = recordingJob();
  test.each<[string, () => unknown]>([
    ["no job", () => toJob(undefined as unknown as AnyJob)],
    ["the name of a job", () => toJob("on-order" as unknown as AnyJob)],
    ["an unknown option", () => toJob(job, { inptu: () => ({}) } as unknown as ToJobOptions)],
    ["an input that is no function", () => toJob(job, { input: {} } as unknown as ToJobOptions)],
    ["a priority that is none", () => toJob(job, { priority: 9 })],
    ["a kind that is empty", () => jobType.define({ job: "" })],
    ["a kind that is missing", () => jobType.define({})],
    ["a queue that is no text", () => jobType.define({ job: "a", queue: 4 })],
  ])("%s", (_, define) => {
    expect(define).toThrow(expect.objectContaining({ code: "invalid_option" }));
  });
});

describe("an event becomes a job", () => {
  test("R83, R88: with what a webhook would send, and the delivery's ids in its meta", async () => {
    const { job, seen } = recordingJob();
    const pawl = await pawlWith(toJob(job), [job]);
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    const delivery = await deliveryOf(pawl, id, "published");
    await until("the job has run", () => seen.length > 0);
    const event = await pawl.event(id);
    expect(seen).toEqual([
      {
        input: {
          eventId: id,
          eventName: "order.placed",
          aggregate: { type: "order", id: "7" },
          occurredAt: event?.occurredAt.toISOString(),
          payload: { total: 9 },
          meta: { trace: "t-1" },
        },
        context: {
          queue: "high",
          attempt: 1,
          meta: {
            trace: "t-1",
            eventId: id,
            eventName: "order.placed",
            deliveryId: delivery.id,
            destinationId: expect.stringMatching(/^\d+$/),
            destinationKey: "mailer",
          },
        },
      },
    ]);
    expect(delivery.result).toMatchObject({ summary: expect.stringContaining("on-order") });
  });

  test("R83: with the input that a function makes of it, also in a schema of another name", async () => {
    const { job, seen } = recordingJob();
    const destination = toJob(job, { input: async (event) => ({ order: event.aggregateId }) });
    const pawl = await pawlWith(destination, [job], "billing");
    await pawl.record("order.placed", ORDER);
    await pawl.work();
    await until("the job has run", () => seen.length > 0);
    expect(seen[0]?.input).toEqual({ order: "7" });
  });

  test("R83, R90: a delivery that fails after it has enqueued leaves no job, and in the end there is one", async () => {
    const { job, seen } = recordingJob();
    let tries = 0;
    const real = toJob(job);
    const stumbling: DestinationDefinition = {
      ...real,
      retry: { attempts: 3, delays: ["20ms"] },
      deliver: async (delivery, context) => {
        const success = await real.deliver(delivery, context);
        tries += 1;
        if (tries < 3) throw new Error("after the job was enqueued");
        return success;
      },
    };
    const pawl = await pawlWith(stumbling, [job]);
    const { id } = await pawl.record("order.placed", ORDER);
    const worker = await pawl.work();
    await deliveryOf(pawl, id, "published");
    await until("nothing is left to do", () => worker.isIdle && seen.length > 0);
    expect(tries).toBe(3);
    expect(seen).toHaveLength(1);
  });

  test("R83: a job's own key makes one of many events", async () => {
    const job = defineJob({
      name: "refresh",
      input: z.looseObject({}),
      key: () => "only-one",
      run: () => undefined,
    });
    const pawl = await pawlWith(toJob(job), [job]);
    const ids = await Promise.all([1, 2, 3].map(() => pawl.record("order.placed", ORDER)));
    await pawl.off("queue:normal");
    await pawl.work();
    for (const { id } of ids) await deliveryOf(pawl, id, "published");
    const results = await Promise.all(
      ids.map(async ({ id }) => (await deliveriesOf(pawl.store, id))[0]?.result),
    );
    const summaries = results.map((one) => (one as { summary: string }).summary);
    expect(summaries.filter((one) => one.startsWith("enqueued"))).toHaveLength(1);
    expect(summaries.filter((one) => one.includes("same key"))).toHaveLength(2);
  });
});

describe("an event that cannot become the job", () => {
  test("R83: an input that does not fit the schema is dead at once, with the issue", async () => {
    const job = defineJob({
      name: "mail",
      input: z.object({ to: z.email() }),
      run: () => undefined,
    });
    const pawl = await pawlWith(toJob(job, { input: () => ({ to: "nobody" }) }), [job]);
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    const delivery = await deliveryOf(pawl, id, "dead");
    expect(delivery.attempt).toBe(1);
    expect(delivery.error?.message).toMatch(/job "mail": .*to: Invalid email/i);
    expect((await pawl.task(delivery.id))?.reason).toBe("invalid");
  });

  test("R83: an input that is no JSON, or too large, is dead at once too", async () => {
    const { job } = recordingJob();
    const inputs: unknown[] = [{ n: 1n }, { text: "x".repeat(2_000_000) }];
    for (const input of inputs) {
      const pawl = await pawlWith(toJob(job, { input: () => input as object }), [job]);
      const { id } = await pawl.record("order.placed", ORDER);
      await pawl.work();
      expect((await deliveryOf(pawl, id, "dead")).attempt).toBe(1);
    }
  });

  test("R83: a job that is not the app's is a failure that names it, and none waits unseen", async () => {
    const { job } = recordingJob("nobody-knows");
    const destination = toJob(job, { retry: { attempts: 1 } });
    const pawl = await pawlWith(destination, []);
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    const delivery = await deliveryOf(pawl, id, "dead");
    expect(delivery.error).toMatchObject({ code: "unknown_kind" });
    expect(delivery.error?.message).toContain('no job "nobody-knows"');
    expect(await pawl.store.rows("select 1 from pawl.stream where kind = 'nobody-knows'")).toEqual(
      [],
    );
  });
});

describe("an operator names the job", () => {
  test("R83, R88: a destination made while the app runs enqueues by the job's name, in its queue or another", async () => {
    const { job, seen } = recordingJob();
    const pawl = await pawlWith(toJob(job), [job]);
    await pawl.work();
    for (const [name, config] of Object.entries({
      "by-name": { job: "on-order" },
      elsewhere: { job: "on-order", queue: "low" },
      unknown: { job: "on-odrer" },
    })) {
      await pawl.store.rows("select pawl.put_destination_v1($1, true, '{}', 'ada', null)", [
        { name, type: "job", config, queue: { retry: { attempts: 1, delays_ms: [1], jitter: 0 } } },
      ]);
    }
    const sent = await Promise.all(
      ["by-name", "elsewhere", "unknown"].map((name) =>
        pawl.sendTo("job", name, "invoice.sent", ORDER),
      ),
    );
    await until("both jobs have run", () => seen.length === 2);
    expect(seen.map((one) => one.context.queue).sort()).toEqual(["high", "low"]);
    expect(seen[0]?.context.meta).toMatchObject({
      eventName: "invoice.sent",
      destinationId: expect.stringMatching(/^\d+$/),
      destinationKey: expect.stringMatching(/by-name|elsewhere/),
      deliveryId: expect.stringMatching(/^\d+$/),
    });
    const dead = await deliveryOf(pawl, sent[2]?.id ?? "", "dead");
    expect(dead.error?.message).toContain('no job "on-odrer"');
  });
});
