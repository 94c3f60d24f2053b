import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn, spawnSync } from "node:child_process"
import * as FS from "node:fs"
import { hostname } from "node:os"
import { FileLock, layerMemory, makeTable } from "../../src/platform/FileLock.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as NodeFileLock from "../../src/platform/nodeFileLock.ts"
import { lockersOf } from "../../src/platform/procLocks.ts"
import { fileLockContract } from "../support/contract/FileLock.contract.ts"
import { everywhere, inTemporaryDirectory } from "../support/places.ts"

everywhere((place) =>
  fileLockContract("the kernel's", () => ({
    layer: NodeFileLock.layer,
    root: place.directory(),
    disk: nodeDisk,
    link: (target, path) => FS.symlinkSync(target, path),
    readOnly: place.remount === undefined ? undefined : (on) => place.remount?.(on ? "ro" : "rw")
  }))
)

fileLockContract("simulated, on a simulated disk", () => {
  const memory = MemoryDisk.make()
  memory.plantDirectory("/root")
  return {
    layer: layerMemory(makeTable(), memory.disk),
    root: "/root",
    disk: memory.disk,
    link: memory.plantLink,
    readOnly: (on) => {
      memory.readOnly = on
    }
  }
})

fileLockContract("simulated, by name only", () => ({
  layer: layerMemory(),
  root: "/root",
  disk: undefined,
  link: undefined,
  readOnly: undefined
}))

/** The one that the kernel's locks are taken by. */
const program = "flock"

const acquire = (path: string, mode: "shared" | "exclusive") =>
  Effect.flatMap(FileLock, (locks) => locks.acquire(path, mode))

describe("simulated locks", () => {
  it.scoped("are of no use on a file that is replaced between opening and locking it", () => {
    const memory = MemoryDisk.make()
    memory.onOperation = (_n, name) => {
      if (name !== "stat") return
      memory.onOperation = undefined
      memory.disk.unlink("/.lock")
      memory.plantFile("/.lock", new Uint8Array(0))
    }
    return Effect.gen(function*() {
      yield* acquire("/.lock", "exclusive")
      assert.strictEqual(memory.onOperation, undefined)
      assert.lengthOf(memory.openDescriptors, 1)
      const second = yield* Effect.flip(Effect.scoped(acquire("/.lock", "shared")))
      assert.strictEqual(second._tag, "LockHeld")
    }).pipe(Effect.provide(layerMemory(makeTable(), memory.disk)))
  })
})

inTemporaryDirectory((place) => {
  describe("the kernel's locks and other programs", () => {
    it.scoped("conflict both ways with flock(1)", () =>
      Effect.gen(function*() {
        const path = `${place.directory()}/.lock`
        const flock = (...args: ReadonlyArray<string>) => spawnSync(program, ["-n", ...args, path, "true"]).status
        yield* acquire(path, "shared")
        assert.strictEqual(flock("-x"), 1)
        assert.strictEqual(flock("-s"), 0)
      }).pipe(Effect.provide(NodeFileLock.layer)))

    it.scoped("die with the process that holds them, which then is not named", () =>
      Effect.gen(function*() {
        const path = `${place.directory()}/.lock`
        const child = spawn(program, ["-x", path, "sh", "-c", "echo ready; exec sleep 600"], { detached: true })
        yield* Effect.promise(() => new Promise((resolve) => child.stdout.once("data", resolve)))
        FS.writeFileSync(path, `999999999 ${hostname()} backy backup 2026-01-01T00:00:00Z\n`)
        const held = yield* Effect.flip(Effect.scoped(acquire(path, "exclusive")))
        // the one who holds it is named by the kernel, whatever stands in the file
        const text = held._tag === "LockHeld" ? held.holder ?? "" : ""
        assert.notInclude(text, "999999999")
        assert.match(text, new RegExp(`^flock -x ${path} sh -c .*, process ${child.pid ?? ""}, since 20`))
        FS.writeFileSync(path, "4711 elsewhere backy backup 2026-01-01T00:00:00Z\n")
        const named = yield* Effect.flip(Effect.scoped(acquire(path, "exclusive")))
        assert.strictEqual(
          named._tag === "LockHeld" ? named.holder : "",
          "backy backup, process 4711 on elsewhere, since 2026-01-01 00:00:00 UTC"
        )
        const ended = new Promise((resolve) => child.once("close", resolve))
        process.kill(-(child.pid ?? 0), "SIGKILL")
        yield* Effect.promise(() => ended)
        yield* acquire(path, "exclusive")
      }).pipe(Effect.provide(NodeFileLock.layer)))

    it.scoped("name those who share a lock, who write nothing into the file", () =>
      Effect.gen(function*() {
        const path = `${place.directory()}/.lock`
        const holder = (which: string) =>
          Effect.acquireRelease(
            Effect.promise(async () => {
              const script = "console.log('ready'); setInterval(() => undefined, 1e6)"
              const words = ["-s", path, "-c", `exec "${process.execPath}" --no-warnings -e "${script}" ${which}`]
              const child = spawn(program, ["--no-fork", ...words], { detached: true })
              await new Promise((resolve) => child.stdout.once("data", resolve))
              return child
            }),
            (child) =>
              Effect.promise(() => {
                const ended = new Promise((resolve) => child.once("close", resolve))
                process.kill(-(child.pid ?? 0), "SIGKILL")
                return ended
              })
          )
        const one = yield* holder("one")
        const named = yield* Effect.flip(Effect.scoped(acquire(path, "exclusive")))
        assert.match(
          named.message,
          new RegExp(
            `/\\.lock is locked by .* one, process ${one.pid ?? ""}, since 20\\d\\d-\\d\\d-\\d\\d [0-9:]{8} UTC; wait`
          )
        )
        yield* holder("two")
        const both = yield* Effect.flip(Effect.scoped(acquire(path, "exclusive")))
        assert.match(both._tag === "LockHeld" ? both.holder ?? "" : "", /, and 1 more$/)
        assert.strictEqual(FS.readFileSync(path, "utf8"), "")
        // who only has the file open holds nothing
        const open = FS.openSync(path, "r")
        yield* Effect.addFinalizer(() => Effect.sync(() => FS.closeSync(open)))
        assert.notInclude(lockersOf(path).map(({ pid }) => pid), process.pid)
      }).pipe(Effect.provide(NodeFileLock.layer)))

    it.scoped("a lock file that was removed meanwhile is not the one that counts", () =>
      Effect.gen(function*() {
        const path = `${place.directory()}/.lock`
        yield* acquire(path, "exclusive")
        FS.unlinkSync(path)
        yield* acquire(path, "exclusive")
        assert.isTrue(FS.existsSync(path))
      }).pipe(Effect.provide(NodeFileLock.layer)))

    it.scoped("say what is missing when there is no flock program", () =>
      Effect.gen(function*() {
        const path = `${place.directory()}/.lock`
        const error = yield* Effect.flip(acquire(path, "exclusive"))
        assert.strictEqual(
          error.message,
          `cannot lock ${path}: the program "flock" is not installed; it is part of the package util-linux (ENOSYS)`
        )
        assert.lengthOf(FS.readdirSync("/proc/self/fd").filter((fd) => isOpen(fd, path)), 0)
      }).pipe(Effect.provide(NodeFileLock.layerProgram("no-flock-here"))))

    it.scoped("tell a broken flock program from a held lock", () =>
      Effect.gen(function*() {
        const directory = place.directory()
        const broken = `${directory}/flock`
        FS.writeFileSync(broken, "#!/bin/sh\necho 'flock: 3: No locks available' >&2\nexit 1\n", { mode: 0o755 })
        const error = yield* Effect.flip(acquire(`${directory}/.lock`, "exclusive")).pipe(
          Effect.provide(NodeFileLock.layerProgram(broken))
        )
        assert.deepInclude({ ...error }, { _tag: "IoError", code: "ENOLCK" })
      }))
  })
})

const isOpen = (fd: string, path: string): boolean => {
  try {
    return FS.readlinkSync(`/proc/self/fd/${fd}`) === path
  } catch {
    return false
  }
}
