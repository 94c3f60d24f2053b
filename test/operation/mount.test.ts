/** What other programs are asked for, and what is said when they cannot do it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { mount } from "../../src/operation/nbd/mount.ts"
import * as Process from "../../src/platform/Process.ts"
import * as MemoryListener from "../support/memoryListener.ts"
import { CHUNK, REPOSITORY, setFile } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, inScene } = Scenario

/** A disk of one partition, at its second block. */
const disk = (): Uint8Array => {
  const bytes = blocks(0, 7, 7, 0)
  const numbers = new DataView(bytes.buffer)
  numbers.setUint8(450, 0x83)
  numbers.setUint32(454, CHUNK / 512, true)
  numbers.setUint32(458, 2 * CHUNK / 512, true)
  bytes.set([0x55, 0xaa], 510)
  return bytes
}

/** Mounts it with these programs, and gives what they were called with, or the sentence that it failed with. */
const mounting = (
  programs: (scene: Scenario.Scene) => Readonly<Record<string, Process.Program>>,
  options: { readonly partition?: number; readonly directory?: string } = {}
) =>
  inScene((scene) =>
    Effect.gen(function*() {
      for (const path of ["/tmp", "/mnt", "/mnt/full"]) scene.disk.makeDirectory(path, 0o755)
      setFile(scene.disk, "/mnt/full/x", blocks(1))
      scene.disk.makeDirectory("/mnt/empty", 0o755)
      yield* backupOf(scene, disk())
      const calls: Array<string> = []
      const told = Object.fromEntries(
        Object.entries(programs(scene)).map(([name, program]): [string, Process.Program] => [
          name,
          (args, ...more) => {
            calls.push([name, ...args].join(" ").replaceAll(/\/tmp\/[^/ ]+/g, "TEMPORARY"))
            return program(args, ...more)
          }
        ])
      )
      const listener = yield* MemoryListener.make
      const attempt = mount({ revision: "latest", directory: "/mnt/empty", wait: Scenario.zero, ...options }).pipe(
        Effect.map(({ path }) => path),
        Effect.catchAll(({ message }) => Effect.succeed(message)),
        Effect.scoped,
        Effect.provide(listener.layer),
        Effect.provide(Process.layerMemory(told))
      )
      const fiber = yield* Effect.fork(attempt)
      yield* TestClock.adjust("1 second")
      const answer = yield* Fiber.join(fiber)
      assert.deepStrictEqual(scene.memory.openDescriptors, [])
      return { answer, calls }
    })
  )

/** It is there at once, and stays. */
const nbdfuse = (scene: Scenario.Scene): Process.Program => (args) =>
  Effect.zipRight(
    Effect.sync(() => setFile(scene.disk, args[2] ?? "", new TextEncoder().encode("1\n"))),
    Effect.never
  )

describe("mount", () => {
  it.effect("asks for the image as a file", () =>
    Effect.gen(function*() {
      const { answer, calls } = yield* mounting((scene) => ({ nbdfuse: nbdfuse(scene) }))
      assert.strictEqual(answer, "/mnt/empty/image")
      assert.deepStrictEqual(calls, [
        "nbdfuse --readonly --pidfile TEMPORARY/nbdfuse.pid /mnt/empty/image nbd+unix:///?socket=TEMPORARY/nbd"
      ])
    }))

  for (
    const [type, kind] of [
      ["ext4", ",noload"],
      ["xfs", ",norecovery,nouuid"],
      ["btrfs", ",rescue=nologreplay"],
      ["vfat", ""],
      ["constructor", ""]
    ] as const
  ) {
    it.effect(`asks for nothing but reading of ${type}`, () =>
      Effect.gen(function*() {
        const { answer, calls } = yield* mounting((scene) => ({
          nbdfuse: nbdfuse(scene),
          blkid: () => ({ stdout: `${type}\n` }),
          mount: () => ({})
        }), { partition: 1 })
        assert.strictEqual(answer, "/mnt/empty")
        assert.strictEqual(
          calls.at(-1),
          `mount -t ${type} -o ro,nosuid,nodev,noexec,loop,offset=${CHUNK},sizelimit=${2 * CHUNK}${kind} ` +
            "TEMPORARY/image/image /mnt/empty"
        )
      }))
  }

  it.effect("says which program is missing, and where it is", () =>
    Effect.gen(function*() {
      const none = yield* mounting(() => ({}))
      assert.strictEqual(
        none.answer,
        "cannot mount at /mnt/empty: the program nbdfuse is missing; it is in the package nbdfuse (Debian, Ubuntu) or " +
          "libnbd (others)"
      )
      const half = yield* mounting((scene) => ({ nbdfuse: nbdfuse(scene) }), { partition: 1 })
      assert.include(half.answer, "the program mount is missing")
    }))

  it.effect("says what programs say", () =>
    Effect.gen(function*() {
      const fuse = yield* mounting(() => ({ nbdfuse: () => ({ exitCode: 1, stderr: "fuse: no permission\n" }) }))
      assert.include(fuse.answer, "cannot mount at /mnt/empty: nbdfuse has ended: fuse: no permission")
      const refused = yield* mounting((scene) => ({
        nbdfuse: nbdfuse(scene),
        blkid: () => ({ exitCode: 2 }),
        mount: () => ({ exitCode: 32, stderr: "mount: wrong fs type\n" })
      }), { partition: 0 })
      assert.include(refused.answer, "mount: wrong fs type")
      assert.include(
        refused.calls.at(-1) ?? "",
        `mount -o ro,nosuid,nodev,noexec,loop,offset=0,sizelimit=${4 * CHUNK} `
      )
    }))

  it.effect("refuses a place where something is, one in the repository, and a partition that is not there", () =>
    Effect.gen(function*() {
      const tell = (directory: string, partition?: number) =>
        Effect.map(
          mounting(() => ({}), { directory, ...(partition === undefined ? {} : { partition }) }),
          ({ answer, calls }) => {
            assert.deepStrictEqual(calls, [])
            return answer
          }
        )
      assert.include(yield* tell("/mnt/full"), "the directory is not empty")
      assert.include(yield* tell(`${REPOSITORY}/chunks`), "it lies within the repository")
      assert.include(yield* tell("/mnt/none/there"), "there is no directory /mnt/none")
      assert.include(yield* tell("/mnt/empty", 2), "there is no partition 2: the image has 1")
    }))
})
