/** `.pawl/relay/`: the secret, the receiver's logs, and the logs of the child processes. */

import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

const SECRET_BYTES = 32;

export interface Folder {
  path: string;
  /** One file for each start of the receiver. */
  receipts: string;
  /** `whsec_<base64>`, made at the first start; only its owner can read the file. */
  secret: string;
}

/** The folder, in `PAWL_DIR` or in `.pawl` of the working directory. */
export async function openFolder(): Promise<Folder> {
  const path = join(resolve(process.env.PAWL_DIR || ".pawl"), "relay");
  const receipts = join(path, "receipts");
  await mkdir(receipts, { recursive: true });
  return { path, receipts, secret: await secretIn(join(path, "secret")) };
}

/** A name that sorts by time and is unique to this process. */
export function receiptFile(folder: Folder): string {
  const time = new Date().toISOString().replaceAll(/[-:]/g, "");
  return join(folder.receipts, `${time}-${process.pid}.ndjson`);
}

async function secretIn(file: string): Promise<string> {
  const kept = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (kept !== undefined) return kept.trim();
  const secret = `whsec_${randomBytes(SECRET_BYTES).toString("base64")}`;
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, `${secret}\n`, { mode: 0o600 });
  await rename(temporary, file);
  return secret;
}
