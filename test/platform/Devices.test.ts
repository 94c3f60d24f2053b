import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Devices } from "../../src/platform/Devices.ts"
import * as NodeDevices from "../../src/platform/nodeDevices.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import { whyNot } from "../support/loopMount.ts"

const run = (command: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(command, args, { encoding: "utf8" }).trim()

/** What only root can try: a loop device over a file in a folder of its own. */
const scene = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = FS.mkdtempSync(join(tmpdir(), "backy-devices-"))
    const file = join(folder, "a file")
    FS.writeFileSync(file, "")
    FS.truncateSync(file, 32 * 1024 * 1024)
    const loops = [run("losetup", "--find", "--show", file)]
    return { folder, file, loops }
  }),
  ({ folder, loops }) =>
    Effect.sync(() => {
      for (const loop of loops.toReversed()) run("losetup", "--detach", loop)
      FS.rmSync(folder, { recursive: true, force: true })
    })
)

const reason = whyNot("ext4")
describe.skipIf(reason !== undefined)(`real devices${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  it.scoped("are known by number, whatever node leads to them", () =>
    Effect.gen(function*() {
      const { folder, loops: [loop = ""] } = yield* scene
      const alias = join(folder, "alias")
      const [major = "", minor = ""] = (nodeDisk.lstat(loop).device ?? "").split(":")
      run("mknod", alias, "b", major, minor)
      assert.strictEqual(nodeDisk.lstat(alias).device, nodeDisk.lstat(loop).device)
      assert.notStrictEqual(nodeDisk.lstat(alias).ino, nodeDisk.lstat(loop).ino)
      const claim = nodeDisk.open(loop, { access: "read", exclusive: true })
      try {
        nodeDisk.close(nodeDisk.open(alias, { access: "read-write", exclusive: true }))
        assert.fail("it was claimed twice")
      } catch (cause) {
        assert.propertyVal(cause, "code", "EBUSY")
      } finally {
        nodeDisk.close(claim)
      }
    }), 60_000)

  it.scoped("are followed down to the file, through a loop device on a loop device", () =>
    Effect.gen(function*() {
      const { file, loops } = yield* scene
      const [lower = ""] = loops
      const upper = run("losetup", "--find", "--show", lower)
      loops.push(upper)
      const devices = yield* Devices
      const beneath = yield* devices.beneath(nodeDisk.lstat(upper))
      assert.deepStrictEqual(beneath.map(({ path }) => path), [lower, file])
      assert.deepStrictEqual(yield* devices.loopsOver(nodeDisk.lstat(file)), [lower])
      assert.deepStrictEqual(yield* devices.loopsOver(nodeDisk.lstat(lower)), [upper])
      assert.deepStrictEqual(yield* devices.loopsOver(nodeDisk.lstat(upper)), [])
    }).pipe(Effect.provide(NodeDevices.layer)), 60_000)

  it.scoped("show what others find on them, and nothing when there is nothing", () =>
    Effect.gen(function*() {
      const { loops: [loop = ""] } = yield* scene
      const look = Effect.acquireUseRelease(
        Effect.sync(() => nodeDisk.open(loop, { access: "read-write", exclusive: true })),
        (descriptor) => Effect.flatMap(Devices, (devices) => devices.signature({ path: loop, descriptor })),
        (descriptor) => Effect.sync(() => nodeDisk.close(descriptor))
      )
      assert.isUndefined(yield* look)
      run("mkfs.ext4", "-q", "-F", loop)
      assert.strictEqual(yield* look, "ext4")
      assert.isUndefined(yield* Effect.provide(look, NodeDevices.layerProgram("no-blkid-here")))
    }).pipe(Effect.provide(NodeDevices.layer)), 60_000)

  it.effect("say where something is mounted", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      assert.isTrue(yield* devices.isMountPoint("/proc"))
      assert.isFalse(yield* devices.isMountPoint("/proc/self"))
    }).pipe(Effect.provide(NodeDevices.layer)))
})
