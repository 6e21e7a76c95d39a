/** Root starts a server in a folder where the server's user can put links in the place of what Pawl writes. */

import {
  chmod,
  chown,
  cp,
  lchown,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { startEmbedded, stopEmbedded } from "../../src/store/embedded/index.ts";
import { findPackage, runnablePackage } from "../../src/store/embedded/package-binaries.ts";
import { choosePlace, makeDir } from "../../src/store/embedded/place.ts";
import { isAnotherServerGiven } from "../support/embedded-only.ts";
import { childProcess, isRoot, NOBODY, newDir, query } from "./embedded-fixtures.ts";

const isTested = isRoot && !isAnotherServerGiven;
const SECRETS = ["DATABASE_URL", "PAWL_SECRET_KEY", "SHOP_TOKEN"];
const TEXT = "of root\n";

let secret = "";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A `.pawl` of nobody, and beside it a file of root. */
async function folderOfNobody(): Promise<string> {
  const dir = await newDir();
  await mkdir(dir);
  await chown(dir, NOBODY, NOBODY);
  secret = path.join(path.dirname(dir), "secret");
  await writeFile(secret, TEXT, { mode: 0o600 });
  return dir;
}

async function plant(file: string): Promise<void> {
  await rm(file, { force: true });
  await symlink(secret, file);
  await lchown(file, NOBODY, NOBODY);
}

async function expectUntouched(): Promise<void> {
  const { uid, mode, nlink } = await stat(secret);
  expect({ uid, mode: mode & 0o777 }).toEqual({ uid: 0, mode: 0o600 });
  expect(nlink).toBeLessThanOrEqual(2);
  expect(await readFile(secret, "utf8")).toBe(TEXT);
}

test.runIf(isTested)(
  "links in the place of what root writes are not followed, and the server has no secret of ours",
  async () => {
    const dir = await folderOfNobody();
    for (const name of ["postgres.log", "keep", "home.new"]) await plant(path.join(dir, name));
    for (const name of SECRETS) vi.stubEnv(name, "hunter2");
    const first = await startEmbedded({ dir, keep: true });
    await expectUntouched();
    expect((await lstat(path.join(dir, "postgres.log"))).uid).toBe(NOBODY);
    const environment = await readFile(`/proc/${first.pid}/environ`, "utf8");
    expect(environment).toContain("PATH=");
    expect(environment).not.toMatch(/hunter2|PAWL_|DATABASE_URL|npm_|VITEST/);

    await stopEmbedded({ dir });
    for (const name of ["pawl.conf", "pawl.conf.new"]) await plant(path.join(dir, "data", name));
    await rm(path.join(dir, "postgres.log"));
    await link(secret, path.join(dir, "postgres.log")); // a second name instead of a link
    const again = await startEmbedded({ dir });
    await expectUntouched();
    expect((await lstat(path.join(dir, "data", "pawl.conf"))).uid).toBe(NOBODY);
    expect(await query(again.url, "select 1 as one")).toEqual([{ one: 1 }]);
  },
);

test.runIf(isTested)(
  "what another user put in the place of what root reads is refused",
  async () => {
    const dir = await folderOfNobody();
    const lock = path.join(dir, "lock.1");
    await plant(lock);
    await expect(startEmbedded({ dir })).rejects.toThrow(/lock.1 in .* is a link or no plain file/);
    await rm(lock);

    const home = path.join(dir, "home");
    await writeFile(home, "/var/lib\n");
    await chown(home, NOBODY, NOBODY);
    await expect(startEmbedded({ dir })).rejects.toThrow("was written by user 65534");
    await rename(home, `${home}.away`);

    const data = path.join(dir, "data");
    await symlink(path.dirname(dir), data);
    await lchown(data, NOBODY, NOBODY);
    await expect(startEmbedded({ dir })).rejects.toThrow("is a link of user 65534");
    await rm(data);
    await expectUntouched();
  },
);

/** Says that it ran, and as whom. */
async function plantPrograms(folder: string, told: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of ["postgres", "initdb", "pg_ctl"]) {
    const script = `#!/bin/sh\nid -u >> ${told}\necho "${name} (PostgreSQL) 18.4"\n`;
    await writeFile(path.join(folder, name), script, { mode: 0o755 });
  }
}

test.runIf(isTested)(
  "programs that another user put into a `.pawl` are not run: neither by the wrong user nor by root for another",
  async () => {
    const packageRoot = (await findPackage()) ?? "";
    const dir = await folderOfNobody();
    const told = path.join(path.dirname(dir), "told");
    const closed = path.join(path.dirname(dir), "closed");
    await mkdir(closed, { mode: 0o700 });
    await cp(packageRoot, path.join(closed, "package"), { recursive: true });
    const { version } = JSON.parse(await readFile(path.join(packageRoot, "package.json"), "utf8"));
    await plantPrograms(path.join(dir, `postgresql-${version}`, "native", "bin"), told);
    await chmod(dir, 0o777);
    const place = await choosePlace(dir);
    const folder = await runnablePackage(path.join(closed, "package"), place);
    expect(folder.startsWith(dir)).toBe(false);
    expect((await lstat(folder)).uid).toBe(0);
    await expect(readFile(told, "utf8")).rejects.toThrow("ENOENT");

    const user = childProcess("hold", dir, { uid: 1, gid: 1, cwd: "/" });
    await expect(user.line).rejects.toThrow(/belongs to user 65534/);
    await expect(readFile(told, "utf8")).rejects.toThrow("ENOENT");
  },
);

test.runIf(isTested)(
  "a folder that is swapped for a link to another's while root copies programs gets nothing of root's",
  async () => {
    const packageRoot = (await findPackage()) ?? "";
    const dir = await newDir();
    const parent = path.dirname(dir);
    await chown(parent, NOBODY, NOBODY); // may swap `.pawl` itself, which root makes
    const place = await choosePlace(await makeDir(dir));
    const outside = path.join(parent, "outside");
    await mkdir(outside, { mode: 0o700 });
    const closed = path.join(parent, "closed");
    await mkdir(closed, { mode: 0o700 });
    await cp(packageRoot, path.join(closed, "package"), { recursive: true });
    await rename(dir, `${dir}.away`);
    await symlink(outside, dir);
    await runnablePackage(path.join(closed, "package"), place);
    expect(await readdir(outside)).toEqual([]);
    expect((await stat(outside)).mode & 0o777).toBe(0o700);
    await rm(dir);
    await rename(`${dir}.away`, dir);
  },
);
