/** Reads the text files that belong to the project: everything but what `.gitignore` leaves out. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { TextFile } from "./tidy-checks.ts";

export const ROOT: string = join(import.meta.dirname, "../..");
const SIZE_BYTES_MAX = 2_000_000;

export function projectFiles(): TextFile[] {
  const ignored = readIgnored();
  return walk("", ignored).flatMap((path) => {
    const file = join(ROOT, path);
    if (statSync(file).size > SIZE_BYTES_MAX) return [];
    const text = readFileSync(file, "utf8");
    return text.includes("\0") ? [] : [{ path, text }];
  });
}

interface Ignored {
  folders: Set<string>;
  endings: string[];
}

/** The two forms that the project's `.gitignore` uses, `folder/` and `*.ending`; another form is an error here. */
function readIgnored(): Ignored {
  const lines = readFileSync(join(ROOT, ".gitignore"), "utf8").split("\n");
  const rules = lines.map((line) => line.trim()).filter((line) => line !== "" && line[0] !== "#");
  const unknown = rules.find((rule) => !/^(?:\*\.[\w.]+|\/?[\w.-]+\/?)$/.test(rule));
  if (unknown !== undefined) throw new Error(`.gitignore: the rule ${unknown} has an unknown form`);
  const names = rules.filter((rule) => rule[0] !== "*").map((rule) => rule.replaceAll("/", ""));
  return {
    folders: new Set([...names, ".git"]),
    endings: rules.filter((rule) => rule[0] === "*").map((rule) => rule.slice(1)),
  };
}

function walk(folder: string, ignored: Ignored): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    if (ignored.folders.has(entry.name)) return [];
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return walk(path, ignored);
    const kept = entry.isFile() && !ignored.endings.some((ending) => path.endsWith(ending));
    return kept ? [path] : [];
  });
}
