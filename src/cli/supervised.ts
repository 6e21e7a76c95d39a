/** What a worker process and the parent that started it (`--processes`) tell each other, over Node's channel between processes. */

import { read } from "../base/thrown.ts";

const VARIABLE = "PAWL_SUPERVISED";
/** How often a worker tells its parent how it is. */
export const TELL_MS = 1_000;

/** Read once and removed: a process that a handler starts is nobody's worker. */
const isChild = process.env[VARIABLE] === "1";
delete process.env[VARIABLE];

/** What a worker process says of itself. */
export interface Told {
  readonly isReady: boolean;
  readonly reason: string;
  /** In its last words, why it ends. */
  readonly endedBy?: string;
  readonly givenBack?: number;
}

export const supervisedEnv = (): NodeJS.ProcessEnv => ({ ...process.env, [VARIABLE]: "1" });

/** True in a process that a parent of ours started, also when that parent has died. */
export function isSupervised(): boolean {
  return isChild;
}

/** Calls `gone` when the parent is gone: at once if it died while this process was starting. */
export function whenParentIsGone(gone: () => void): void {
  if (!isChild) return;
  if (process.connected) process.once("disconnect", gone);
  else gone();
}

export function tellParent(told: Told): Promise<void> {
  if (!isChild || !process.connected) return Promise.resolve();
  return new Promise((resolve) => process.send?.(told, undefined, {}, () => resolve()));
}

export function isTold(message: unknown): message is Told {
  return typeof read(message, "isReady") === "boolean";
}
