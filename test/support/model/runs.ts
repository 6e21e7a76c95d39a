/** Random runs of all commands, and their end: everything is let go, and every task must come to an end. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { commands } from "./arbitraries.ts";
import { KINDS } from "./catalogue.ts";
import type { Kernel } from "./kernel.ts";
import * as other from "./other-steps.ts";
import { type Step, series } from "./steps.ts";
import * as worker from "./worker-steps.ts";
import { World } from "./world.ts";

const COMMANDS_MAX = 80;

export interface RunOptions {
  seed: number;
  runs: number;
}

/** @throws with the seed and the shortest list of commands that fails */
export async function checkRuns(kernel: Kernel, { seed, runs }: RunOptions): Promise<void> {
  const property = fc.asyncProperty(
    fc.commands(commands(), { maxCommands: COMMANDS_MAX, size: "max" }),
    async (steps) => {
      await kernel.reset();
      const world = new World();
      try {
        await fc.asyncModelRun(() => ({ model: world, real: kernel }), steps);
        await drain(world, kernel);
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${world.log.join("\n")}`, { cause: error });
      }
    },
  );
  await fc.assert(property, { seed, numRuns: runs });
}

/** Whatever was held is let go, and nothing may be left behind. */
async function drain(world: World, kernel: Kernel): Promise<void> {
  const steps = [
    ...["all", ...KINDS.map((kind) => `queue:${kind}`)].map((scope) => other.onStep({ scope })),
    ...[0, 1, 2].map((slot) => worker.endLeaseStep({ slot })),
    ...[0, 1, 2].map(() => worker.rescueStep()),
  ];
  if (kernel.isOpen) steps.unshift(other.closeOpenStep({ isCommitted: true }));
  await series(steps).run(world, kernel);
  for (let rounds = 0; world.live.length > 0 || hasDead(world); rounds += 1) {
    assert(rounds < 200, `tasks that never end: ${world.live.map((task) => task.id).join(" ")}`);
    await series(round()).run(world, kernel);
  }
}

const hasDead = (world: World) => world.all.some((task) => task.state === "dead");

function round(): Step[] {
  return [
    other.passStep({ ms: 10_000, areBeating: true }),
    worker.rescueStep(),
    other.sortStep({ limit: 100 }),
    other.promoteStep({ limit: 100 }),
    other.useShardsStep(),
    ...KINDS.map((kind) => worker.claimStep({ slot: 0, limit: 50, kind, first: 0, solo: true })),
    worker.settleStep({
      slot: 0,
      picks: Array.from({ length: 99 }, (_, n) => n),
      endings: [{ kind: "done" }],
      limit: 0,
      isLazy: false,
    }),
    other.removeDeadStep({ picks: Array.from({ length: 99 }, (_, n) => n) }),
  ];
}
