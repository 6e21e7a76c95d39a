/**
 * `pawl.conf` in the data folder, written again at every start: a private server that loses nothing it acknowledged.
 * `postgresql.conf` includes it, and `ALTER SYSTEM` comes after it, so an operator can still decide otherwise.
 */

import path from "node:path";
import { PawlError, shown } from "../../base/errors.ts";
import type { Address } from "./address.ts";
import { writeAs } from "./own-file.ts";
import type { Place } from "./place.ts";

export const SETTINGS_FILE = "pawl.conf";

const SETTINGS = {
  // every commit is on the disk before it is acknowledged
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  // small enough for a container of 512 MB, large enough for a queue
  shared_buffers: "128MB",
  max_connections: "200",
  max_wal_size: "2GB",
  jit: "off", // costs more than it wins on short queries
  timezone: "UTC",
  log_timezone: "UTC",
  log_destination: "stderr",
  logging_collector: "off", // pg_ctl sends stderr to our file
  log_line_prefix: "%m [%p] ",
  log_checkpoints: "off",
} satisfies Record<string, string>;

/** @throws PawlError `invalid_option` for what would not be one line of a configuration file */
export function checkSettings(settings: Record<string, string>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (/^[a-z_][a-z0-9_.]*$/i.test(name) && !/[\r\n\0]/.test(value)) continue;
    throw new PawlError(
      "invalid_option",
      `expected \`settings\` to be names and one-line values of PostgreSQL settings, got ${shown({ [name]: value })}`,
      { data: { option: "settings", name } },
    );
  }
}

export async function writeSettings(
  place: Place,
  address: Address,
  extra: Record<string, string>,
): Promise<void> {
  const all = { ...SETTINGS, ...listening(address), ...extra };
  const file = path.join(place.dataDir, SETTINGS_FILE);
  const lines = Object.entries(all).map(([name, value]) => settingLine(name, value));
  await writeAs(place.runAs, file, `# written by Pawl at every start\n${lines.join("\n")}\n`);
}

function listening({ host, port }: Address): Record<string, string> {
  const isSocket = host.startsWith("/");
  return {
    port: String(port),
    listen_addresses: isSocket ? "" : host,
    ...(isSocket
      ? { unix_socket_directories: `"${host}"`, unix_socket_permissions: "0700" }
      : { unix_socket_directories: "" }),
  };
}

function settingLine(name: string, value: string): string {
  return `${name} = '${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
