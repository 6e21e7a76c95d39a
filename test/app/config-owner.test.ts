/** Whose config the command line runs when it looks for one by itself. */

import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { findConfig } from "../../src/cli/load-config.ts";
import { newFolder } from "../cli/cli.ts";

const isRoot = process.getuid?.() === 0;
const STRANGER = 12_345;

/** A project with a config, and a folder in it. */
function project(mark = "package.json") {
  const root = newFolder();
  const deep = path.join(root, "deep");
  const file = path.join(root, "pawl.config.js");
  mkdirSync(deep);
  if (mark !== "") writeFileSync(path.join(root, mark), "{}");
  writeFileSync(file, "throw new Error('it ran')", { mode: 0o644 });
  return { root, deep, file };
}

test("a config above the project's root, or above a folder without a project, is not found", () => {
  const { root, deep, file } = project();
  expect(findConfig(undefined, deep)).toBe(file);
  expect(findConfig(undefined, root)).toBe(file);

  writeFileSync(path.join(deep, ".git"), "");
  expect(findConfig(undefined, deep)).toBeUndefined();

  const bare = project("");
  expect(findConfig(undefined, bare.root)).toBe(bare.file);
  expect(findConfig(undefined, bare.deep)).toBeUndefined();
});

test.skipIf(process.platform === "win32").each<[string, number, number, RegExp | undefined]>([
  ["a file that all may write", 0o646, 0o700, /pawl.config.js may be written by others .*0646/],
  ["a file in a folder that all may write", 0o644, 0o777, /may be written by others .*0777/],
  ["a file in a folder with the sticky bit", 0o644, 0o1777, undefined],
])("%s is judged by who may change it", (_, fileMode, folderMode, reason) => {
  const { root, file } = project();
  chmodSync(file, fileMode);
  chmodSync(root, folderMode);
  if (reason === undefined) expect(findConfig(undefined, root)).toBe(file);
  else expect(() => findConfig(undefined, root)).toThrow(reason);
  expect(findConfig(file, root)).toBe(file);
});

test.runIf(isRoot)(
  "a config that another user could have written is refused, but may be named",
  () => {
    const { root, deep, file } = project();
    chownSync(file, STRANGER, STRANGER);
    expect(() => findConfig(undefined, deep)).toThrow(
      expect.objectContaining({
        code: "config_refused",
        message: expect.stringMatching(/pawl.config.js belongs to user 12345; .*--config.*chown/),
      }),
    );
    expect(findConfig(file, deep)).toBe(file);

    const linked = project();
    symlinkSync(file, path.join(linked.deep, "pawl.config.ts"));
    expect(() => findConfig(undefined, linked.deep)).toThrow(`${file} belongs to user 12345`);

    const shared = project();
    chownSync(shared.file, 0, STRANGER);
    chmodSync(shared.file, 0o664);
    expect(() => findConfig(undefined, shared.root)).toThrow("may be written by others");
    chownSync(shared.file, 0, 0);
    expect(findConfig(undefined, shared.root)).toBe(shared.file);

    chownSync(root, STRANGER, STRANGER);
    expect(() => findConfig(undefined, deep)).toThrow("belongs to user 12345"); // root stands elsewhere
    chownSync(deep, STRANGER, STRANGER);
    expect(findConfig(undefined, deep)).toBe(file); // a mounted checkout
  },
);
