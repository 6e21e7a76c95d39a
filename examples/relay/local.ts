/** What the feed and the receiver share: servers on the loopback interface, and small checks of input. */

import { once } from "node:events";
import { realpathSync } from "node:fs";
import type { Server } from "node:http";
import { fileURLToPath } from "node:url";

/** Rejects if the port is taken. */
export async function listenOnLoopback(
  server: Server,
  port: number,
): Promise<{ url: string; close: () => Promise<void> }> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  const close = async (): Promise<void> => {
    const closed = once(server, "close");
    // Connections that are still answering are closed right afterwards, instead of waiting for another request.
    server.keepAliveTimeout = 1;
    server.close();
    await closed;
  };
  return { url: `http://127.0.0.1:${address.port}`, close };
}

/** True if Node was started with the module at this URL. */
export function isMain(moduleUrl: string): boolean {
  const started = process.argv[1];
  return started !== undefined && realpathSync(started) === fileURLToPath(moduleUrl);
}

export function wholeNumber(text: string, min: number, max: number): number | undefined {
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}
