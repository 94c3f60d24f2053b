import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as RbdProgram from "../../src/ceph/rbdProgram.ts"
import { decodeMappings, qemuOptions } from "../../src/ceph/rbdReader.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as Process from "../../src/platform/Process.ts"
import { type ImageName, Rbd } from "../../src/platform/Rbd.ts"

const image: ImageName = { pool: "rbd", image: "vm" }

interface Machine {
  /** What the program named `rbd` does. */
  readonly rbd?: Process.Program
  /** What comes of `qemu-nbd`, where the kernel cannot map images. */
  readonly nbd?: Process.Program
  /** Whether the kernel can map images. */
  readonly kernel?: boolean
  readonly env?: Record<string, string>
}

/** The port over a program that is a function, and the arguments with which it was run. */
const over = (machine: Machine) => {
  const calls: Array<ReadonlyArray<string>> = []
  const record = (program: Process.Program): Process.Program => (args, stdin, options) => {
    calls.push(args)
    return program(args, stdin, options)
  }
  const programs = {
    ...machine.rbd === undefined ? {} : { rbd: record(machine.rbd), "/opt/rbd": record(machine.rbd) },
    ...machine.nbd === undefined ? {} : { setpriv: record(machine.nbd) }
  }
  const files = FileSystem.layerNoop({
    ...machine.kernel === true ? { access: () => Effect.void } : {},
    makeTempDirectoryScoped: () => Effect.succeed("/nowhere")
  })
  const disk = MemoryDisk.make()
  disk.plantFile("/dev-rbd0", new Uint8Array(10).fill(7))
  const layer = RbdProgram.layer().pipe(
    Layer.provide(Layer.mergeAll(Process.layerMemory(programs), files, BlockFile.layerDisk(disk.disk))),
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(machine.env ?? {})))))
  )
  return { calls, run: <A, E>(effect: Effect.Effect<A, E, Rbd>) => Effect.provide(effect, layer) }
}

const info = Effect.flatMap(Rbd, (rbd) => rbd.info(image))
const answering = (result: Process.ProgramResult) => over({ rbd: () => result })

describe("the rbd program", () => {
  it.effect("gets plain arguments, in the order that it wants", () => {
    const { calls, run } = over({ rbd: () => ({ stdout: "[]", exitCode: 0 }) })
    return run(Effect.gen(function*() {
      const rbd = yield* Rbd
      yield* Effect.ignore(rbd.info(image))
      yield* rbd.snapshots(image)
      yield* rbd.createSnapshot(image, "s")
      yield* rbd.removeSnapshot(image, "s")
      yield* rbd.removeSnapshotById({ pool: "rbd" }, "10ab", "s")
      yield* Effect.ignore(Stream.runDrain(rbd.diff(image, { from: "a", to: "b", wholeObject: true })))
      yield* Effect.ignore(Stream.runDrain(rbd.diff(image, { from: undefined, to: "b", wholeObject: false })))
      yield* rbd.importImage(image, Stream.make(Uint8Array.of(1)))
      yield* rbd.renameImage(image, "next")
      assert.deepStrictEqual(yield* rbd.images({ pool: "rbd" }), [])
      assert.propertyVal(yield* Effect.flip(rbd.watchers(image)), "code", "EPROTO")
      yield* rbd.removeImage(image)
      assert.deepStrictEqual(calls.map((args) => args.join(" ")), [
        "info --format json rbd/vm",
        "snap ls --format json rbd/vm",
        "snap create --no-progress rbd/vm@s",
        "snap rm --no-progress rbd/vm@s",
        "snap rm --no-progress --pool rbd --image-id 10ab --snap s",
        "export-diff --no-progress --from-snap a --whole-object rbd/vm@b -",
        "export-diff --no-progress rbd/vm@b -",
        "import --no-progress - rbd/vm",
        "rename rbd/vm rbd/next",
        "ls --format json --pool rbd",
        "status --format json rbd/vm",
        "rm --no-progress rbd/vm"
      ])
    }))
  })

  it.effect("is told the namespace wherever it is told the pool", () => {
    const mapped = JSON.stringify([
      { id: "0", pool: "rbd", namespace: "ns", name: "vm", snap: "s", device: "/dev/rbd0" },
      { id: "1", pool: "rbd", namespace: "", name: "vm", snap: "s", device: "/dev/rbd1" }
    ])
    const { calls, run } = over({
      kernel: true,
      rbd: ([verb]) => ({ stdout: verb === "showmapped" ? mapped : verb === "map" ? "/dev-rbd0\n" : "[]" })
    })
    const inside: ImageName = { pool: "rbd", namespace: "ns", image: "vm" }
    return run(Effect.gen(function*() {
      const rbd = yield* Rbd
      yield* rbd.snapshots(inside)
      yield* rbd.removeSnapshotById(inside, "10ab", "s")
      yield* rbd.renameImage(inside, "next")
      yield* rbd.images(inside)
      yield* Effect.scoped(rbd.open(inside, "s"))
      yield* rbd.closeStale(inside, () => true)
      assert.match(
        (yield* Effect.flip(rbd.snapshots({ ...inside, namespace: "a/b" }))).message,
        /the name "a\/b" cannot/
      )
      assert.deepStrictEqual(calls.map((args) => args.join(" ")), [
        "snap ls --format json rbd/ns/vm",
        "snap rm --no-progress --pool rbd --namespace ns --image-id 10ab --snap s",
        "rename rbd/ns/vm rbd/ns/next",
        "ls --format json --pool rbd --namespace ns",
        "map --read-only rbd/ns/vm@s",
        "unmap /dev-rbd0",
        "showmapped --format json",
        "unmap /dev/rbd0"
      ])
    }))
  })

  it.effect("is the one that BACKY_RBD names", () => {
    const stdout = "{\"id\": \"10\", \"size\": 5}"
    const { run } = over({ rbd: () => ({ stdout }), env: { BACKY_RBD: "/opt/rbd" } })
    return run(Effect.map(info, (found) => assert.deepStrictEqual(found, { id: "10", size: 5, indexInvalid: false })))
  })

  const exits: ReadonlyArray<readonly [number, string, string, RegExp]> = [
    [2, "rbd: error opening image vm: (2) No such file or directory\n", "ENOENT", /error opening image vm/],
    [2, "rbd: delete error: (2) No such file or directory\n", "ENOENT", /delete error/],
    [2, "error setting snapshot context: (2) No such file or directory\n", "ENOENT", /snapshot context/],
    [2, "rbd: failed to remove snapshot: (2) No such file or directory\n", "ENOENT", /failed to remove/],
    [2, "rbd: error opening pool 'p q': (2) No such file or directory\n", "ENOPOOL", /there is no pool "p q"/],
    [2, "rbd: namespace 'ns' does not exist.\n", "ENOPOOL", /the pool has no namespace "ns"/],
    [
      2,
      "did not load config file, using default settings.\n2026-11-27T10:19:10.325+0000 7f8c28f84380 -1 can't open " +
      "/nonexistent: (2) No such file or directory\n\nunable to get monitor info from DNS SRV with service name: " +
      "ceph-mon\nrbd: couldn't connect to the cluster!\n",
      "ENOTCONN",
      /no cluster was found, since there is no configuration of Ceph \(\/nonexistent\)/
    ],
    [2, "rbd: couldn't connect to the cluster!\n", "ENOTCONN", /names no monitors/],
    // whatever else it means, it does not mean that something is known not to be there
    [2, "rbd: something new: (2) No such file or directory\n", "UNKNOWN", /something new/],
    [2, "", "UNKNOWN", /no reason was given/],
    [
      16,
      "2026-11-23T12:30:50.392+0000 7fa7edd766c0 -1 librbd::Operations: snapshot is protected\n\nrbd: snapshot 'x' is " +
      "protected from removal.\n",
      "EBUSY",
      /cannot look at rbd\/vm: snapshot 'x' is protected from removal\. \(EBUSY\)/
    ],
    [17, "rbd: failed to create snapshot: (17) File exists\n", "EEXIST", /File exists/],
    [110, "rbd: couldn't connect to the cluster!\n", "ETIMEDOUT", /couldn't connect/],
    [1, "global_init: unable to open config file\n", "UNKNOWN", /unable to open config file/],
    [200, "", "UNKNOWN", /no reason was given/]
  ]
  for (const [exitCode, stderr, code, text] of exits) {
    it.effect(`means ${code} when it exits with ${exitCode} and says ${JSON.stringify(stderr.slice(0, 40))}`, () =>
      answering({ exitCode, stderr }).run(Effect.gen(function*() {
        const error = yield* Effect.flip(info)
        assert.strictEqual(error.code, code)
        assert.match(error.message, text)
      })))
  }

  it.effect("may be missing, or be killed, or never end", () =>
    Effect.gen(function*() {
      const missing = yield* Effect.flip(over({}).run(info))
      assert.match(missing.message, /there is no program rbd; Debian has it in the package ceph-common/)
      assert.notStrictEqual(missing.code, "ENOENT")
      assert.strictEqual((yield* Effect.flip(answering({ signal: "SIGKILL" }).run(info))).code, "EIO")
      const hanging = yield* Effect.fork(Effect.flip(over({ rbd: () => Effect.never }).run(info)))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* Fiber.join(hanging)).code, "ETIMEDOUT")
    }))

  for (const stdout of ["", "{", "[]", "{\"size\": \"5\"}", "{\"size\": -1}", "{\"size\": 1.5}"]) {
    it.effect(`is not believed when its answer is ${stdout || "empty"}`, () =>
      answering({ stdout }).run(Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(info)).code, "EPROTO")
      })))
  }

  it.effect("says when its index cannot be relied on", () =>
    answering({ stdout: "{\"size\": 5, \"flags\": [\"object map invalid\"]}" }).run(
      Effect.gen(function*() {
        assert.isTrue((yield* info).indexInvalid)
      })
    ))

  it.effect("knows without a trial when there is nothing to read samples with", () => {
    const { calls, run } = over({ rbd: () => ({}), nbd: () => ({}), env: { PATH: "/usr/bin:/bin" } })
    return run(Effect.gen(function*() {
      const error = yield* Effect.flip((yield* Rbd).checkReadable(image))
      assert.match(error.message, /there is no program qemu-nbd: .* packages qemu-utils and qemu-block-extra/)
      assert.isEmpty(calls)
    }))
  })

  it.effect("is read through the kernel where that can, and let go of afterwards", () => {
    const { calls, run } = over({ kernel: true, rbd: ([verb]) => verb === "map" ? { stdout: "/dev-rbd0\n" } : {} })
    return run(Effect.gen(function*() {
      const rbd = yield* Rbd
      yield* rbd.checkReadable(image)
      yield* Effect.scoped(Effect.gen(function*() {
        const { read } = yield* rbd.open(image, "s")
        assert.deepStrictEqual([...yield* read(3, 2)], [7, 7])
        assert.match((yield* Effect.flip(read(8, 5))).message, /ends at byte 10/)
      }))
      assert.deepStrictEqual(calls.map((args) => args.join(" ")), ["map --read-only rbd/vm@s", "unmap /dev-rbd0"])
    }))
  })

  it.effect("says why the server for samples ended, and does not wait for it", () => {
    const { calls, run } = over({
      rbd: () => ({}),
      nbd: () => ({ exitCode: 1, stderr: "qemu-nbd: error connecting: Operation not supported\n" })
    })
    return run(Effect.gen(function*() {
      const opening = yield* Effect.fork(Effect.flip(Effect.scoped(Effect.flatMap(Rbd, (rbd) => rbd.open(image, "s")))))
      yield* TestClock.adjust("1 hour")
      const error = yield* Fiber.join(opening)
      assert.match(error.message, /qemu-nbd ended: qemu-nbd: error connecting: Operation not supported/)
      assert.include(calls[0]?.join(" "), "--read-only --socket /nowhere/nbd")
    }))
  })

  it.effect("has not imported an image when it took all of it and yet failed", () => {
    const { run } = over({
      rbd: () => ({ exitCode: 28, stderr: "rbd: import failed: no space\n" })
    })
    return run(Effect.gen(function*() {
      const error = yield* Effect.flip((yield* Rbd).importImage(image, Stream.make(Uint8Array.of(1))))
      assert.match(error.message, /cannot make rbd\/vm: import failed: no space \(ENOSPC\)/)
    }))
  })

  it.effect("does not wait for ever for an import that stands still", () => {
    const { run } = over({ rbd: () => Effect.never })
    return run(Effect.gen(function*() {
      const rbd = yield* Rbd
      const importing = yield* Effect.fork(Effect.flip(rbd.importImage(image, Stream.make(Uint8Array.of(1)))))
      yield* TestClock.adjust("16 minutes")
      const error = yield* Fiber.join(importing)
      assert.strictEqual(error.code, "ETIMEDOUT")
    }))
  })

  it.effect("is asked again to unmap what is busy for a moment", () => {
    let busy = 3
    const { calls, run } = over({
      kernel: true,
      rbd: ([verb]) => verb === "map" ? { stdout: "/dev-rbd0\n" } : --busy < 0 ? {} : { exitCode: 16 }
    })
    return run(Effect.gen(function*() {
      const closing = yield* Effect.fork(Effect.scoped(Effect.flatMap(Rbd, (rbd) => rbd.open(image, "s"))))
      for (let second = 0; second < 6; second++) yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual(calls.filter(([verb]) => verb === "unmap").length, 4)
    }))
  })

  it.effect("unmaps at the next start what killed runs had mapped, and nothing else", () => {
    const mapped = JSON.stringify([
      { id: "0", pool: "rbd", namespace: "", name: "vm", snap: "backy-old", device: "/dev/rbd0" },
      { id: "1", pool: "rbd", namespace: "", name: "vm", snap: "-", device: "/dev/rbd1" },
      { id: "2", pool: "rbd", namespace: "", name: "other", snap: "backy-old", device: "/dev/rbd2" }
    ])
    const { calls, run } = over({ kernel: true, rbd: ([verb]) => ({ stdout: verb === "showmapped" ? mapped : "" }) })
    return run(Effect.gen(function*() {
      yield* (yield* Rbd).closeStale(image, (name) => name === "backy-old")
      assert.deepStrictEqual(calls.slice(1), [["unmap", "/dev/rbd0"]])
    }))
  })

  it("tells mappings in the form of Luminous and in that of Nautilus", () => {
    const mapping = { pool: "rbd", name: "vm", snap: "-", device: "/dev/rbd0" }
    const decoded = { ...mapping, namespace: "" }
    assert.deepStrictEqual(decodeMappings(JSON.stringify([mapping])), Option.some([decoded]))
    assert.deepStrictEqual(decodeMappings(JSON.stringify({ 0: mapping })), Option.some([decoded]))
    assert.deepStrictEqual(decodeMappings("[]\n"), Option.some([]))
    assert.deepStrictEqual(decodeMappings("[7]"), Option.none())
  })

  it("hands user and configuration file on to qemu, which does not read CEPH_ARGS", () => {
    assert.deepStrictEqual(qemuOptions("--id backy -c /etc/ceph/x.conf"), [
      "file.user=backy",
      "file.conf=/etc/ceph/x.conf"
    ])
    assert.deepStrictEqual(qemuOptions("--name=client.backy --rados-osd-op-timeout 3"), ["file.user=backy"])
    assert.deepStrictEqual(qemuOptions(""), [])
  })
})
