/** Each handler of the example alone, without a database: what it does with what it reads, and with each way in which the world fails. */

import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { useClient } from "../../../examples/leads/client.ts";
import {
  calculateBenchmarks,
  discoverLeads,
  takeScreenshot,
} from "../../../examples/leads/crawl.ts";
import { processSesWebhook, sendEmail } from "../../../examples/leads/mail.ts";
import {
  analyzeLead,
  findingsOf,
  generateOffer,
  generateProposal,
  syncAresData,
} from "../../../examples/leads/sales.ts";
import type { World } from "../../../examples/leads/world.ts";
import type { AnyJob, Pawl } from "../../../src/index.ts";
import { expectEnd, fails, startWorldHere } from "./stage.ts";

/** What each statement answers, by a part of its text; what is left out answers no rows. */
type Tables = Readonly<Record<string, object[]>>;
interface Alone {
  job: AnyJob;
  input: object;
  tables: Tables;
  /** Which path it calls; none. */
  calls?: string;
}

let world: World;
let written: string[] = [];
let enqueued: unknown[] = [];
beforeAll(async () => {
  world = await startWorldHere();
});
beforeEach(() => {
  world.reset();
  written = [];
  enqueued = [];
});

function run(
  { job, input, tables }: Omit<Alone, "calls">,
  more: { signal?: AbortSignal; attempt?: number } = {},
) {
  const answer = (sql: string) => ({
    rows: Object.entries(tables).find(([part]) => sql.includes(part))?.[1] ?? [],
  });
  const read = { query: async (sql: string) => answer(sql) };
  const tx = {
    query: async (sql: string) => {
      written.push(sql.trim().split(/\s+/).slice(0, 3).join(" "));
      return answer(sql);
    },
  };
  useClient({
    transaction: (work: (tx: unknown) => unknown) => work(read),
    enqueue: async (...given: unknown[]) => enqueued.push(given[1]),
  } as unknown as Pawl);
  const context = {
    tx,
    signal: new AbortController().signal,
    attempt: 1,
    idempotencyKey: "k",
    progress: () => undefined,
    ...more,
  };
  return Promise.resolve().then(() =>
    job.run(input as never, context as never),
  ) as Promise<unknown>;
}

const OFFER = {
  "from leads.offer": [{ status: "draft", body: "hello", email: "a@b.example", suppressed: false }],
};
const LEAD = {
  "from leads.lead": [{ id: 1, url: "shop.example", industry: "shops", analysis: null }],
};
const WRITTEN = { returning: [{ id: 7 }] };
const emails: Alone = { job: sendEmail, input: { offerId: 1 }, tables: OFFER, calls: "/ses" };
const analyses: Alone = {
  job: analyzeLead,
  input: { leadId: 1, reanalyze: false },
  tables: { ...LEAD, ...WRITTEN },
  calls: "/sites",
};
const proposals: Alone = {
  job: generateProposal,
  input: { leadId: 1, userId: 1, proposalType: "seo" },
  tables: { ...LEAD, "select score": [{ score: 40, findings: [] }], ...WRITTEN },
  calls: "/ai",
};
const offers: Alone = {
  job: generateOffer,
  input: { leadId: 1, userId: 1 },
  tables: { ...LEAD, "from leads.proposal": [{ body: "p" }], ...WRITTEN },
  calls: "/ai",
};
const companies: Alone = {
  job: syncAresData,
  input: { ico: "12345678" },
  tables: {},
  calls: "/ares",
};
const searches: Alone = {
  job: discoverLeads,
  input: { source: "search", query: "pubs", limit: 20 },
  tables: WRITTEN,
  calls: "/discover",
};
const pictures: Alone = {
  job: takeScreenshot,
  input: { leadId: 1, width: 1280 },
  tables: { ...LEAD, ...WRITTEN },
  calls: "/browserless",
};
const notices: Alone = {
  job: processSesWebhook,
  input: { id: "e1", type: "bounce", messageId: "m1", email: "a@b.example" },
  tables: { "leads.mail_event": [{ id: "e1" }], "update leads.offer": [{ id: 7 }] },
};
const figures: Alone = {
  job: calculateBenchmarks,
  input: {},
  tables: { "leads.benchmark": [{ industry: "shops" }, { industry: "bars" }] },
};
const CALLERS = [emails, analyses, proposals, offers, companies, searches, pictures];

describe.each(CALLERS.map((one) => ({ ...one, name: one.job.name })))(
  "R53: $name alone",
  ({ calls = "", ...one }) => {
    test.each([
      ["the other side is down", { status: 503 }, fails("Error", /503/)],
      ["the other side fails", { status: 500 }, fails("Error", /500/)],
      ["what it asks is refused", { status: 422 }, fails("Unrecoverable", /422/)],
      ["it is not there", { status: 404 }, fails("Unrecoverable", /404/)],
      ["the answer is lost", { status: "lost" as const }, fails("TypeError", /fetch failed/)],
    ])(
      "when %s, it says whether to try again, and writes nothing",
      async (_name, fault, expected) => {
        world.fail(calls, fault);
        await expectEnd(run(one), expected);
        expect(written).toEqual([]);
      },
    );

    test("a limiter is waited for as long as it says, and the attempt does not count", async () => {
      world.fail(calls, { status: 429, retryAfter: 7 });
      const error = await run(one).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: "Recoverable", delayMs: 7_000 });
    });

    test("it stops when it is told to, and writes nothing", async () => {
      await expect(run(one, { signal: AbortSignal.abort(new Error("cancelled")) })).rejects.toThrow(
        "cancelled",
      );
      expect(written).toEqual([]);
    });

    test("it calls once, and writes after the answer", async () => {
      await run(one);
      expect(world.calls.filter((call) => call.includes(calls))).toHaveLength(1);
      expect(written.length).toBeGreaterThan(0);
    });
  },
);

describe("R53: send-email and process-ses-webhook alone", () => {
  test("R77: two tries of an offer are one e-mail: the first answer is lost, the second says what was sent", async () => {
    world.fail("/ses", { status: "lost" });
    await expect(run(emails)).rejects.toThrow();
    expect(await run(emails)).toEqual({ messageId: "mail-1" });
    expect(world.mails).toEqual([{ to: "a@b.example", text: "hello" }]);
  });

  test.each([
    ["sent already", { status: "sent" }, { skipped: "it is sent" }],
    ["suppressed", { suppressed: true }, { skipped: "the address is suppressed" }],
    ["without an address", { email: null }, fails("Unrecoverable", /no address/)],
  ])("an offer that is %s asks the provider nothing", async (_name, change, expected) => {
    const tables = { "from leads.offer": [{ ...OFFER["from leads.offer"][0], ...change }] };
    await expectEnd(run({ ...emails, tables }), expected);
    expect(world.calls).toEqual([]);
  });

  test.each([
    ["a bounce", {}, {}, 1, { offer: 7 }, 3],
    ["a complaint", { type: "complaint" }, {}, 1, { offer: 7 }, 3],
    ["a delivery suppresses nothing", { type: "delivery" }, {}, 1, { offer: 7 }, 2],
    ["one that came before", {}, { "leads.mail_event": [] }, 1, { skipped: "it came before" }, 1],
    [
      "an unknown message, first",
      {},
      { "update leads.offer": [] },
      1,
      fails("Error", /not known yet/),
      2,
    ],
    [
      "an unknown message, second",
      {},
      { "update leads.offer": [] },
      2,
      fails("Error", /not known yet/),
      2,
    ],
    ["an unknown message, at last", {}, { "update leads.offer": [] }, 3, { offer: null }, 3],
    [
      "an unknown delivery, at last",
      { type: "delivery" },
      { "update leads.offer": [] },
      4,
      { offer: null },
      2,
    ],
  ])("%s", async (_name, input, tables, attempt, expected, statements) => {
    const made = run(
      {
        ...notices,
        input: { ...notices.input, ...input },
        tables: { ...notices.tables, ...tables },
      },
      { attempt },
    );
    await expectEnd(made, expected);
    expect(written).toHaveLength(statements);
  });
});

describe("R53: what is found in a page", () => {
  test.each([
    ["", ["no title", "no description", "not made for phones"]],
    ["<title></title>", ["no title", "no description", "not made for phones"]],
    ["<title>a</title>", ["no description", "not made for phones"]],
    ['<TITLE>a</TITLE><META NAME="description">', ["not made for phones"]],
    ['<title>a</title><meta name="description"><meta name="viewport">', []],
    [
      '<title>a</title><meta name="description"><meta name="viewport"><img src="a">',
      ["pictures without a text"],
    ],
    ['<title>a</title><meta name="description"><meta name="viewport"><img src="a" alt="">', []],
    [
      '<title>a</title><meta name="description"><meta name="viewport"><img alt="a"><img>',
      ["pictures without a text"],
    ],
  ])("%j", (html, findings) => {
    expect(findingsOf(html).map(({ finding }) => finding)).toEqual(findings);
  });
});

describe("R53: discover-leads and calculate-benchmarks alone", () => {
  test("what is new is analyzed, each in the search's own transaction", async () => {
    expect(await run(searches)).toEqual({ found: 3, added: 3 });
    expect(enqueued).toEqual([{ leadId: 7 }, { leadId: 7 }, { leadId: 7 }]);
  });

  test("what is known is not analyzed again", async () => {
    expect(await run({ ...searches, tables: {} })).toEqual({ found: 3, added: 0 });
    expect(enqueued).toEqual([]);
  });

  test.each([
    ["two industries, in order", {}, {}, ["bars", "shops"]],
    ["one", { industry: "bars" }, { "leads.benchmark": [{ industry: "bars" }] }, ["bars"]],
    ["none", {}, { "leads.benchmark": [] }, []],
    ["no such industry", { industry: "moons" }, { "leads.benchmark": [] }, []],
    ["null for all", { industry: null }, {}, ["bars", "shops"]],
    ["an odd name", { industry: "'; drop table" }, { "leads.benchmark": [] }, []],
    [
      "umlauts",
      {},
      { "leads.benchmark": [{ industry: "Žižkov" }, { industry: "a" }] },
      ["a", "Žižkov"],
    ],
    ["one statement", {}, {}, ["bars", "shops"]],
  ])("benchmarks: %s", async (_name, input, tables, industries) => {
    expect(await run({ ...figures, input, tables: { ...figures.tables, ...tables } })).toEqual({
      industries,
    });
    expect(written).toEqual(["insert into leads.benchmark"]);
  });
});
