/** The reasons why a task is in its state, with the facts of each, as `pawl.why_task_v1` returns them. */

export type WhyReason = { since: Date | null; until: Date | null } & (
  | { reason: "running"; detail: RunningFacts }
  | { reason: "scheduled"; detail: { attempt: number; error: string | null; isLate: boolean } }
  | { reason: "parked"; detail: ParkedFacts }
  | { reason: "arrived"; detail: { lane: string; workers: number } }
  | { reason: "lane"; detail: { lane: string; headId: string | null; before: number } }
  | { reason: "limit_key"; detail: LimitKeyFacts }
  | { reason: "off"; detail: { scope: string; by: string; why: string | null } }
  | { reason: "quiet"; detail: QuietFacts }
  | { reason: "concurrency"; detail: { limit: number; running: number } }
  | { reason: "kind_concurrency"; detail: { limit: number; running: number } }
  | { reason: "breaker"; detail: BreakerFacts }
  | { reason: "rate" | "kind_rate"; detail: { limit: number; perMs: number; burst: number } }
  | { reason: "no_worker" | "off_here" | "queued"; detail: ReadyFacts }
  | { reason: "locked"; detail: LockedFacts }
  | { reason: "dead"; detail: DeadFacts }
  | { reason: "ended"; detail: EndedFacts }
);

export interface ParkedFacts {
  attempt: number;
  error: string | null;
  /** How many tasks it waits for; 0: it waits for something else. */
  left: number;
  /** The first ten of them, and those that are dead letters. */
  after: string[];
  dead: string[];
}

export interface QuietFacts {
  /** The name of the quiet hours. */
  window: string;
  beginsAt: Date;
  why: string | null;
}

export interface LimitKeyFacts {
  key: string;
  /** Maximum number of its tasks that run at once; null: no limit. */
  limit: number | null;
  rate: { limit: number; perMs: number; burst: number } | null;
  running: number;
  /** Tasks of the key that come before it. */
  before: number;
}

export interface BreakerFacts {
  /** How many times in a row, with no successful attempt between. */
  trips: number;
  /** The error of the last failed attempt. */
  error: string | null;
  /** How many attempts may run at once now; 0: none before `until`. */
  starts: number;
}

export interface RunningFacts {
  workerId: string;
  host: string;
  pid: number;
  attempt: number;
  leaseUntil: Date;
  isLeaseOver: boolean;
  cancelRequestedAt: Date | null;
}

export interface ReadyFacts {
  kind: string;
  queue: string;
  /** Live workers that know the kind; `slots` and `running` are their sums. */
  workers: number;
  slots: number;
  running: number;
  /** Hosts where a file or `PAWL_OFF` holds it. */
  hosts: string[] | null;
  /**
   * How many of its kind run, if the kind's share of the slots is full on every worker that knows it and is not held; else
   * null.
   */
  share: number | null;
  /** It was lost with its worker twice; a worker starts such tasks one after the other. */
  isSolo: boolean;
  before: number;
}

export interface LockedFacts {
  /** What the other session holds, as text. */
  what: string;
  /** The server process's id. The other fields are null if the login may not see them. */
  pid: number;
  user: string | null;
  application: string | null;
  state: string | null;
}

export interface DeadFacts {
  reason: string;
  attempt: number;
  error: string | null;
  lane: string | null;
  isBlocking: boolean;
}

export interface EndedFacts {
  outcome: string;
  attempt: number;
  workerId: string | null;
  error: string | null;
}
