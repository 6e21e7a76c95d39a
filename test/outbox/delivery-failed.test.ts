import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  DeliveryFailed,
  type DeliveryFailedOptions,
  defineApp,
  defineDestinationType,
  type Pawl,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const ORDER = { aggregate: ["order", 7], payload: {} } as const;

/** An app whose one destination fails like this; by its policy it is tried again after an hour. */
async function failing(options: DeliveryFailedOptions): Promise<Pawl> {
  const type = defineDestinationType({
    type: "failing",
    label: "Fails",
    fields: {},
    define: () => ({
      type: "failing",
      config: {},
      retry: { attempts: 3, delays: ["1h"] },
      timeoutMs: 60_000,
      deliver: async () => {
        throw new DeliveryFailed("404 Not Found", options);
      },
    }),
  });
  const { url } = await freshDatabase();
  const app = defineApp({ destinationTypes: [type], destinations: { erp: type.define({}) } });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.record("order.placed", { ...ORDER, to: "erp" });
  await pawl.work();
  return pawl;
}

async function ended(pawl: Pawl) {
  return until("the try has failed", async () => {
    const [delivery] = await pawl.deliveries.list();
    return delivery !== undefined && (delivery.attempt > 0 ? delivery : undefined);
  });
}

test("a destination of one's own says that no try can help: it is a dead letter after one, and the destination goes on", async () => {
  const pawl = await failing({ next: "dead", data: { status: 404 } });
  const dead = await until("it is dead", async () => (await pawl.dead.list())[0]);
  expect(dead.error).toMatchObject({ message: "404 Not Found", data: { status: 404 } });
  expect((await pawl.destinations.show("erp"))?.state).toBe("on");
});

test("a destination of one's own says that the receiver wants no more: it is turned off, with the reason", async () => {
  const pawl = await failing({ next: "off" });
  const destination = await until("it is off", async () => {
    const one = await pawl.destinations.show("erp");
    return one?.state === "off" && one;
  });
  expect(destination.state).toBe("off");
  const { switches } = await pawl.switches.list();
  expect(switches).toMatchObject([{ scope: "destination:erp", why: "404 Not Found" }]);
});

test("a destination of one's own says when to come again: not before, whatever the policy says", async () => {
  const pawl = await failing({ retryAfter: "2h" });
  await ended(pawl);
  const [task] = await until("it is scheduled", async () => {
    const tasks = await pawl.tasks.list({ state: "scheduled" });
    return tasks.length > 0 && tasks;
  });
  const aheadMs = (task?.runAt?.getTime() ?? 0) - Date.now();
  expect(aheadMs).toBeGreaterThan(1.5 * 3_600_000);
});

test.each([
  [{ next: "gone" }, "next"],
  [{ next: "dead", retryAfter: "1m" }, "retryAfter"],
  [{ retryAfter: "soon" }, "retryAfter"],
  [{ permanent: true }, "permanent"],
])("%j is refused, naming the option", (options, option) => {
  expect(() => new DeliveryFailed("x", options as DeliveryFailedOptions)).toThrow(option);
});
