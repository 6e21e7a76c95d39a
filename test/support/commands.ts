/** Commands of a test on a database of its own, and runs that last until the test lets them end. */

import { writeFileSync } from "node:fs";
import path from "node:path";
import { onTestFinished } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  type Command,
  connect,
  defineApp,
  type ListedCommand,
  type Pawl,
} from "../../src/index.ts";
import { newFolder, PAWL } from "../cli/cli.ts";
import { freshDatabase } from "./database.ts";

export async function commandsOf(
  commands: readonly Command[],
  databaseUrl?: string,
): Promise<Pawl> {
  const url = databaseUrl ?? (await freshDatabase()).url;
  const app = defineApp({ name: "shop", commands });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

export interface Gate {
  /** For `run` of a command: says that it has begun, and lasts until `open`, or until its signal aborts. */
  readonly pass: (context: { signal: AbortSignal }) => Promise<void>;
  readonly open: () => void;
  /** How many have begun. */
  readonly begun: number;
  /** The most that were in it at once. */
  readonly most: number;
  readonly reasons: unknown[];
}

export function gate(): Gate {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let inside = 0;
  const made = { begun: 0, most: 0, reasons: [] as unknown[] };
  return Object.assign(made, {
    open,
    pass: async ({ signal }: { signal: AbortSignal }) => {
      made.begun += 1;
      inside += 1;
      made.most = Math.max(made.most, inside);
      try {
        await new Promise<void>((resolve, reject) => {
          signal.addEventListener("abort", () => {
            made.reasons.push(signal.reason);
            reject(signal.reason as Error);
          });
          opened.then(resolve, reject);
        });
      } finally {
        inside -= 1;
      }
    },
  });
}

export async function statusOf(pawl: Pawl, key: string): Promise<ListedCommand> {
  const found = (await pawl.commands.list()).find((row) => row.key === key);
  if (found === undefined) throw new Error(`no command ${key} in the list`);
  return found;
}

/** A folder with the config of an app whose commands are these lines of code. */
export function folderWith(commands: string): string {
  const folder = newFolder();
  writeFileSync(
    path.join(folder, "pawl.config.ts"),
    `import { defineApp, defineCommand } from ${JSON.stringify(PAWL)};
export default defineApp({ name: "shop", commands: [${commands}] });
`,
  );
  return folder;
}
