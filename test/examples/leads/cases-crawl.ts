import {
  calculateBenchmarks,
  discoverLeads,
  takeScreenshot,
} from "../../../examples/leads/crawl.ts";
import {
  ANALYSIS,
  BUSY,
  benchmarks,
  busy,
  type CasesOf,
  DOWN,
  down,
  INVALID,
  LOST,
  leads,
  lost,
  SCORES,
  SEARCH,
  UNRECOVERABLE,
  wrong,
} from "./cases.ts";
import { fails } from "./stage.ts";

export const CRAWL: CasesOf = [
  [
    discoverLeads,
    [
      ["adds what it finds", SEARCH, { found: 3, added: 3 }, { after: leads(8) }],
      [
        "has each analyzed",
        SEARCH,
        {},
        {
          after: [
            "select payload ->> 'leadId' as lead from pawl.task_now_v1 where kind = 'analyze-lead' and state = 'ready' order by 1",
            [{ lead: "6" }, { lead: "7" }, { lead: "8" }],
          ],
        },
      ],
      [
        "takes no more than asked",
        { ...SEARCH, limit: 1 },
        { found: 1, added: 1 },
        { after: leads(6) },
      ],
      [
        "adds nothing twice",
        SEARCH,
        { found: 3, added: 2 },
        { given: "insert into leads.lead (url) values ('bakeries-2.example')", after: leads(8) },
      ],
      [
        "is content with nothing",
        { ...SEARCH, query: "nothing" },
        { found: 0, added: 0 },
        { after: leads(5) },
      ],
      [
        "tries again while the source is down",
        SEARCH,
        DOWN,
        { fault: down("/discover"), after: leads(5) },
      ],
      [
        "waits for the source's limiter",
        SEARCH,
        BUSY,
        { fault: busy("/discover"), after: leads(5) },
      ],
      [
        "tries again if the answer is lost",
        SEARCH,
        LOST,
        { fault: lost("/discover"), after: leads(5) },
      ],
      ["refuses a source that is not there", { ...SEARCH, source: "moon" }, INVALID],
      ["refuses a limit over 100", { ...SEARCH, limit: 101 }, INVALID],
    ],
  ],
  [
    takeScreenshot,
    [
      [
        "keeps the picture",
        { leadId: 1 },
        { bytes: 10 },
        { after: ["select length(screenshot) as n from leads.lead where id = 1", [{ n: 10 }]] },
      ],
      [
        "replaces an older one",
        { leadId: 1 },
        {},
        {
          given: "update leads.lead set screenshot = 'old'",
          after: ["select length(screenshot) as n from leads.lead where id = 1", [{ n: 10 }]],
        },
      ],
      ["gives up without a lead", { leadId: 99 }, UNRECOVERABLE(/there is none/)],
      [
        "tries again if no picture comes",
        { leadId: 5 },
        fails("Error", /no picture/),
        { after: ["select screenshot from leads.lead where id = 5", [{ screenshot: null }]] },
      ],
      [
        "tries again while the browser is down",
        { leadId: 1 },
        DOWN,
        { fault: down("/browserless") },
      ],
      ["waits while the browser is full", { leadId: 1 }, BUSY, { fault: busy("/browserless") }],
      [
        "gives up on what the browser refuses",
        { leadId: 1 },
        UNRECOVERABLE(/400/),
        { fault: wrong("/browserless") },
      ],
      ["tries again if the answer is lost", { leadId: 1 }, LOST, { fault: lost("/browserless") }],
      ["refuses a width that is no number", { leadId: 1, width: "wide" }, INVALID],
    ],
  ],
  [
    calculateBenchmarks,
    [
      [
        "averages each industry, rounded",
        {},
        { industries: ["bars", "shops"] },
        {
          given: SCORES,
          after: benchmarks(
            { industry: "bars", leads: 1, score: 10 },
            { industry: "shops", leads: 2, score: 61 },
          ),
        },
      ],
      [
        "calculates one alone",
        { industry: "bars" },
        { industries: ["bars"] },
        { given: SCORES, after: benchmarks({ industry: "bars", leads: 1, score: 10 }) },
      ],
      ["has nothing to say without analyses", {}, { industries: [] }, { after: benchmarks() }],
      [
        "counts the latest analysis of a lead",
        {},
        {},
        {
          given:
            "insert into leads.analysis (lead_id, score, findings) values (3, 10, '[]'), (3, 90, '[]')",
          after: benchmarks({ industry: "bars", leads: 1, score: 90 }),
        },
      ],
      [
        "leaves leads without an industry out",
        {},
        { industries: [] },
        {
          given: "insert into leads.analysis (lead_id, score, findings) values (4, 10, '[]')",
          after: benchmarks(),
        },
      ],
      [
        "replaces older figures",
        {},
        {},
        {
          given: `${ANALYSIS}; insert into leads.benchmark (industry, leads, score) values ('shops', 9, 9)`,
          after: benchmarks({ industry: "shops", leads: 1, score: 40 }),
        },
      ],
      [
        "knows nothing of an industry that is not there",
        { industry: "moons" },
        { industries: [] },
        { given: SCORES },
      ],
      ["refuses an industry that is no text", { industry: 5 }, INVALID],
    ],
  ],
];
