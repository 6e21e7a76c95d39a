/**
 * `postmaster.pid`, and what the process it names really is. The pid alone proves nothing: after a kill and a reboot
 * it may be another program, after `cp -a` of a running data folder the server of the original, and in a container
 * without an init a zombie. Only a pid file that is proven not to belong to a server of this folder may be removed.
 */

import { execFile } from "node:child_process";
import { lstat, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { readPlain } from "./own-file.ts";
import { errorCodeOf } from "./system-error.ts";

const BEING_WRITTEN_MS_MAX = 3_000;

export interface PidFile {
  pid: number;
  startedAt: Date;
  port: number;
  /** Empty where the server has no socket. */
  socketDir: string;
  /** `starting`, `ready`, `stopping`, `standby`; empty very early. */
  status: string;
}

/**
 * `ours`: a server of this data folder. `zombie`: dead, but still counted as alive. `other`: surely another program.
 * `unknown`: alive, and the system does not tell; ask the server.
 */
export type ProcessState = "gone" | "zombie" | "ours" | "other" | "unknown";

/** Undefined when there is none, or when it is only half written. */
export async function readPidFile(dataDir: string): Promise<PidFile | undefined> {
  const text = await readPlain(pidFilePath(dataDir)).catch((error: unknown) => {
    if (errorCodeOf(error) === "ENOENT") return "";
    throw error;
  });
  const [pid = "", , epoch = "", port = "", socketDir = "", , , status = ""] = text.split("\n");
  if (!/^-?\d+$/.test(pid.trim())) return undefined;
  return {
    pid: Math.abs(Number(pid)),
    startedAt: new Date(Number(epoch) * 1_000),
    port: Number(port),
    socketDir: socketDir.trim(),
    status: status.trim(),
  };
}

/** Removes the file only while it still names `pid`. To be called under the lock. */
export async function removeStalePidFile(dataDir: string, pid: number): Promise<void> {
  if ((await readPidFile(dataDir))?.pid === pid) await rm(pidFilePath(dataDir), { force: true });
}

/** After a power cut the file may be empty, and PostgreSQL then refuses to start. To be called under the lock. */
export async function removeEmptyPidFile(dataDir: string): Promise<void> {
  const file = pidFilePath(dataDir);
  const found = await lstat(file).catch(() => undefined);
  const isOld = found !== undefined && Date.now() - found.mtimeMs > BEING_WRITTEN_MS_MAX;
  if (isOld && found.size === 0) await rm(file, { force: true });
}

export async function processState(pid: number, dataDir: string): Promise<ProcessState> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorCodeOf(error) !== "EPERM") return "gone";
  }
  if (process.platform === "linux") return linuxState(pid, dataDir);
  if (process.platform === "win32") return "unknown";
  return stateByCommand(await commandFromPs(pid), dataDir);
}

/** A postmaster works in its data folder. Where the system hides that, its command line names the folder. */
async function linuxState(pid: number, dataDir: string): Promise<ProcessState> {
  try {
    const line = await readFile(`/proc/${pid}/stat`, "utf8");
    if (/^[ZX]/.test(line.slice(line.lastIndexOf(")") + 2))) return "zombie";
    const cwd = await stat(`/proc/${pid}/cwd`).catch(() => undefined);
    if (cwd === undefined) {
      return stateByCommand(await readFile(`/proc/${pid}/cmdline`, "utf8"), dataDir);
    }
    const data = await stat(dataDir);
    return cwd.ino === data.ino && cwd.dev === data.dev ? "ours" : "other";
  } catch (error) {
    return errorCodeOf(error) === "ENOENT" ? "gone" : "unknown";
  }
}

async function commandFromPs(pid: number): Promise<string | undefined> {
  const args = ["-o", "command=", "-p", String(pid)];
  return promisify(execFile)("ps", args).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
}

function stateByCommand(command: string | undefined, dataDir: string): ProcessState {
  if (command === undefined || command.trim() === "") return "unknown";
  if (!/postgres|postmaster/.test(command)) return "other";
  return command.includes(dataDir) ? "ours" : "unknown";
}

function pidFilePath(dataDir: string): string {
  return path.join(dataDir, "postmaster.pid");
}
