/** The desk of the receiver: it says that it has seen a matter, by a signal to the run that asks. */

import { connect, defineApp, jsonLogger, PawlError, type Producer } from "pawl";

/** It writes signals and nothing else. */
const app = defineApp({ name: "relay-desk" });

export interface Desk {
  /** Answers the status for the request. */
  see(body: string): Promise<number>;
  close(): Promise<void>;
}

export function openDesk(databaseUrl = process.env.DATABASE_URL || "embedded"): Desk {
  let opened: Promise<Producer> | undefined; // the database may be there later than the receiver
  const open = (): Promise<Producer> => {
    opened ??= connect(app, { databaseUrl, role: "producer", log: jsonLogger("warn") });
    opened.catch(() => {
      opened = undefined;
    });
    return opened;
  };
  return {
    see: async (body) => {
      const runId = runOf(body);
      if (runId === undefined) return 400;
      const pawl = await open();
      try {
        await pawl.signal(runId, "seen", { by: "the desk" });
      } catch (error) {
        // it was asked before, and the run has ended since
        if (!(error instanceof PawlError && error.code === "task_not_found")) throw error;
      }
      return 202;
    },
    close: async () => {
      await opened?.then((pawl) => pawl.close()).catch(() => undefined);
    },
  };
}

function runOf(body: string): string | undefined {
  try {
    const { runId } = JSON.parse(body) as { runId?: unknown };
    return typeof runId === "string" ? runId : undefined;
  } catch {
    return undefined;
  }
}
