/**
 * How clients reach the server: a unix socket in a private folder with a short name (the path of a socket must stay
 * under 107 bytes, 103 on macOS), no TCP. Where node-postgres has no unix sockets (Windows): a free port
 * of the loopback interface and a password.
 */

import { createHash } from "node:crypto";
import { lstat, mkdir, rmdir } from "node:fs/promises";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { PawlError } from "../../base/errors.ts";
import type { RunAs } from "./command.ts";
import type { PidFile } from "./pid-file.ts";
import type { Place } from "./place.ts";
import { canEnter, giveTo } from "./run-as.ts";
import { errorCodeOf } from "./system-error.ts";

export const ROLE = "pawl";
export const DATABASE = "pawl";
const LOOPBACK = "127.0.0.1";
const SOCKET_PORT = 5432;
const SOCKET_PATH_BYTES_MAX = 103;
const NAMES_MAX = 5;
const NAME = /^pawl-[0-9a-f]{10}(-\d)?$/;

export const usesSocket: boolean = process.platform !== "win32";

/** `host` is a folder when it starts with a slash. */
export interface Address {
  host: string;
  port: number;
  password?: string;
}

/** Makes the socket's folder, or finds a port: the address that the next start shall have. */
export async function makeAddress(place: Place, password?: string): Promise<Address> {
  if (!usesSocket) return withPassword({ host: LOOPBACK, port: await freePort() }, password);
  return { host: await makeSocketFolder(place), port: SOCKET_PORT };
}

/** Where the running server says it listens. */
export function addressOf(file: PidFile, password?: string): Address {
  return withPassword({ host: file.socketDir || LOOPBACK, port: file.port }, password);
}

/** For node-postgres and libpq alike. `sslmode` keeps a `PGSSLMODE` meant for another server away. */
export function addressUrl(address: Address): string {
  if (socketPath(address) === undefined) {
    const password = encodeURIComponent(address.password ?? "");
    return `postgresql://${ROLE}:${password}@${address.host}:${address.port}/${DATABASE}?sslmode=disable`;
  }
  const query = `host=${encodeURIComponent(address.host)}&port=${address.port}&sslmode=disable`;
  return `postgresql://${ROLE}@/${DATABASE}?${query}`;
}

export function socketPath({ host, port }: Address): string | undefined {
  return host.startsWith("/") ? path.join(host, `.s.PGSQL.${port}`) : undefined;
}

async function makeSocketFolder({ dataDir, runAs }: Place): Promise<string> {
  const hash = createHash("sha256").update(dataDir).digest("hex").slice(0, 10);
  for (const base of new Set([os.tmpdir(), "/tmp", "/var/tmp"])) {
    for (let n = 0; n < NAMES_MAX; n++) {
      const folder = path.join(base, `pawl-${hash}${n === 0 ? "" : `-${n}`}`);
      if (isTooLong(folder)) break;
      if (await makePrivate(folder, runAs)) return folder;
    }
  }
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: no private folder for its socket could be made in ${os.tmpdir()}, /tmp or /var/tmp; make one of them writable, or set DATABASE_URL to a server`,
    { data: { temporaryDir: os.tmpdir(), dataDir } },
  );
}

/** After a stop; only ours, and only when it is empty. */
export async function removeSocketFolder({ socketDir }: PidFile): Promise<void> {
  if (NAME.test(path.basename(socketDir))) await rmdir(socketDir).catch(() => undefined);
}

function isTooLong(folder: string): boolean {
  const whole = socketPath({ host: folder, port: SOCKET_PORT }) ?? folder;
  return Buffer.byteLength(whole) > SOCKET_PATH_BYTES_MAX;
}

/** False when somebody else took this name, or the server's user cannot get there. */
async function makePrivate(folder: string, runAs: RunAs | undefined): Promise<boolean> {
  try {
    await mkdir(folder, { mode: 0o700 });
    await giveTo(runAs, folder);
  } catch (error) {
    if (errorCodeOf(error) !== "EEXIST") return false;
  }
  const found = await lstat(folder);
  const isPrivate = found.isDirectory() && (found.mode & 0o777) === 0o700;
  const isOwned = found.uid === (runAs?.uid ?? process.getuid?.());
  return isPrivate && isOwned && (await canEnter(runAs, folder));
}

function withPassword(address: Address, password: string | undefined): Address {
  return password === undefined ? address : { ...address, password };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, LOOPBACK, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
