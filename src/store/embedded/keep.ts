/**
 * Whether the server stays when its last user leaves. The last one out stops it, whoever started it: a starter may have
 * been killed. A person who starts it by hand wants it to stay until it is stopped by hand.
 */

import { access, rm } from "node:fs/promises";
import path from "node:path";
import { replaceFile } from "./own-file.ts";

export async function setKept(dir: string, isKept: boolean): Promise<void> {
  if (isKept)
    await replaceFile(markerOf(dir), "started by hand: stays until it is stopped by hand\n");
  else await rm(markerOf(dir), { force: true });
}

export async function isKept(dir: string): Promise<boolean> {
  return access(markerOf(dir)).then(
    () => true,
    () => false,
  );
}

function markerOf(dir: string): string {
  return path.join(dir, "keep");
}
