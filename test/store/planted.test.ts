import { expect, test } from "vitest";
import { freshDatabase, freshStore, rawClient } from "../support/database.ts";
import { plantRivals } from "../support/rivals.ts";
import { wholeLife } from "../support/whole-life.ts";

test("every function of the schema has a fixed search path, or a body that is bound", async () => {
  const store = await freshStore({ max: 1 });
  const rows = await store.rows(
    `select p.oid::regprocedure::text as name from pg_proc p
      where p.pronamespace = 'pawl'::regnamespace and p.prosqlbody is null
        and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)`,
  );
  expect(rows).toEqual([]);
});

test("R115: what somebody plants in `public` is never taken for what Pawl calls: while migrating, and in a whole life", async () => {
  const { url } = await freshDatabase({ migrated: false });
  const attacker = await rawClient(url);
  const caught = await plantRivals(attacker);
  const foreign = await rawClient(url);
  // its own path puts the rivals first, and a temporary table stands where one of ours is meant
  await foreign.query("set search_path to public, pg_catalog");
  await foreign.query("create temp table task (id int); create temp table event (id int)");
  const lived = await wholeLife(url, foreign).then(
    () => "well",
    (error: unknown) => error,
  );
  expect(await caught()).toEqual([]);
  expect(lived).toBe("well");
});

test("R115: nor where the database's own search path names `public` before everything", async () => {
  const { url } = await freshDatabase({ migrated: false });
  const attacker = await rawClient(url);
  const caught = await plantRivals(attacker);
  await attacker.query(
    `alter database "${attacker.database}" set search_path to public, pg_catalog`,
  );
  const foreign = await rawClient(url);
  const lived = await wholeLife(url, foreign).then(
    () => "well",
    (error: unknown) => error,
  );
  expect(await caught()).toEqual([]);
  expect(lived).toBe("well");
});
