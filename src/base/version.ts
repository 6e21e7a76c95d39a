/** The version of this package, read once from the package.json that stands above `src` and above `dist`. */

import { readFileSync } from "node:fs";

const PACKAGE_FILE = new URL("../../package.json", import.meta.url);

export const VERSION: string = readVersion();

function readVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(PACKAGE_FILE, "utf8"));
  const found = parsed !== null && typeof parsed === "object" && "version" in parsed;
  return found && typeof parsed.version === "string" ? parsed.version : "0.0.0";
}
