/** Lets the person who types edit a text in `$VISUAL` or `$EDITOR`. */

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notEdited } from "../operate/not-edited.ts";

/** Returns what was saved. Only the owner can read the file, and it is removed in any case. */
export async function editText(text: string, suffix: string): Promise<string> {
  const { VISUAL, EDITOR } = process.env;
  const editor = VISUAL || EDITOR || (process.stdin.isTTY && process.stdout.isTTY ? "vi" : "");
  if (editor === "") throw notEdited("neither VISUAL nor EDITOR is set, and there is no terminal");
  const folder = await mkdtemp(join(tmpdir(), "pawl-edit-"));
  try {
    const file = join(folder, `payload${suffix}`);
    await writeFile(file, text, { mode: 0o600 });
    await run(editor, file);
    const edited = await readFile(file, "utf8");
    if (edited.trim() === text.trim()) throw notEdited("the text is as it was");
    return edited;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Through a shell, as git does: `EDITOR` may have arguments. */
function run(editor: string, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", `${editor} "$1"`, "pawl", file], { stdio: "inherit" });
    child.on("error", (error) => reject(notEdited(error.message)));
    child.on("exit", (code) => {
      if (code === 0) resolve();
      else reject(notEdited(`the editor ended with code ${code}`));
    });
  });
}
