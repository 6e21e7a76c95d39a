/** The example's handlers on a database and a world of this file's own. */

import { expect } from "vitest";
import { useClient } from "../../../examples/leads/client.ts";
import app from "../../../examples/leads/pawl.config.ts";
import { makeTables } from "../../../examples/leads/tables.ts";
import { type Fault, startWorld, type World } from "../../../examples/leads/world.ts";
import { type TestKit, testKit } from "../../../src/testing/index.ts";
import { atEnd } from "../../support/at-end.ts";
import { freshDatabase } from "../../support/database.ts";

const LEADS = `
truncate leads.lead, leads.analysis, leads.proposal, leads.offer, leads.company, leads.benchmark, leads.mail_event,
  leads.suppressed, leads.discovery restart identity;
insert into leads.lead (url, industry, ico, email) values ('shop.example', 'shops', '12345678', 'ann@shop.example'),
  ('good.example', 'shops', '87654321', 'bob@good.example'), ('gone.example', 'bars', null, null), ('silent.example', null, null, null),
  ('broken.example', null, null, null)`;

export interface Stage {
  kit: TestKit;
  world: World;
  url: string;
  sql(text: string): Promise<Record<string, unknown>[]>;
  /** Five leads and nothing else; no task waits. */
  clear(): Promise<void>;
}

export async function stage(): Promise<Stage> {
  const world = await startWorldHere();
  const { url } = await freshDatabase({ longLeases: true });
  const kit = await testKit(app, { databaseUrl: url });
  atEnd(() => kit.close());
  useClient(kit.pawl);
  await makeTables(kit.pawl);
  const sql = async (text: string) => (await kit.pawl.transaction((tx) => tx.query(text))).rows;
  return {
    kit,
    world,
    url,
    sql,
    clear: async () => {
      await sql(LEADS);
      world.reset();
      const live = (await kit.pawl.tasks.list()).map(({ id }) => id);
      if (live.length > 0) await kit.pawl.tasks.cancel(live);
      await kit.pawl.dead.remove({ all: true });
      await kit.clock.advance("2s"); // the limit of e-mails begins anew
      await kit.forget();
    },
  };
}

export async function startWorldHere(): Promise<World> {
  const world = await startWorld();
  const before = process.env.LEADS_WORLD_URL;
  process.env.LEADS_WORLD_URL = world.url;
  atEnd(async () => {
    if (before === undefined) delete process.env.LEADS_WORLD_URL;
    else process.env.LEADS_WORLD_URL = before;
    await world.close();
  });
  return world;
}

export interface Expected {
  name: string;
  message: RegExp;
}

export const fails = (name: string, message: RegExp): Expected => ({ name, message });

/** A result that it is like, or an error. */
export async function expectEnd(made: Promise<unknown>, expected: object): Promise<void> {
  if (!("message" in expected && expected.message instanceof RegExp)) {
    expect(await made).toMatchObject(expected);
    return;
  }
  const { name, message } = expected as Expected;
  const error = await made.then(
    (value) => value,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).name).toBe(name);
}

export type FaultOf = readonly [path: string, fault: Fault];
