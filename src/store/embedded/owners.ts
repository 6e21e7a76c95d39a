/** Who can put something under a name: whoever owns a folder, or may write into it, on the whole way to it. */

import { lstat } from "node:fs/promises";
import path from "node:path";
import { PawlError } from "../../base/errors.ts";

const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/**
 * Whoever owns `.pawl` decides which programs and data are in it. Root runs them as that owner; everybody else would run
 * them as themselves. `folder` has no links in it.
 * @throws PawlError `embedded_failed`
 */
export async function refuseForeignFolder(folder: string): Promise<void> {
  const me = process.getuid?.();
  if (me === undefined || me === 0) return;
  const { uid, mode } = await lstat(folder);
  if (uid === me || (uid === 0 && (mode & OTHERS_WRITE) === 0)) return;
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: ${folder} belongs to user ${uid}${uid === 0 ? ", and others may write in it" : ""}, so that others decide which programs run; set PAWL_DIR to a folder of your own, or DATABASE_URL to a server`,
    { data: { folder, uid } },
  );
}

/** Nobody but root and this user can put another folder or file there. */
export async function isOurAlone(folder: string): Promise<boolean> {
  const me = process.getuid?.();
  if (me === undefined) return true; // Windows has neither
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const { uid, mode } = await lstat(at);
    const isOwnerTrusted = uid === 0 || uid === me;
    const isClosed = (mode & OTHERS_WRITE) === 0 || (mode & STICKY) !== 0;
    if (!isOwnerTrusted || !isClosed) return false;
    if (at === path.dirname(at)) return true;
  }
}
