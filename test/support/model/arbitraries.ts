/** What commands come with which arguments, and how often; small arguments first, so that a failure shrinks to them. */

import fc from "fast-check";
import { KINDS, PRIORITIES } from "./catalogue.ts";
import type { Spec } from "./enqueueing.ts";
import * as other from "./other-steps.ts";
import type { Ending } from "./settling.ts";
import { type Step, series } from "./steps.ts";
import * as worker from "./worker-steps.ts";

const slot = fc.nat(2);
const few = fc.array(fc.nat(40), { minLength: 1, maxLength: 3 });

export function commands(): fc.Arbitrary<Step>[] {
  return [...arrivals(), ...fleet(), ...workers(), ...lives(), ...people()];
}

function arrivals(): fc.Arbitrary<Step>[] {
  return [
    ...times(3, fc.record({ specs: specs(true) }).map(other.enqueueStep)),
    fc.record({ specs: specs(false) }).map(other.enqueueOpenStep),
    fc.record({ isCommitted: fc.constantFrom(true, true, false) }).map(other.closeOpenStep),
  ];
}

function fleet(): fc.Arbitrary<Step>[] {
  const ms = fc.constantFrom(25, 300, 1_000, 1_000, 4_000, 4_000, 11_000, 61_000);
  return [
    ...times(3, fc.constant(null).map(chores)),
    fc.record({ limit: fc.constantFrom(1, 2, 5) }).map(other.sortStep),
    fc.record({ limit: fc.constantFrom(1, 2) }).map(other.promoteStep),
    fc.record({ limit: fc.constantFrom(1, 2, 100) }).map(other.expireStep),
    ...times(2, fc.record({ ms, areBeating: fc.boolean() }).map(other.passStep)),
    fc.constant(null).map(worker.rescueStep),
  ];
}

function chores(): Step {
  return series([
    other.sortStep({ limit: 100 }),
    other.promoteStep({ limit: 100 }),
    other.useShardsStep(),
  ]);
}

const claims = fc.record({
  slot,
  limit: fc.constantFrom(10, 1, 2, 3),
  kind: fc.constantFrom("all", ...KINDS),
  first: fc.nat(30),
  solo: fc.boolean(),
});

function workers(): fc.Arbitrary<Step>[] {
  const settles = fc.record({
    slot,
    picks: few,
    endings: fc.array(ending(), { minLength: 1, maxLength: 3 }),
    limit: fc.constantFrom(0, 0, 2, 10),
    isLazy: fc.boolean(),
  });
  return [
    ...times(3, claims.map(worker.claimStep)),
    ...times(4, settles.map(worker.settleStep)),
    ...times(2, fc.record({ pick: fc.nat(20), ending: ending() }).map(worker.settleStaleStep)),
    fc.record({ pick: fc.nat(20) }).map(worker.settleInTransactionStep),
    fc.record({ slot, forgets: fc.array(fc.nat(5), { maxLength: 2 }) }).map(worker.heartbeatStep),
    fc.record({ slot }).map(worker.endWorkerStep),
    fc.record({ slot }).map(worker.endLeaseStep),
  ];
}

/** Stretches of a life that single commands seldom put together. */
function lives(): fc.Arbitrary<Step>[] {
  const deadly = claims.map((args) => series(times(2, crash(args)).flat()));
  return [claims.map(restless), deadly, fc.record({ slot, picks: few }).map(bury)];
}

/** Time passes between claims, so that each sweeps. */
const restless = (args: worker.ClaimArgs): Step =>
  series(times(3, [other.passStep({ ms: 300, areBeating: true }), worker.claimStep(args)]).flat());

const crash = (args: worker.ClaimArgs): Step[] => [
  worker.claimStep({ ...args, solo: true }),
  worker.endLeaseStep({ slot: args.slot }),
  worker.rescueStep(),
  other.passStep({ ms: 4_000, areBeating: true }),
  other.promoteStep({ limit: 100 }),
];

const bury = (args: { slot: number; picks: number[] }): Step =>
  series([
    worker.claimStep({ ...args, limit: 10, kind: "all", first: 0, solo: true }),
    worker.settleStep({ ...args, endings: [{ kind: "unrecoverable" }], limit: 0, isLazy: false }),
  ]);

function people(): fc.Arbitrary<Step>[] {
  const inMs = fc.constantFrom(null, -1_000, 0, 2_000, 20_000);
  const scope = fc.constantFrom("all", ...KINDS.map((kind) => `queue:${kind}`));
  const priority = fc.constantFrom(null, ...PRIORITIES);
  return [
    ...times(2, fc.record({ picks: few }).map(other.cancelStep)),
    ...times(2, fc.record({ picks: few, inMs, priority }).map(other.changeStep)),
    ...times(2, fc.record({ picks: few }).map(other.retryDeadStep)),
    fc.record({ picks: few }).map(other.removeDeadStep),
    fc.record({ scope, forMs: fc.constantFrom(null, 3_000, 3_000) }).map(other.offStep),
    ...times(2, fc.record({ scope }).map(other.onStep)),
  ];
}

function specs(hasKeys: boolean): fc.Arbitrary<Spec[]> {
  const none = undefined;
  const spec: fc.Arbitrary<Spec> = fc.record({
    kind: fc.constantFrom(...KINDS),
    priority: fc.constantFrom(1, 0),
    lane: fc.constantFrom(none, "a", "b"),
    key: hasKeys ? fc.constantFrom(none, none, "x", "y") : fc.constant(none),
    delayMs: fc.constantFrom(none, none, none, 2_000),
    ttlMs: fc.constantFrom(none, none, none, none, 500, 3_000, 30_000),
    maxAttempts: fc.constantFrom(none, none, none, 1, 5),
  });
  return fc.array(spec, { minLength: 1, maxLength: 3 });
}

function ending(): fc.Arbitrary<Ending> {
  return fc.constantFrom<Ending[]>(
    { kind: "done" },
    { kind: "done" },
    { kind: "retry" },
    { kind: "retry", delayMs: 500 },
    { kind: "retry", delayMsMin: 6_000 },
    { kind: "timeout" },
    { kind: "recoverable" },
    { kind: "recoverable", delayMs: 3_000 },
    { kind: "snooze", delayMs: 1_500 },
    { kind: "unrecoverable" },
    { kind: "cancelled" },
  );
}

const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);
