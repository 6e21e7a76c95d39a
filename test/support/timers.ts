/** Which timers a file of ours, or of a package, sets from now on: files of tests share a process, and others set some too. */

import { vi } from "vitest";

type Timers = "setTimeout" | "setInterval";

export interface SetTimer {
  timer: unknown;
  /** Where it was set. */
  stack: string;
}

/** Until the mocks are restored. @param file what the stack of whoever sets it names */
export function timersOf(file: RegExp, name: Timers = "setTimeout"): SetTimer[] {
  const set: SetTimer[] = [];
  const original = globalThis[name] as (...args: unknown[]) => unknown;
  vi.spyOn(globalThis, name).mockImplementation(((...args: unknown[]) => {
    const { stack = "" } = new Error("a timer is set");
    const timer = original(...args);
    if (file.test(stack)) set.push({ timer, stack });
    return timer;
  }) as never);
  return set;
}
