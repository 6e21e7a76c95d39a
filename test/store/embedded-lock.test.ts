import { execFile } from "node:child_process";
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import { withFolderLock } from "../../src/store/embedded/folder-lock.ts";
import { test } from "../support/embedded-only.ts";
import { childProcess, newDir } from "./embedded-fixtures.ts";

async function lockFolder(): Promise<string> {
  const dir = await newDir();
  await mkdir(dir);
  return dir;
}

/** Work that takes longer than the others wait before they look again. */
async function takeTime(): Promise<void> {
  await promisify(execFile)(process.execPath, ["-e", "0"]);
}

test("those who want the lock at once get it one after the other", async () => {
  const dir = await lockFolder();
  let inside = 0;
  let most = 0;
  const visits = Array.from({ length: 6 }, () =>
    withFolderLock(dir, async () => {
      most = Math.max(most, ++inside);
      await takeTime();
      inside--;
    }),
  );
  await Promise.all(visits);

  expect(most).toBe(1);
  expect(await readdir(dir)).toHaveLength(1);
});

test("the lock waits for a living holder and passes on when that holder is killed", async () => {
  const dir = await lockFolder();
  const holder = childProcess("lock", dir);
  await holder.line;
  let got = false;
  const mine = withFolderLock(dir, async () => {
    got = true;
  });
  // the lock of another folder is taken and given back in the time that this one waits
  await withFolderLock(path.dirname(dir), takeTime);
  expect(got).toBe(false);

  await holder.kill();
  await mine;
  expect(got).toBe(true);
});

test("a lock left by a process whose number another process has now does not block", async () => {
  const dir = await lockFolder();
  const file = path.join(dir, "lock.4");
  await writeFile(file, `${process.ppid} somebody`);
  const long = new Date(Date.now() - 120_000);
  await utimes(file, long, long);

  await withFolderLock(dir, async () => undefined);
  expect(await readdir(dir)).toEqual(["lock.5"]);
});

test("a lock left by an earlier process with our own number does not block", async () => {
  const dir = await lockFolder();
  await writeFile(path.join(dir, "lock.1"), `${process.pid} somebody`);

  expect(await withFolderLock(dir, async () => "got it")).toBe("got it");
});

test("the lock is given back when the work fails", async () => {
  const dir = await lockFolder();
  const failing = withFolderLock(dir, async () => {
    throw new Error("no luck");
  });

  await expect(failing).rejects.toThrow("no luck");
  expect(await withFolderLock(dir, async () => "got it")).toBe("got it");
});
