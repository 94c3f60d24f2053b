import { assert, describe, it } from "@effect/vitest"
import { keepAll } from "../../src/platform/MemoryCrash.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { codeThrown } from "../support/contract/Disk.contract.ts"
import { bytes, fresh, shown, states, text, write } from "../support/simulatedDisk.ts"

describe("a failed write-back", () => {
  const failing = () => {
    const memory = fresh()
    const descriptor = memory.disk.open("/f", { access: "read-write" })
    memory.disk.write(descriptor, bytes("new!"), 0)
    return { memory, descriptor }
  }
  const sync = (memory: MemoryDisk.MemoryDisk, descriptor: number) => codeThrown(() => memory.disk.sync(descriptor))
  const nothing = "nothing was thrown"

  it("is reported once to each descriptor that was open, and to no later one", () => {
    const { descriptor, memory } = failing()
    const other = memory.disk.open("/f", { access: "read" })
    memory.failWriteBack("/f", "ENOSPC")
    const later = memory.disk.open("/f", { access: "read" })
    assert.deepStrictEqual([sync(memory, later), sync(memory, descriptor), sync(memory, other)], [
      nothing,
      "ENOSPC",
      "ENOSPC"
    ])
    assert.deepStrictEqual([sync(memory, descriptor), sync(memory, other)], [nothing, nothing])
  })

  it("loses the data, though a second sync succeeds and readers still see it", () => {
    const { descriptor, memory } = failing()
    memory.failWriteBack("/f")
    assert.strictEqual(sync(memory, descriptor), "EIO")
    assert.strictEqual(sync(memory, descriptor), nothing)
    assert.deepStrictEqual(shown(memory), ["/f=new!"])
    assert.deepStrictEqual(states(memory), ["/f=old!"])
    assert.isFalse(memory.isDurable)
    // Readers see the truth once the cache has forgotten the pages.
    memory.disk.dropCache(descriptor, 0, 0)
    assert.deepStrictEqual(shown(memory), ["/f=old!"])
    assert.isTrue(memory.isDurable)
  })

  it("does not concern what is written afterwards", () => {
    const { descriptor, memory } = failing()
    memory.failWriteBack("/f")
    sync(memory, descriptor)
    memory.disk.write(descriptor, bytes("more"), 4)
    memory.disk.sync(descriptor)
    assert.deepStrictEqual(states(memory), ["/f=old!more"])
  })

  it("is what a sync means that the hook lets fail", () => {
    const { descriptor, memory } = failing()
    const other = memory.disk.open("/f", { access: "read" })
    memory.onOperation = (_n, name) => {
      if (name === "sync") throw new Error("hook")
    }
    assert.throws(() => memory.disk.sync(descriptor), "hook")
    memory.onOperation = undefined
    assert.deepStrictEqual([sync(memory, descriptor), sync(memory, other)], [nothing, "EIO"])
    assert.deepStrictEqual(states(memory), ["/f=old!"])
  })
})

describe("a simulated disk", () => {
  it("is full when its capacity is used up, and frees what nobody has open", () => {
    const memory = MemoryDisk.make({ capacity: 5 * 4096 })
    const { disk } = memory
    const descriptor = disk.open("/f", { access: "write", create: "exclusive" })
    assert.strictEqual(memory.used, 2 * 4096)
    // Three pages fit: the write is short, the next one fails.
    assert.strictEqual(disk.write(descriptor, new Uint8Array(20_000), 100), 3 * 4096 - 100)
    assert.strictEqual(codeThrown(() => disk.write(descriptor, new Uint8Array(20_000), 3 * 4096)), "ENOSPC")
    assert.strictEqual(disk.write(descriptor, new Uint8Array(50), 10), 50)
    assert.strictEqual(codeThrown(() => disk.open("/g", { access: "write", create: "exclusive" })), "ENOSPC")
    assert.strictEqual(codeThrown(() => disk.makeDirectory("/d", 0o755)), "ENOSPC")
    disk.rename("/f", "/h")
    disk.unlink("/h")
    assert.strictEqual(memory.used, 5 * 4096)
    disk.close(descriptor)
    assert.strictEqual(memory.used, 4096)
    disk.makeDirectory("/d", 0o755)
    memory.capacity = undefined
    disk.makeDirectory("/e", 0o755)
  })

  it("counts calls and lets each be looked at before it takes effect", () => {
    const memory = fresh()
    const seen: Array<string> = []
    memory.onOperation = (n, name, path) => {
      seen.push(`${n} ${name} ${path}: ${shown(memory.crash(keepAll)).join(" ")}`)
    }
    write(memory.disk, "/f", "new", false)
    memory.disk.rename("/f", "/g")
    memory.onOperation = undefined
    assert.strictEqual(memory.operations, 4)
    assert.deepStrictEqual(seen, [
      "1 open /f: /f=old!",
      "2 write /f: /f=",
      "3 close /f: /f=new",
      "4 rename /f: /f=new"
    ])
  })

  it("has the times that its clock tells", () => {
    let now = 1000n
    const memory = MemoryDisk.make({ clock: () => now })
    write(memory.disk, "/f", "x", false)
    now = 2000n
    memory.disk.chmod("/f", 0o600)
    assert.deepInclude(memory.disk.lstat("/f"), { mtimeNs: 1000n, ctimeNs: 2000n })
    now = 3000n
    write(memory.disk, "/f", "y", false)
    assert.deepInclude(memory.disk.lstat("/f"), { mtimeNs: 3000n, ctimeNs: 3000n })
    // Without a clock, each change is later than the one before.
    const own = MemoryDisk.make()
    write(own.disk, "/f", "x", false)
    const before = own.disk.lstat("/f").mtimeNs
    write(own.clone().disk, "/f", "y", false)
    write(own.disk, "/f", "y", false)
    assert.isTrue(own.disk.lstat("/f").mtimeNs > before)
  })

  it("copies share nothing that changes", () => {
    const memory = fresh()
    const copy = memory.clone()
    write(copy.disk, "/f", "copy", true)
    write(memory.disk, "/g", "g", false)
    assert.deepStrictEqual(shown(memory), ["/f=old!", "/g=g"])
    assert.deepStrictEqual(shown(copy), ["/f=copy"])
    assert.deepStrictEqual(states(copy), ["/f=copy"])
  })

  it("keeps terabytes of nothing in no memory", () => {
    const { disk, bytesAt } = fresh()
    const descriptor = disk.open("/big", { access: "read-write", create: "exclusive" })
    const size = 10 * 2 ** 40
    disk.truncate(descriptor, size)
    disk.write(descriptor, bytes("here"), size / 2 + 3)
    assert.deepStrictEqual(disk.nextData(descriptor, 0), { offset: size / 2, length: 4096 })
    assert.strictEqual(disk.nextData(descriptor, size / 2 + 4096), undefined)
    assert.strictEqual(disk.stat(descriptor).allocated, 4096)
    assert.strictEqual(text(bytesAt("/f")), "old!")
  })
})
