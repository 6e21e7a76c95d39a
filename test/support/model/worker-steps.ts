/** Commands that workers give: claim, settle in every way, too late or twice, heartbeat, go, crash. */

import assert from "node:assert/strict";
import type { TurnRow } from "../../../src/kernel/sql.ts";
import { type Asked, claim } from "./claiming.ts";
import type { Kernel, Shard } from "./kernel.ts";
import { type Ending, endWorker, heartbeat, rescue, settle } from "./settling.ts";
import { expectLeaseLost, idsOf, pick, type Step, step, workerIn } from "./steps.ts";
import type { Handle, Worker, World } from "./world.ts";

export interface ClaimArgs {
  slot: number;
  limit: number;
  /** One kind only, or all. */
  kind: string;
  /** Which shard is tried first. */
  first: number;
  solo: boolean;
}

export const claimStep = (args: ClaimArgs): Step =>
  step("claim", args, async (world, kernel) => {
    const worker = await workerIn(world, kernel, args.slot);
    return turn(world, kernel, worker, { ...args, outcomes: [], isLazy: false });
  });

export interface SettleArgs {
  slot: number;
  picks: number[];
  endings: Ending[];
  /** Claims as many with it. */
  limit: number;
  /** Leaves empty claims for another turn to remove. */
  isLazy: boolean;
}

export const settleStep = (args: SettleArgs): Step =>
  step(
    "settle",
    args,
    async (world, kernel) => {
      const worker = await workerIn(world, kernel, args.slot);
      const handles = pick(world.openHandles(worker.id), args.picks);
      const outcomes = handles.map((handle, n) => ({ handle, ending: endingOf(handle, args, n) }));
      const first = args.picks[0] ?? 0;
      return turn(world, kernel, worker, { ...args, kind: "all", first, solo: true, outcomes });
    },
    (world) => openIn(world, args.slot).length > 0,
  );

/** A worker starts nothing that has expired, and says so. */
function endingOf(handle: Handle, { endings }: SettleArgs, n: number): Ending {
  return handle.isExpired ? { kind: "expired" } : (endings[n % endings.length] ?? { kind: "done" });
}

interface TurnArgs extends Omit<ClaimArgs, "slot"> {
  outcomes: { handle: Handle; ending: Ending }[];
  isLazy: boolean;
}

async function turn(world: World, kernel: Kernel, worker: Worker, args: TurnArgs): Promise<string> {
  const { outcomes, limit, solo } = args;
  const shards = limit > 0 ? shardsOf(kernel, args) : [];
  const gone = args.isLazy ? [] : claimsEndedBy(world, worker, outcomes);
  const no = worker.nextClaim;
  worker.nextClaim += 1;
  const asked: Asked = { worker, claim: no, limit, solo, shards };
  const answer = kernel.turn({ ...asked, worker: worker.id, outcomes, gone, shards });
  if (!world.hasLease(worker.id)) return expectLeaseLost(world, kernel, { worker, answer });
  const rows = await answer;
  const refused = settle(world, outcomes);
  assert.deepEqual(
    rows
      .filter((row) => row.shard_id === null)
      .map(({ id, seq }) => `${id} ${seq}`)
      .toSorted(),
    refused.map(({ row }) => `${row.id} ${row.seq}`).toSorted(),
    "refused outcomes",
  );
  for (const one of gone) worker.claims.delete(one);
  const claimed = rows.filter((row) => row.shard_id !== null);
  claim(
    world,
    asked,
    claimed.map((row) => ({ row, key: keyOf(kernel, row) })),
  );
  const ends = outcomes.map(({ handle, ending }) => `${handle.row.id} ${ending.kind}`);
  return `worker ${worker.id}: [${ends.join(", ")}] → [${claimed.map((row) => row.id).join(" ")}]`;
}

function shardsOf(kernel: Kernel, { kind, first }: TurnArgs): Shard[] {
  const mine = kernel.shards.filter((shard) => kind === "all" || shard.kind === kind);
  const from = first % mine.length;
  return [...mine.slice(from), ...mine.slice(0, from)];
}

function keyOf(kernel: Kernel, row: TurnRow): string {
  return kernel.shards.find((shard) => shard.id === row.shard_id)?.key ?? "unknown";
}

/** As a worker does: a claim goes with the last outcome of its tasks. */
function claimsEndedBy(
  world: World,
  worker: Worker,
  outcomes: readonly { handle: Handle }[],
): number[] {
  const left = world
    .openHandles(worker.id)
    .filter((handle) => outcomes.every((outcome) => outcome.handle !== handle));
  return [...worker.claims].filter((no) => left.every((handle) => handle.claim !== no));
}

const openIn = (world: World, slot: number): Handle[] => {
  const worker = world.slots[slot];
  return worker === undefined ? [] : world.openHandles(worker.id);
};

/** What a worker still wants to say about a task that is no longer its own, or said before. */
export const settleStaleStep = (args: { pick: number; ending: Ending }): Step =>
  step(
    "settle stale",
    args,
    async (world, kernel) => {
      const [handle] = pick(staleIn(world), [args.pick]);
      const worker = handle && world.workers.get(handle.worker);
      if (handle === undefined || worker === undefined) return "nothing";
      const outcomes = [{ handle, ending: args.ending }];
      const nothing = { limit: 0, kind: "all", first: 0, solo: false, isLazy: true };
      return turn(world, kernel, worker, { ...nothing, outcomes });
    },
    (world) => staleIn(world).length > 0,
  );

const staleIn = (world: World): Handle[] =>
  world.handles.filter((one) => one.fate !== "open" || !world.hasLease(one.worker)).slice(-12);

/** As the last statement of a handler's own transaction. */
export const settleInTransactionStep = (args: { pick: number }): Step =>
  step(
    "settle in transaction",
    args,
    async (world, kernel) => {
      const [handle] = pick(world.handles.slice(-12), [args.pick]);
      const worker = handle && world.workers.get(handle.worker);
      if (handle === undefined || worker === undefined) return "nothing";
      const answer = kernel.settleInTransaction(handle);
      if (!world.hasLease(worker.id)) return expectLeaseLost(world, kernel, { worker, answer });
      assert.equal(await answer, handle.fate !== "taken", "whether the task was still its own");
      settle(world, [{ handle, ending: { kind: "done" } }]);
      return `worker ${worker.id}: ${handle.row.id}`;
    },
    (world) => world.handles.length > 0,
  );

/** Claims whose answers it never got are unknown to it, and go back. */
export const heartbeatStep = (args: { slot: number; forgets: number[] }): Step =>
  step("heartbeat", args, async (world, kernel) => {
    const worker = await workerIn(world, kernel, args.slot);
    const forgotten = pick([...worker.claims], args.forgets);
    const known = [...worker.claims].filter((no) => !forgotten.includes(no));
    const answer = kernel.heartbeat(worker.id, known, worker.nextClaim);
    if (!world.hasLease(worker.id)) return expectLeaseLost(world, kernel, { worker, answer });
    const { orphans, cancelled } = await answer;
    const expected = heartbeat(world, worker, forgotten);
    assert.deepEqual(
      { orphans, cancelled: (cancelled ?? []).toSorted() },
      { ...expected, cancelled: expected.cancelled.toSorted() },
    );
    return `worker ${worker.id}: forgot claims [${forgotten.join(" ")}], ${orphans} tasks went back`;
  });

export const endWorkerStep = (args: { slot: number }): Step =>
  step("end worker", args, async (world, kernel) => {
    const worker = await workerIn(world, kernel, args.slot);
    const running = idsOf(world.openHandles(worker.id).map((handle) => world.taskOf(handle)));
    assert.equal(await kernel.endWorker(worker.id), endWorker(world, worker));
    return `worker ${worker.id} gave back [${running.join(" ")}]`;
  });

/** Its lease ends now: it crashed, or it sleeps and will be late. */
export const endLeaseStep = (args: { slot: number }): Step =>
  step(
    "end lease",
    args,
    async (world, kernel) => {
      const worker = world.slots[args.slot];
      if (worker === undefined || worker.hasEnded) return "nobody there";
      await kernel.endLease(worker.id);
      worker.leaseUntil = world.now - 60_000;
      return `worker ${worker.id}`;
    },
    (world) => world.slots[args.slot] !== undefined,
  );

/** A rescue is one worker's, the oldest first. */
export const rescueStep = (): Step =>
  step("rescue", {}, async (world, kernel) => {
    const expected = rescue(world);
    const [found] = await kernel.rescue();
    assert.deepEqual(found, expected);
    return found === undefined ? "nobody" : `worker ${found.worker_id}: ${found.tasks} tasks`;
  });
