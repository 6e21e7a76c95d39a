/** An act that happened is in the audit, whenever the process ends: its row is in the transaction of the act, or before it. */

import { expect, test } from "vitest";
import { ACTS, READY, type Stage, staged } from "../support/verb-calls.ts";

/** These write nothing of their own. */
const SENDING = ["destinations.test"];
const REFUSED = "the audit takes no row now";
const TAKES_NO_ROW = `
  create or replace function public.refuse() returns trigger language plpgsql as $$ begin raise exception '${REFUSED}'; end $$;
  create trigger refuse before insert on pawl.audit for each row execute function public.refuse()`;

test("R116: whichever verb acts, where its row of the audit cannot be written nothing has been changed or sent", async () => {
  const stage = await staged();
  const changed: string[] = [];
  for (const [verb, act] of Object.entries(ACTS)) {
    await READY[verb]?.(stage);
    const before = await everything(stage);
    await stage.pawl.store.rows(TAKES_NO_ROW);
    await expect.soft(act(stage), verb).rejects.toThrow(REFUSED);
    await stage.pawl.store.rows("drop trigger refuse on pawl.audit");
    expect.soft(await everything(stage), verb).toEqual(before);
    await act(stage);
    if (JSON.stringify(await everything(stage)) !== JSON.stringify(before)) changed.push(verb);
  }
  expect(changed).toEqual(Object.keys(ACTS).filter((verb) => !SENDING.includes(verb)));
});

/** Each table with a sum of its rows, the audit left out. */
async function everything({ pawl }: Stage): Promise<unknown[]> {
  return pawl.store.rows(
    `select c.relname, md5(query_to_xml(format('select t::text from pawl.%I t order by 1', c.relname), false, false, '')::text) as rows
       from pg_class c where c.relnamespace = 'pawl'::regnamespace and c.relkind = 'r' and c.relname <> 'audit' order by 1`,
  );
}
