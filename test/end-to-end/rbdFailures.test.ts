/** The built program with an `rbd` that fails as Ceph's does, at moments that a healthy cluster never gives. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { MIB, noise, ok, PROGRAM, run, until, workshop } from "./program.ts"

let shop: Awaited<ReturnType<typeof workshop>>
beforeEach(async () => {
  shop = await workshop(noise(32 * MIB))
})
afterEach(() => shop.remove())

/** An `rbd` that does for each command what a line of `sh` says, and notes what it was asked. */
const fakeRbd = (cases: Readonly<Record<string, string>>) => {
  const program = join(shop.folder, "rbd")
  const log = join(shop.folder, "rbd.log")
  const lines = Object.entries(cases).map(([command, script]) => `  *" ${command} "*) ${script} ;;`)
  const text = ["#!/bin/sh", `echo "$*" >>'${log}'`, "case \" $* \" in", ...lines, "esac", ""].join("\n")
  writeFileSync(program, text)
  chmodSync(program, 0o755)
  return {
    backy: (...argv: ReadonlyArray<string>) => run(PROGRAM, shop.args(...argv), { env: { BACKY_RBD: program } }),
    start: (...argv: ReadonlyArray<string>) =>
      spawn(PROGRAM, shop.args(...argv), { stdio: "ignore", env: { ...process.env, BACKY_RBD: program } }),
    asked: () => existsSync(log) ? readFileSync(log, "utf8") : ""
  }
}

const NO_IMAGE = "echo 'rbd: error opening image x: (2) No such file or directory' >&2; exit 2"

describe("restoring to an RBD image", () => {
  const full = "echo 'rbd: import failed: (28) No space left on device' >&2; exit 28"

  for (
    const [when, script] of Object.entries({
      "before it reads anything": full,
      "a second after it was started": `sleep 1; ${full}`,
      "after it has read a part": `head -c 10000000 >/dev/null; ${full}`
    })
  ) {
    it(`ends with rbd's own words when its import fails ${when}`, async () => {
      await ok(...shop.args("backup", "daily"))
      const rbd = fakeRbd({ info: NO_IMAGE, ls: "echo '[]'", import: script, rm: "exit 0" })
      const { code, err } = await rbd.backy("restore", "rbd:rbd/x")
      const made = rbd.asked().match(/^import .*rbd\/(\.backy-[0-9a-f]{8}-[0-9a-z]{12})$/m)?.[1] ?? "nothing"
      assert.strictEqual(
        err,
        `backy: cannot make rbd/${made}: import failed: (28) No space left on device (ENOSPC)\n`
      )
      assert.strictEqual(code, 1)
      // what was made of it is taken away
      assert.deepStrictEqual(rbd.asked().match(/^rm .*$/gm), [`rm --no-progress rbd/${made}`])
    })
  }
})

describe("an rbd that ends with 2 for another reason than that there is no image", () => {
  const reasons = {
    "no configuration": [
      "can't open /nonexistent: (2) No such file or directory\nrbd: couldn't connect to the cluster!",
      "no cluster was found, since there is no configuration of Ceph (/nonexistent); CEPH_CONF may name one (ENOTCONN)"
    ],
    "no pool": ["rbd: error opening pool 'rbd': (2) No such file or directory", "there is no pool \"rbd\" (ENOPOOL)"],
    "no namespace": ["rbd: namespace 'n' does not exist.", "the pool has no namespace \"n\" (ENOPOOL)"]
  } as const
  for (const [name, [said, meaning]] of Object.entries(reasons)) {
    it(`is not taken for a name that is free: ${name}`, async () => {
      await ok(...shop.args("backup", "daily"))
      const rbd = fakeRbd({ info: `printf '%s\\n' "${said}" >&2; exit 2`, import: "exit 0" })
      const { code, err } = await rbd.backy("restore", "rbd:rbd/x")
      assert.deepStrictEqual([code, err], [1, `backy: cannot look at rbd/x: ${meaning}\n`])
      assert.notInclude(rbd.asked(), "import")
    })
  }
})

describe("a backy that is killed", () => {
  /** Whether a process is there that is more than what its parent has not asked for yet. */
  const isRunning = (pid: number): boolean => {
    try {
      return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
    } catch {
      return false
    }
  }

  it("takes the rbd that it has started with it, and what that has started", async () => {
    await ok(...shop.args("backup", "daily"))
    const pids = join(shop.folder, "pids")
    // it neither reads nor writes: no pipe that closes would tell it
    const rbd = fakeRbd({
      info: NO_IMAGE,
      ls: "echo '[]'",
      import: `sleep 600 & echo $! >'${pids}.new'; echo $$ >>'${pids}.new'; mv '${pids}.new' '${pids}'; wait`
    })
    const child = rbd.start("restore", "rbd:rbd/x")
    await until(() => existsSync(pids))
    const started = readFileSync(pids, "utf8").trim().split("\n").map(Number)
    assert.deepStrictEqual(started.map(isRunning), [true, true])
    child.kill("SIGKILL")
    await until(() => !started.some(isRunning))
  })
})
