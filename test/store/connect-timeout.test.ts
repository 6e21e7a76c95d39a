import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { connectTimeoutMs } from "../../src/store/connect-timeout.ts";
import { openStore } from "../../src/store/store.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each([
  ["postgresql://db/shop", "", 10_000],
  ["postgresql://db/shop", "3", 3_000],
  ["postgresql://db/shop?connect_timeout=7", "3", 7_000],
  ["postgresql://db/shop?sslmode=disable&connect_timeout=0", "3", 0],
  ["postgresql://u@/shop?host=/tmp&connect_timeout=1&connect_timeout=2", "", 2_000],
])("connecting to %s with PGCONNECT_TIMEOUT=%j may take %i ms", (url, variable, ms) => {
  vi.stubEnv("PGCONNECT_TIMEOUT", variable);
  expect(connectTimeoutMs(url)).toBe(ms);
});

test.each(["-1", "1.5", "10s", "86401", "", "1e3"])(
  "a connect_timeout of %j is refused, with what is expected",
  (said) => {
    const message = `expected connect_timeout of DATABASE_URL to be whole seconds from 0 (no bound) to 86400, got ${JSON.stringify(said)}`;
    const url = `postgresql://db/shop?connect_timeout=${said}`;
    expect(() => openStore({ url })).toThrow(
      expect.objectContaining({ code: "invalid_url", message }),
    );
  },
);

test("a server that takes the connection and says nothing is left after connect_timeout", async () => {
  const server = createServer(() => undefined).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const store = openStore({ url: `postgresql://db@127.0.0.1:${port}/shop?connect_timeout=1` });
  onTestFinished(() => store.close());
  await expect(store.rows("select 1")).rejects.toMatchObject({ code: "database_unreachable" });
});
