/** The statements of named leases. The work is in the functions of `src/kernel/sql`. */

import type { Executor } from "../../store/executor.ts";

interface OwnedLease {
  name: string;
  epoch: string;
  lengthMs: number;
}

/** `epoch` null: somebody else has it. */
export async function takeLease(
  executor: Executor,
  { name, owner, lengthMs }: { name: string; owner: string; lengthMs: number },
): Promise<{ epoch: string | null; holder: string; lease_until: Date }> {
  const [row] = await executor.rows<{ epoch: string | null; holder: string; lease_until: Date }>(
    "select * from pawl.take_lease_v1($1, $2, $3::float8 * interval '1 ms')",
    [name, owner, lengthMs],
  );
  return row ?? takeLease(executor, { name, owner, lengthMs }); // taken and gone in between
}

export async function renewLease(
  executor: Executor,
  { name, epoch, lengthMs }: OwnedLease,
): Promise<void> {
  await executor.rows("select pawl.renew_lease_v1($1, $2, $3::float8 * interval '1 ms')", [
    name,
    epoch,
    lengthMs,
  ]);
}

export async function holdLease(executor: Executor, { name, epoch }: OwnedLease): Promise<void> {
  await executor.rows("select pawl.hold_lease_v1($1, $2)", [name, epoch]);
}

/** @returns how long to wait for the slot, in ms */
export async function reserveSlot(
  executor: Executor,
  { name, epoch, lengthMs, gapMs }: OwnedLease & { gapMs: number },
): Promise<number> {
  const [row] = await executor.rows<{ wait_ms: number }>(
    `select (extract(epoch from pawl.reserve_slot_v1($1, $2, $3::float8 * interval '1 ms', $4::float8 * interval '1 ms')) * 1000.0)::float8
       as wait_ms`,
    [name, epoch, gapMs, lengthMs],
  );
  return row?.wait_ms ?? 0;
}

export async function releaseLease(
  executor: Executor,
  { name, epoch }: OwnedLease,
): Promise<boolean> {
  const [row] = await executor.rows<{ released: boolean }>(
    "select pawl.release_lease_v1($1, $2) as released",
    [name, epoch],
  );
  return row?.released ?? false;
}
