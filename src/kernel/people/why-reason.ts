/** The reasons why a task is where it is, with the facts of each, as `pawl.why_task_v1` answers them. */

/** Times in `detail` are ISO 8601 text. */
export type WhyReason = { since: Date | null; until: Date | null } & (
  | { reason: "running"; detail: RunningFacts }
  | { reason: "scheduled"; detail: { attempt: number; error: string | null; is_late: boolean } }
  | { reason: "arrived"; detail: { lane: string; workers: number } }
  | { reason: "lane"; detail: { lane: string; head: number | null; before: number } }
  | { reason: "off"; detail: { scope: string; by: string; why: string | null } }
  | { reason: "concurrency"; detail: { limit: number; running: number } }
  | { reason: "kind_concurrency"; detail: { limit: number; running: number } }
  | { reason: "breaker"; detail: BreakerFacts }
  | { reason: "rate"; detail: { limit: number; per_ms: number; burst: number } }
  | { reason: "no_worker" | "off_here" | "queued"; detail: ReadyFacts }
  | { reason: "dead"; detail: DeadFacts }
  | { reason: "ended"; detail: EndedFacts }
);

export interface BreakerFacts {
  /** In a row, without a good attempt between them. */
  trips: number;
  /** Of the last failed attempt. */
  error: string | null;
  /** How many may run at once now; 0: none, until its time. */
  starts: number;
}

export interface RunningFacts {
  worker: number;
  host: string;
  pid: number;
  attempt: number;
  lease_until: string;
  is_lease_over: boolean;
  cancel_requested_at: string | null;
}

export interface ReadyFacts {
  kind: string;
  queue: string;
  /** Live ones that know the kind; `slots` and `running` are theirs together. */
  workers: number;
  slots: number;
  running: number;
  /** Where a file or a variable holds it. */
  hosts: string[] | null;
  /** It was lost with its worker, and is claimed alone. */
  is_solo: boolean;
  before: number;
}

export interface DeadFacts {
  reason: string;
  attempt: number;
  error: string | null;
  lane: string | null;
  is_blocking: boolean;
}

export interface EndedFacts {
  outcome: string;
  attempt: number;
  worker: number | null;
  error: string | null;
}
