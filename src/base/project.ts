/** Which project a file belongs to: the nearest folder above it with a package.json or a .git. */

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const MARKS = ["package.json", ".git"];

/** The nearest folder from `folder` upwards that holds a package.json or a .git; undefined when there is none. */
export function projectRoot(folder: string): string | undefined {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    if (MARKS.some((mark) => existsSync(path.join(at, mark)))) return at;
    if (at === path.dirname(at)) return undefined;
  }
}

/** The `name` in the package.json of `root`; undefined without one. */
export function packageName(root: string): string | undefined {
  try {
    const { name } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch {
    return undefined;
  }
}

/** The folder of the code that called `callee`; undefined where that is no file, or lies in node_modules. */
export function callerFolder(callee: (...args: never[]) => unknown): string | undefined {
  const file = fileOf(firstCaller(callee));
  if (file === undefined || !path.isAbsolute(file)) return undefined;
  return file.split(path.sep).includes("node_modules") ? undefined : path.dirname(file);
}

function firstCaller(callee: (...args: never[]) => unknown): string | undefined {
  const before = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
  const { stackTraceLimit } = Error;
  const seen: { stack?: readonly NodeJS.CallSite[] | string } = {};
  try {
    Error.stackTraceLimit = 1;
    Error.prepareStackTrace = (_, sites) => sites;
    Error.captureStackTrace(seen, callee);
    const [site] = typeof seen.stack === "object" ? seen.stack : [];
    return site?.getFileName() ?? undefined;
  } finally {
    Reflect.deleteProperty(Error, "prepareStackTrace");
    if (before !== undefined) Object.defineProperty(Error, "prepareStackTrace", before);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function fileOf(name: string | undefined): string | undefined {
  if (name === undefined || !name.startsWith("file:")) return name;
  try {
    return fileURLToPath(name);
  } catch {
    return undefined;
  }
}
