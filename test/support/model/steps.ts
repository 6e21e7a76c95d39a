/** The commands of a run: each does the same to the kernel and to the model, then compares everything. */

import assert from "node:assert/strict";
import type { AsyncCommand } from "fast-check";
import type { Kernel } from "./kernel.ts";
import { compare } from "./seen.ts";
import type { Task, Worker, World } from "./world.ts";

export type Step = AsyncCommand<World, Kernel>;

/** `act` answers what happened, for the log of a run that failed. */
export function step<Args extends object>(
  name: string,
  args: Args,
  act: (world: World, kernel: Kernel, args: Args) => Promise<string>,
  check: (world: World, args: Args) => boolean = () => true,
): Step {
  const text = `${name} ${JSON.stringify(args).replaceAll('"', "")}`;
  return {
    toString: () => text,
    check: (world) => check(world, args),
    run: async (world, kernel) => {
      world.log.push(`${text}:`);
      const said = await act(world, kernel, args);
      world.log.push(`  ${said}`);
      await compare(world, kernel);
    },
  };
}

/** Several, one after the other: for what single commands seldom meet. */
export function series(steps: readonly Step[]): Step {
  return {
    toString: () => steps.map((one) => one.toString()).join(", "),
    check: () => true,
    run: async (world, kernel) => {
      for (const one of steps) if (one.check(world)) await one.run(world, kernel);
    },
  };
}

/** Some of these, by numbers that mean something in any world; each at most once. */
export function pick<T>(from: readonly T[], numbers: readonly number[]): T[] {
  if (from.length === 0) return [];
  return [...new Set(numbers.map((n) => from[n % from.length]))].filter((one) => one !== undefined);
}

export const idsOf = (tasks: readonly Task[]): string[] => tasks.map((task) => task.id);

/** The rows of people's functions come in no order. */
export function sameAnswers(
  actual: readonly { id: string; outcome: string }[],
  expected: readonly { id: string; outcome: string }[],
): void {
  const sorted = (rows: typeof actual) => rows.map((row) => `${row.id} ${row.outcome}`).toSorted();
  assert.deepEqual(sorted(actual), sorted(expected));
}

/** The worker in this slot; one starts when there is none. */
export async function workerIn(world: World, kernel: Kernel, slot: number): Promise<Worker> {
  const known = world.slots[slot];
  if (known !== undefined && !known.hasEnded) return known;
  const id = await kernel.newWorker();
  const worker: Worker = {
    id,
    leaseUntil: world.now + 10_000,
    hasEnded: false,
    nextClaim: 1,
    claims: new Set(),
  };
  world.slots[slot] = worker;
  world.workers.set(id, worker);
  return worker;
}

/** What a worker whose lease is over gets for everything it says; it registers again next time. */
export async function expectLeaseLost(
  world: World,
  kernel: Kernel,
  { worker, answer }: { worker: Worker; answer: Promise<unknown> },
): Promise<string> {
  await assert.rejects(answer, { code: "lease_lost" });
  await kernel.letGoOf(worker.id);
  const slot = world.slots.indexOf(worker);
  if (slot >= 0) world.slots[slot] = undefined;
  return `refused: the lease of worker ${worker.id} is lost`;
}
