/** What workers do to tasks: outcomes, giving back, heartbeats, rescue. */

import { LINES } from "./catalogue.ts";
import { isBefore } from "./rank.ts";
import { type Handle, LEASE_MS, type Task, type Worker, type World } from "./world.ts";

const CRASHES_MAX = 3;

export interface Ending {
  readonly kind:
    | "done"
    | "retry"
    | "timeout"
    | "recoverable"
    | "snooze"
    | "unrecoverable"
    | "cancelled"
    | "expired"
    | "lost";
  readonly delayMs?: number;
  readonly delayMsMin?: number;
  readonly isAlone?: boolean;
}

/** Answers the handles whose outcome is refused. */
export function settle(
  world: World,
  outcomes: readonly { handle: Handle; ending: Ending }[],
): Handle[] {
  const refused = outcomes.filter(({ handle }) => handle.fate === "taken");
  const good = outcomes.filter(({ handle }) => handle.fate === "open");
  const done = good.filter(({ ending }) => ending.kind === "done").map(({ handle }) => handle);
  for (const handle of done) {
    const { attempt } = world.taskOf(handle);
    recorded(world, handle, "done", { attempt: attempt + 1, worker: handle.worker });
  }
  world.promoteLanes(done.map((handle) => world.taskOf(handle)));
  fail(
    world,
    good.filter(({ ending }) => ending.kind !== "done"),
  );
  return refused.map(({ handle }) => handle);
}

function fail(world: World, failures: readonly { handle: Handle; ending: Ending }[]): void {
  for (const { handle, ending } of failures) judge(world, handle, ending);
  world.promoteLanes(failures.map(({ handle }) => world.taskOf(handle)));
}

function judge(world: World, handle: Handle, ending: Ending): void {
  const task = world.taskOf(handle);
  const { worker } = handle;
  const isFree = ["recoverable", "snooze", "expired"].includes(ending.kind);
  const attempt = task.attempt + (isFree ? 0 : 1);
  const isLost = ending.kind === "lost";
  const isCrash = isLost && task.losses > 0 && ending.isAlone === true;
  const losses = isLost ? task.losses + 1 : 0;
  const crashes = task.crashes + (isCrash ? 1 : 0);
  const runAt = world.now + delayOf(task, ending, attempt);
  const ended = endOf(task, ending);
  const reason = deathOf(task, ending, { attempt, crashes, runAt });
  if (ended !== null) {
    recorded(world, handle, ended, { attempt, worker });
  } else if (reason !== null) {
    const isBlocking = task.lane !== null && LINES[task.kind].onDead === "block";
    const last = { attempt: task.attempt + 1, crashes, worker, reason, isBlocking };
    recorded(world, handle, "dead", last);
  } else if (task.expiresAt !== null && runAt > task.expiresAt) {
    recorded(world, handle, "expired", { attempt, worker });
  } else {
    task.history.push(`${task.attempt + 1} ${ending.kind}`);
    const solo = losses > 1;
    const place = solo === task.solo ? task.place : 1;
    Object.assign(task, {
      state: "scheduled",
      running: null,
      attempt,
      crashes,
      losses,
      runAt,
      solo,
      place,
    });
    handle.fate = "recorded";
  }
}

function endOf(task: Task, { kind }: Ending): "expired" | "cancelled" | null {
  if (kind === "expired") return "expired";
  return kind === "cancelled" || task.isCancelRequested ? "cancelled" : null;
}

function deathOf(
  task: Task,
  { kind }: Ending,
  next: { attempt: number; crashes: number; runAt: number },
): string | null {
  const { attempts, until_ms } = LINES[task.kind].retry;
  if (kind === "unrecoverable") return "unrecoverable";
  if (next.crashes >= CRASHES_MAX) return "crashed";
  if (kind === "recoverable" || kind === "snooze") return null;
  if (next.attempt >= (task.maxAttempts ?? attempts)) return "attempts";
  if (until_ms !== null && next.runAt > task.createdAt + until_ms) return "until";
  return null;
}

function delayOf(task: Task, { delayMs, delayMsMin = 0 }: Ending, attempt: number): number {
  const { delays_ms } = LINES[task.kind].retry;
  const place = Math.min(Math.max(attempt, 1), delays_ms.length) - 1;
  return Math.max(delayMs ?? delays_ms[place] ?? 0, delayMsMin, 0);
}

function recorded(
  world: World,
  handle: Handle,
  state: "done" | "cancelled" | "expired" | "dead",
  how: Partial<Task>,
): void {
  world.end(world.taskOf(handle), state, how);
  handle.fate = "recorded";
}

/** The claims go; what they still name goes back uncounted, in its old order, but for what was to be cancelled. */
export function giveBack(world: World, worker: Worker, claims: readonly number[]): number {
  const open = world.openHandles(worker.id).filter((handle) => claims.includes(handle.claim));
  for (const handle of open) handle.fate = "taken";
  const tasks = open.map((handle) => world.taskOf(handle));
  const cancelled = tasks.filter((task) => task.isCancelRequested);
  const back = tasks.filter((task) => !task.isCancelRequested);
  for (const task of cancelled) world.end(task, "cancelled", {});
  const major = world.act();
  world.promoteLanes(cancelled, major);
  for (const shard of new Set(back.map((task) => world.shardOf(task)))) {
    // later claims come later in `handles`, so a stable sort keeps what the ranks leave open
    const ordered = back.filter((task) => world.shardOf(task) === shard).toSorted(byRank);
    for (const [minor, task] of ordered.entries()) task.rank = { major, minor };
  }
  for (const task of back) task.running = null;
  for (const claim of claims) worker.claims.delete(claim);
  return back.length;
}

export function heartbeat(
  world: World,
  worker: Worker,
  forgotten: readonly number[],
): { orphans: number; cancelled: string[] } {
  const orphans = forgotten.length === 0 ? 0 : giveBack(world, worker, forgotten);
  worker.leaseUntil = world.now + LEASE_MS;
  const asked = world
    .openHandles(worker.id)
    .map((handle) => world.taskOf(handle))
    .filter((task) => task.isCancelRequested);
  return { orphans, cancelled: asked.map((task) => task.id) };
}

export function endWorker(world: World, worker: Worker): number {
  const count = giveBack(world, worker, [...worker.claims]);
  worker.hasEnded = true;
  return count;
}

/** What the first of the workers whose lease is over left behind is lost, once each. */
export function rescue(world: World): { worker_id: number; tasks: number } | undefined {
  const worker = [...world.workers.values()].find(
    (one) => !one.hasEnded && one.leaseUntil <= world.now,
  );
  if (worker === undefined) return undefined;
  const handles = world.openHandles(worker.id);
  const isAlone = handles.length === 1;
  for (const handle of handles) putBehind(world, world.taskOf(handle));
  fail(
    world,
    handles.toSorted(lastBegunFirst).map((handle, place) => {
      const delayMs = world.taskOf(handle).losses > 0 ? place : 0;
      return { handle, ending: { kind: "lost", isAlone, delayMs } };
    }),
  );
  worker.hasEnded = true;
  worker.claims.clear();
  return { worker_id: worker.id, tasks: handles.length };
}

/** What waits to be tried as this one was comes after it. */
function putBehind(world: World, lost: Task): void {
  if (!lost.solo) return;
  const shard = world.shardOf(lost);
  for (const task of world.live) {
    if (task.state !== "ready" || task.running !== null || world.shardOf(task) !== shard) continue;
    Object.assign(task, { state: "scheduled", runAt: world.now + 1_000, isLate: false });
  }
}

function lastBegunFirst(a: Handle, b: Handle): number {
  return b.claimedAt - a.claimedAt || Number(a.row.id) - Number(b.row.id);
}

function byRank(a: Task, b: Task): number {
  if (isBefore(a.rank, b.rank)) return -1;
  return isBefore(b.rank, a.rank) ? 1 : 0;
}
