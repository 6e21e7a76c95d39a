import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import pg from "pg";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { listen } from "../../src/store/notify.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { timersOf } from "../support/timers.ts";
import { until } from "../support/until.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Takes connections and does with them what `each` says. */
async function server(each: (socket: net.Socket, no: number) => void): Promise<string> {
  let count = 0;
  const open = new Set<net.Socket>();
  const listener = net.createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    count += 1;
    each(socket, count);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  atEnd(() => {
    listener.close();
    for (const socket of open) socket.destroy();
  });
  return `postgresql://nobody@127.0.0.1:${(listener.address() as net.AddressInfo).port}/none`;
}

function listening(url: string): { stop: () => Promise<void>; heard: string[] } {
  const heard: string[] = [];
  const listener = listen({
    url,
    channel: "pawl.wake",
    log: silentLogger,
    heard: (payload) => heard.push(payload),
  });
  return { stop: () => listener.stop(), heard };
}

test("stop ends a connection whose other side has fallen silent", async () => {
  const proxy = await databaseProxy((await freshDatabase()).url);
  const listener = listening(proxy.url);
  await until("it listens", () => listener.heard.length >= 1);
  proxy.freeze();
  await listener.stop();
});

test("stop ends a connection that was never answered", async () => {
  let connected = false;
  const url = await server((socket) => {
    socket.on("data", () => {
      connected = true; // and says nothing
    });
  });
  const listener = listening(url);
  await until("it asks", () => connected);
  await listener.stop();
});

/** As PostgreSQL sends it while it starts (PostgreSQL manual, 55.7). */
function startingUp(): Buffer {
  const fields = Buffer.from("SFATAL\0C57P03\0Mthe database system is starting up\0\0");
  const head = Buffer.alloc(5);
  head.write("E");
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

test("a connection that closes late is not replaced twice", async () => {
  const sockets: net.Socket[] = [];
  const url = await server((socket, no) => {
    sockets.push(socket);
    socket.once("data", () => {
      if (no === 1) socket.write(startingUp()); // and stays open for now
    });
  });
  const connects = vi.spyOn(pg.Client.prototype, "connect");
  const listener = listening(url);
  // from now on: after a second it closes the connection by itself
  const hasEnded = once(connects.mock.contexts[0] as pg.Client, "end");
  await until("it connects again", () => sockets.length === 2);
  const timers = timersOf(/(src|dist)\/store\/notify\.[jt]s/);
  sockets[0]?.end();
  await hasEnded;
  expect(timers).toEqual([]);
  await listener.stop();
});

test("a certificate that is not there for a moment is tried again, and does not end the process", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "pawl-notify-"));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, "ca.pem");
  await writeFile(file, "");
  let asked = 0;
  const url = await server((socket) => {
    asked += 1;
    socket.end("N"); // no TLS here
  });
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  onTestFinished(() => void process.off("unhandledRejection", note));
  const warned: object[] = [];
  const listener = listen({
    url: `${url}?sslmode=verify-full&sslrootcert=${file}`,
    channel: "pawl.wake",
    log: { ...silentLogger, warn: (data) => warned.push(data) },
    heard: () => undefined,
  });
  await until("it was tried", () => asked >= 1);
  await rm(file);
  await until(
    "the file is missed",
    () => unhandled.length > 0 || /ENOENT/.test(JSON.stringify(warned)),
  );
  expect(unhandled).toEqual([]);
  await writeFile(file, "");
  const before = asked;
  await until("it is tried again", () => asked > before);
  await listener.stop();
});
