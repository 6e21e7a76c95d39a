/**
 * Another process that uses the embedded server, for tests: `<what> <dir>`.
 * Prints one line of JSON when it has what it was asked for.
 */

import { withFolderLock } from "../../src/store/embedded/folder-lock.ts";
import { startEmbedded } from "../../src/store/embedded/index.ts";

const [what = "", dir = ""] = process.argv.slice(2);

if (what === "wait") {
  print({ waiting: true });
  await forever();
} else if (what === "lock") {
  await withFolderLock(dir, async () => {
    print({ locked: true });
    await forever();
  });
} else {
  const server = await startEmbedded({ dir });
  print(server);
  if (what === "hold") await forever();
  if (what === "release") await server.release();
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function forever(): Promise<never> {
  return new Promise(() => setInterval(() => undefined, 60_000));
}
