import pg from "pg";
import { beforeAll, expect, test } from "vitest";
import { Sharing } from "../../src/store/sharing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, isLockAwaited, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

const HOUR_MS = 3_600_000;

let url: string;

beforeAll(async () => {
  ({ url } = await freshDatabase());
});

function poolWith(stepMs: number): { pool: pg.Pool; send: (text: string) => Promise<unknown> } {
  const pool = new pg.Pool({ connectionString: url, max: 5 });
  atEnd(() => pool.end());
  const sharing = new Sharing(pool, stepMs);
  return { pool, send: (text) => sharing.run(() => pool.query(text)) };
}

test("statements that come at once share the connection that is there", async () => {
  const { pool, send } = poolWith(HOUR_MS);
  await Promise.all([1, 2, 3, 4, 5, 6].map((n) => send(`select ${n}`)));
  expect(pool.totalCount).toBe(1);
});

test("a statement does not wait for one that lasts: after a moment it opens a connection; one that fails frees its turn", async () => {
  const { pool, send } = poolWith(1);
  const holder = await rawClient(url);
  await holder.query("select pg_advisory_lock(7)");
  const lasting = send("select pg_advisory_lock(7)");
  await until("it waits", () => isLockAwaited(holder));
  await expect(send("select 1 / 0")).rejects.toThrow("division by zero");
  await Promise.all([send("select 1"), send("select 2")]);
  expect(pool.totalCount).toBeGreaterThanOrEqual(2);
  await holder.query("select pg_advisory_unlock(7)");
  await lasting;
});
