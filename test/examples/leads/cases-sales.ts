import {
  analyzeLead,
  generateOffer,
  generateProposal,
  syncAresData,
} from "../../../examples/leads/sales.ts";
import {
  ANALYSIS,
  BUSY,
  busy,
  type CasesOf,
  DOWN,
  down,
  INVALID,
  LOST,
  lost,
  NO_ANALYSIS,
  OFFER,
  PROPOSAL,
  SCORES,
  SENT,
  UNRECOVERABLE,
  WISH,
} from "./cases.ts";
import { fails } from "./stage.ts";

export const SALES: CasesOf = [
  [
    analyzeLead,
    [
      [
        "finds what is wrong with a page",
        { leadId: 1 },
        { analysisId: 1, score: 30 },
        {
          after: [
            "select score, jsonb_array_length(findings) as n from leads.analysis",
            [{ score: 30, n: 3 }],
          ],
        },
      ],
      ["finds nothing wrong with a good one", { leadId: 2 }, { score: 100 }],
      [
        "marks the lead",
        { leadId: 1 },
        {},
        { after: ["select status from leads.lead where id = 1", [{ status: "analyzed" }]] },
      ],
      [
        "gives up on a page that is gone",
        { leadId: 3 },
        UNRECOVERABLE(/410/),
        { after: NO_ANALYSIS },
      ],
      ["gives up on a lead that is not there", { leadId: 99 }, UNRECOVERABLE(/there is none/)],
      [
        "skips one that was analyzed",
        { leadId: 1 },
        { skipped: "analysis 1 is there" },
        { given: ANALYSIS },
      ],
      [
        "analyzes again when asked",
        { leadId: 1, reanalyze: true },
        { analysisId: 2 },
        { given: ANALYSIS },
      ],
      [
        "skips another industry",
        { leadId: 1, industryFilter: "bars" },
        { skipped: "its industry is shops" },
        { after: NO_ANALYSIS },
      ],
      [
        "takes the industry that is asked for",
        { leadId: 1, industryFilter: "shops" },
        { score: 30 },
      ],
      [
        "tries again while the site is down",
        { leadId: 1 },
        DOWN,
        { fault: down("/sites"), after: NO_ANALYSIS },
      ],
      [
        "waits as long as the site asks",
        { leadId: 1 },
        BUSY,
        { fault: busy("/sites"), after: NO_ANALYSIS },
      ],
    ],
  ],
  [
    generateProposal,
    [
      [
        "writes a proposal",
        WISH,
        { proposalId: 1 },
        {
          given: ANALYSIS,
          after: [
            "select type, body, status from leads.proposal",
            [
              {
                type: "design",
                body: "Written: A design proposal for shop.example",
                status: "draft",
              },
            ],
          ],
        },
      ],
      ["gives up without an analysis", WISH, UNRECOVERABLE(/analyze it first/)],
      ["gives up without a lead", { ...WISH, leadId: 99 }, UNRECOVERABLE(/there is none/)],
      [
        "writes one again in its place",
        WISH,
        { proposalId: 1 },
        {
          given: `${ANALYSIS}; ${PROPOSAL}`,
          after: ["select count(*)::int as n from leads.proposal where body <> 'old'", [{ n: 1 }]],
        },
      ],
      [
        "takes the analysis that is named",
        { ...WISH, analysisId: 1 },
        { proposalId: 1 },
        { given: ANALYSIS },
      ],
      [
        "gives up on the analysis of another lead",
        { ...WISH, leadId: 2, analysisId: 1 },
        UNRECOVERABLE(/analyze it first/),
        { given: ANALYSIS },
      ],
      [
        "tries again if the model writes nothing",
        { ...WISH, leadId: 4 },
        fails("Error", /wrote nothing/),
        { given: SCORES },
      ],
      [
        "tries again while the model is down",
        WISH,
        DOWN,
        { given: ANALYSIS, fault: down("/ai"), after: ["select * from leads.proposal", []] },
      ],
      ["waits for the model's limiter", WISH, BUSY, { given: ANALYSIS, fault: busy("/ai") }],
      ["refuses a type that nobody writes", { ...WISH, proposalType: "song" }, INVALID],
    ],
  ],
  [
    generateOffer,
    [
      [
        "writes an offer",
        { leadId: 1, userId: 1 },
        { offerId: 1 },
        {
          given: PROPOSAL,
          after: [
            "select status, body from leads.offer",
            [{ status: "draft", body: "Written: An offer for shop.example" }],
          ],
        },
      ],
      ["gives up without a proposal", { leadId: 1, userId: 1 }, UNRECOVERABLE(/no proposal/)],
      [
        "does not offer an expired one",
        { leadId: 1, userId: 1 },
        UNRECOVERABLE(/no proposal/),
        { given: `${PROPOSAL}; update leads.proposal set status = 'expired'` },
      ],
      ["gives up without a lead", { leadId: 99, userId: 1 }, UNRECOVERABLE(/there is none/)],
      [
        "writes a draft again",
        { leadId: 1, userId: 1 },
        { offerId: 1 },
        {
          given: `${PROPOSAL}; ${OFFER}`,
          after: ["select body from leads.offer", [{ body: "Written: An offer for shop.example" }]],
        },
      ],
      [
        "leaves an offer alone that has gone out",
        { leadId: 1, userId: 1 },
        { skipped: "the offer has gone out" },
        {
          given: `${PROPOSAL}; ${SENT}`,
          after: ["select body from leads.offer", [{ body: "hello" }]],
        },
      ],
      [
        "takes the proposal that is named",
        { leadId: 1, userId: 1, proposalId: 1 },
        { offerId: 1 },
        { given: PROPOSAL },
      ],
      [
        "gives up on one that is not there",
        { leadId: 1, userId: 1, proposalId: 5 },
        UNRECOVERABLE(/no proposal/),
        { given: PROPOSAL },
      ],
      [
        "tries again while the model is down",
        { leadId: 1, userId: 1 },
        DOWN,
        { given: PROPOSAL, fault: down("/ai"), after: ["select * from leads.offer", []] },
      ],
    ],
  ],
  [
    syncAresData,
    [
      [
        "stores a company",
        { ico: "12345678" },
        { name: "Company 12345678" },
        {
          after: ["select ico, address from leads.company", [{ ico: "12345678", address: "Brno" }]],
        },
      ],
      [
        "brings one up to date",
        { ico: "12345678" },
        {},
        {
          given: "insert into leads.company values ('12345678', 'old', 'old')",
          after: ["select name from leads.company", [{ name: "Company 12345678" }]],
        },
      ],
      [
        "gives up on one that the register does not know",
        { ico: "00000000" },
        UNRECOVERABLE(/404/),
      ],
      [
        "tries again while the register is down",
        { ico: "12345678" },
        DOWN,
        { fault: down("/ares"), after: ["select * from leads.company", []] },
      ],
      [
        "keeps what it knew meanwhile",
        { ico: "12345678" },
        DOWN,
        {
          given: "insert into leads.company values ('12345678', 'old', 'old')",
          fault: down("/ares"),
          after: ["select name from leads.company", [{ name: "old" }]],
        },
      ],
      ["waits for the register's limiter", { ico: "12345678" }, BUSY, { fault: busy("/ares") }],
      ["tries again if the answer is lost", { ico: "12345678" }, LOST, { fault: lost("/ares") }],
      ["refuses what is no number of a company", { ico: "123" }, INVALID],
    ],
  ],
];
