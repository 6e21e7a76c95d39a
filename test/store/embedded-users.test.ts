import { execFile } from "node:child_process";
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import { type Binaries, findBinaries } from "../../src/store/embedded/binaries.ts";
import { startEmbedded, stopEmbedded } from "../../src/store/embedded/index.ts";
import { findPackage, runnablePackage } from "../../src/store/embedded/package-binaries.ts";
import { choosePlace, makeDir, type Place } from "../../src/store/embedded/place.ts";
import { isAnotherServerGiven } from "../support/embedded-only.ts";
import { childProcess, isRoot, NOBODY, newDir, query } from "./embedded-fixtures.ts";

/** Known on every unix. */
const DAEMON = 1;
const UNKNOWN = 12_345;
const packageRoot = await findPackage();
const isTested = isRoot && !isAnotherServerGiven;

afterEach(() => {
  vi.unstubAllEnvs();
});

/** The package as archives hold it: without links. */
async function freshPackage(folder: string): Promise<string> {
  const root = path.join(folder, "package");
  await cp(packageRoot ?? "", root, {
    recursive: true,
    filter: async (source) => !(await lstat(source)).isSymbolicLink(),
  });
  return root;
}

async function newPlace(): Promise<Place> {
  return choosePlace(await makeDir(await newDir()));
}

test.runIf(isTested)("root never runs the server as root, and can use it", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });

  expect((await stat(server.dataDir)).uid).toBe(NOBODY);
  expect((await stat(server.dataDir)).mode & 0o777).toBe(0o700);
  expect((await stat(`/proc/${server.pid}`)).uid).toBe(NOBODY);
});

test.runIf(isTested)(
  "in a folder that only root can enter, the data goes elsewhere, and to the same place each time",
  async () => {
    const dir = await newDir(0o700);
    const server = await startEmbedded({ dir });
    await query(server.url, "create table kept as select 42 as answer");
    await stopEmbedded({ dir });
    const again = await startEmbedded({ dir });

    expect(server.dataDir.startsWith(dir)).toBe(false);
    expect(again.dataDir).toBe(server.dataDir);
    expect(await readFile(path.join(dir, "home"), "utf8")).toBe(
      `${path.dirname(server.dataDir)}\n`,
    );
    expect(await query(again.url, "select answer from kept")).toEqual([{ answer: 42 }]);
    await expect(promisify(execFile)("ls", [server.dataDir], { uid: UNKNOWN })).rejects.toThrow(
      "denied",
    );
  },
);

test.runIf(isTested)(
  "root in somebody's folder runs the server as that somebody, who can use it then",
  async () => {
    const dir = await newDir();
    await chown(path.dirname(dir), DAEMON, DAEMON);
    const server = await startEmbedded({ dir });

    expect((await stat(server.dataDir)).uid).toBe(DAEMON);
  },
);

test.runIf(isTested)(
  "root in the folder of a user that the system does not know runs the server as nobody",
  async () => {
    const dir = await newDir();
    await chown(path.dirname(dir), UNKNOWN, UNKNOWN);
    const server = await startEmbedded({ dir });

    expect((await stat(server.dataDir)).uid).toBe(NOBODY);
  },
);

test.runIf(isTested)("a process whose user has no name is told what to do", async () => {
  const dir = await newDir();
  await chown(path.dirname(dir), UNKNOWN, UNKNOWN);
  const user = childProcess("hold", dir, { uid: UNKNOWN, gid: UNKNOWN, cwd: "/" });

  await expect(user.line).rejects.toThrow(/give this user an entry in .etc.passwd/);
});

test.runIf(isTested)("a user without rights starts and shares a server of its own", async () => {
  const dir = await newDir();
  await chown(path.dirname(dir), NOBODY, NOBODY);
  const user = {
    uid: NOBODY,
    gid: NOBODY,
    cwd: "/",
    env: { ...process.env, HOME: "/nonexistent" },
  };
  const first = await childProcess("hold", dir, user).line;
  const second = await childProcess("hold", dir, user).line;
  const root = await startEmbedded({ dir });

  expect(first).toMatchObject({ startedHere: true, dataDir: path.join(dir, "data") });
  expect(second).toMatchObject({ pid: first.pid, startedHere: false });
  expect(root).toMatchObject({ pid: first.pid, startedHere: false });
});

test.runIf(isTested)(
  "a user who may not reach the server gets an error instead of a second server",
  async () => {
    const dir = await newDir();
    await startEmbedded({ dir });
    await chmod(dir, 0o777); // may take the lock
    const user = childProcess("hold", dir, { uid: UNKNOWN, gid: UNKNOWN, cwd: "/" });

    await expect(user.line).rejects.toThrow(/embedded_failed/);
  },
);

test.runIf(packageRoot)(
  "links that a blocked install script left out are made, by several at once",
  async () => {
    const place = await newPlace();
    const root = await freshPackage(path.dirname(place.dir));
    const folders = await Promise.all([1, 2, 3].map(() => runnablePackage(root, place)));

    expect(new Set(folders)).toEqual(new Set([path.join(root, "native", "bin")]));
    expect(await readdir(place.home)).toEqual([".gitignore"]);
  },
);

test.runIf(packageRoot && isRoot)(
  "programs that the server's user cannot reach are copied beside the data, once",
  async () => {
    const place = await newPlace();
    const closed = path.join(path.dirname(place.dir), "closed");
    await mkdir(closed, { mode: 0o700 });
    const root = await freshPackage(closed);
    const copied = await runnablePackage(root, place);
    const { ino } = await stat(copied);

    expect(copied.startsWith(place.home)).toBe(true);
    expect(await runnablePackage(root, place)).toBe(copied);
    expect((await stat(copied)).ino).toBe(ino);
    vi.stubEnv("PAWL_POSTGRES_BIN", copied);
    expect(await startEmbedded({ dir: place.dir })).toMatchObject({ startedHere: true });
  },
);

test.runIf(packageRoot)(
  "a package that does not run here is passed over for a server on the machine",
  async () => {
    const place = await newPlace();
    const broken = path.join(path.dirname(place.dir), "broken");
    await mkdir(path.join(broken, "native", "bin"), { recursive: true });
    await writeFile(path.join(broken, "package.json"), '{"version":"1.0.0"}');
    const folders = [path.join(packageRoot ?? "", "native", "bin")];
    const found: Binaries = await findBinaries(place, undefined, { packageRoot: broken, folders });

    expect(found).toMatchObject({ folder: folders[0], major: expect.any(Number) });
    await rm(broken, { recursive: true });
    await expect(
      findBinaries(place, undefined, { packageRoot: undefined, folders: [] }),
    ).rejects.toMatchObject({ code: "embedded_unavailable" });
  },
);
