/** Who, besides this user and root, may change a file. Windows has no owners and modes of this kind: there nobody. */

import { lstatSync, realpathSync, type Stats } from "node:fs";
import path from "node:path";

const STICKY = 0o1000;

/** Why another user may change `file`, what it links to, or what stands in their folders; undefined when none may. */
export function foreignHand(file: string, trusted: readonly number[]): string | undefined {
  if (process.getuid === undefined) return undefined;
  const real = realpathSync(file);
  const all = [path.dirname(file), file, path.dirname(real), real];
  for (const one of new Set(all.map((name) => path.resolve(name)))) {
    const found = lstatSync(one);
    if (!trusted.includes(found.uid)) return `${one} belongs to user ${found.uid}`;
    if (othersMayWrite(found)) return `${one} may be written by others (${modeOf(found)})`;
  }
  return undefined;
}

/** A group with the number of the owner is the owner's own, as systems make one for each user. */
function othersMayWrite(
  found: Pick<Stats, "mode" | "uid" | "gid" | "isSymbolicLink" | "isDirectory">,
): boolean {
  if (found.isSymbolicLink() || (found.isDirectory() && (found.mode & STICKY) !== 0)) return false;
  return (found.mode & 0o002) !== 0 || ((found.mode & 0o020) !== 0 && found.gid !== found.uid);
}

function modeOf({ mode, gid }: Stats): string {
  return `mode ${(mode & 0o7777).toString(8).padStart(4, "0")}, group ${gid}`;
}
