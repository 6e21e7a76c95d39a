/** What the cases of the handlers share: faults, and what is in the tables before. */

import type { AnyJob } from "../../../src/index.ts";
import { type FaultOf, fails } from "./stage.ts";

export interface More {
  given?: string;
  fault?: FaultOf;
  /** What is in the tables afterwards. */
  after?: readonly [sql: string, rows: readonly object[]];
}
export type Case = readonly [name: string, input: object, expected: object, more?: More];

export const UNRECOVERABLE = (message: RegExp) => fails("Unrecoverable", message);
export const BUSY = fails("Recoverable", /429/);
export const DOWN = fails("Error", /503/);
export const LOST = fails("TypeError", /fetch failed/);
export const INVALID = fails("PawlError", /does not fit its schema/);
export const down = (path: string): FaultOf => [path, { status: 503 }];
export const busy = (path: string): FaultOf => [path, { status: 429, retryAfter: 7 }];
export const lost = (path: string): FaultOf => [path, { status: "lost" }];
export const wrong = (path: string): FaultOf => [path, { status: 400 }];

export const OFFER = "insert into leads.offer (lead_id, user_id, body) values (1, 1, 'hello')";
export const SENT = `${OFFER}; update leads.offer set status = 'sent', message_id = 'm1'`;
export const DRAFT = [
  "select status, message_id from leads.offer",
  [{ status: "draft", message_id: null }],
] as const;
export const ANALYSIS =
  "insert into leads.analysis (lead_id, score, findings) values (1, 40, '[]')";
export const NO_ANALYSIS = ["select * from leads.analysis", []] as const;
export const PROPOSAL =
  "insert into leads.proposal (lead_id, user_id, type, body) values (1, 1, 'design', 'old')";
export const NOTICE = { id: "e1", type: "delivery", messageId: "m1", email: "ann@shop.example" };
export const WISH = { leadId: 1, userId: 1, proposalType: "design" };
export const SEARCH = { source: "search", query: "bakeries" };
export const leads = (count: number) =>
  ["select count(*)::int as n from leads.lead", [{ n: count }]] as const;
export const benchmarks = (...rows: object[]) =>
  ["select industry, leads, score from leads.benchmark order by 1", rows] as const;
export const SCORES =
  "insert into leads.analysis (lead_id, score, findings) values (1, 40, '[]'), (2, 81, '[]'), (3, 10, '[]'), (4, 5, '[]')";

export type CasesOf = readonly (readonly [AnyJob, readonly Case[]])[];
