/** Commands that are not a worker's: enqueueing, the passing of time, what is done for the fleet, people. */

import assert from "node:assert/strict";
import { commitLate } from "./claiming.ts";
import { enqueue, expirable, expire, promote, type Spec, sort } from "./enqueueing.ts";
import type { Kernel } from "./kernel.ts";
import * as people from "./people.ts";
import { placesSeen } from "./seen.ts";
import { heartbeat } from "./settling.ts";
import { idsOf, pick, type Step, sameAnswers, step } from "./steps.ts";
import { LEASE_MS, type Task, type World } from "./world.ts";

export const enqueueStep = (args: { specs: Spec[] }): Step =>
  step("enqueue", args, async (world, kernel) => {
    const answer = await kernel.enqueue(args.specs);
    enqueue(world, args.specs, answer, false);
    return `[${answer.map(({ id, outcome }) => `${id} ${outcome}`).join(", ")}]`;
  });

/** Without keys: a key that is taken by an open transaction is waited for. */
export const enqueueOpenStep = (args: { specs: Spec[] }): Step =>
  step("enqueue in an open transaction", args, async (world, kernel) => {
    const answer = await kernel.enqueueOpen(args.specs);
    enqueue(world, args.specs, answer, true);
    return `[${answer.map(({ id }) => id).join(" ")}]`;
  });

export const closeOpenStep = (args: { isCommitted: boolean }): Step =>
  step(
    "close the open transaction",
    args,
    async (world, kernel) => {
      await kernel.closeOpen(args.isCommitted);
      const tasks = world.pending.splice(0);
      if (!args.isCommitted) return "rolled back";
      const places = await placesSeen(kernel.store);
      for (const task of tasks) {
        task.place = places.get(task.id) ?? null;
        world.tasks.set(task.id, task);
        commitLate(world, task);
      }
      return `committed [${idsOf(tasks).join(" ")}]`;
    },
    (world) => world.pending.length > 0,
  );

/** Live workers keep their leases when they beat; else they sleep through them. */
export const passStep = (args: { ms: number; areBeating: boolean }): Step =>
  step("pass", args, async (world, kernel) => {
    const { ms, areBeating } = args;
    for (let left = ms; left > 0; ) {
      const some = areBeating ? Math.min(left, LEASE_MS - 1_000) : left;
      await kernel.advance(some);
      world.now += some;
      left -= some;
      if (areBeating) await beat(world, kernel);
    }
    return `${world.now}`;
  });

async function beat(world: World, kernel: Kernel): Promise<void> {
  for (const worker of world.slots) {
    if (worker === undefined || !world.hasLease(worker.id)) continue;
    await kernel.heartbeat(worker.id, [...worker.claims], worker.nextClaim);
    heartbeat(world, worker, []);
  }
}

export const sortStep = (args: { limit: number }): Step =>
  step("sort", args, async (world, kernel) => {
    const answer = await kernel.sort(args.limit, world.sortedTo !== null);
    assert.equal(answer.sorted, sort(world, args.limit));
    assert.equal(answer.to, world.sortedTo, "where the pass ended");
    return `${answer.sorted}`;
  });

/** Shards other than those of priority 1 are looked at once somebody has noted their first use. */
export const useShardsStep = (): Step =>
  step("use shards", {}, async (world, kernel) => {
    const ready = world.live.filter((task) => task.state === "ready");
    const keys = new Set(ready.map((task) => world.shardOf(task)));
    const fresh = kernel.shards.filter((shard) => keys.has(shard.key) && !world.isUsed(shard));
    assert.equal(await kernel.useShards(), fresh.length);
    for (const { key } of fresh) world.used.add(key);
    return fresh.map((shard) => shard.key).join(" ");
  });

export const promoteStep = (args: { limit: number }): Step =>
  step("promote", args, async (world, kernel) => {
    const answer = await kernel.promote(args.limit);
    assert.deepEqual(answer, promote(world, args.limit));
    return `${answer.promoted}`;
  });

/** Which ones a limit picks is the kernel's business. */
export const expireStep = (args: { limit: number }): Step =>
  step("expire", args, async (world, kernel) => {
    const may = expirable(world);
    const count = await kernel.expire(args.limit);
    const places = await placesSeen(kernel.store);
    const gone = may.filter((task) => !places.has(task.id));
    assert.equal(count, Math.min(args.limit, may.length), "how many expired");
    assert.equal(gone.length, count, `gone: [${idsOf(gone).join(" ")}]`);
    expire(world, gone);
    return `[${idsOf(gone).join(" ")}]`;
  });

/** What lives, and a few that have ended. */
function choice(world: World): Task[] {
  const ended = world.all.filter((task) => !world.live.includes(task));
  return [...world.live, ...ended.slice(-2)];
}

export const cancelStep = (args: { picks: number[] }): Step =>
  step("cancel", args, async (world, kernel) => {
    const ids = idsOf(pick(choice(world), args.picks));
    sameAnswers(await kernel.cancel(ids), people.cancel(world, ids));
    return `[${ids.join(" ")}]`;
  });

export const changeStep = (args: {
  picks: number[];
  inMs: number | null;
  priority: number | null;
}): Step =>
  step("change", args, async (world, kernel) => {
    const ids = idsOf(pick(choice(world), args.picks));
    const move = {
      runAt: args.inMs === null ? null : world.now + args.inMs,
      priority: args.priority,
    };
    sameAnswers(await kernel.change(ids, move), people.change(world, ids, move));
    return `[${ids.join(" ")}]`;
  });

const dead = (world: World): Task[] => world.all.filter((task) => task.state === "dead");

export const retryDeadStep = (args: { picks: number[] }): Step =>
  step(
    "retry dead",
    args,
    async (world, kernel) => {
      const ids = idsOf(pick(dead(world), args.picks));
      sameAnswers(await kernel.retryDead(ids), people.retryDead(world, ids));
      return `[${ids.join(" ")}]`;
    },
    (world) => dead(world).length > 0,
  );

export const removeDeadStep = (args: { picks: number[] }): Step =>
  step(
    "remove dead",
    args,
    async (world, kernel) => {
      const ids = idsOf(pick(dead(world), args.picks));
      sameAnswers(await kernel.removeDead(ids), people.removeDead(world, ids));
      return `[${ids.join(" ")}]`;
    },
    (world) => dead(world).length > 0,
  );

export const offStep = (args: { scope: string; forMs: number | null }): Step =>
  step("off", args, async (world, kernel) => {
    const until = args.forMs === null ? null : world.now + args.forMs;
    await kernel.off(args.scope, until);
    people.off(world, args.scope, until);
    return `until ${until}`;
  });

export const onStep = (args: { scope: string }): Step =>
  step("on", args, async (world, kernel) => {
    assert.equal(await kernel.on(args.scope), people.on(world, args.scope), "whether it was off");
    return "";
  });
