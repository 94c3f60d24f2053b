/**
 * What a simulated power loss may do, and what it may not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { everyChoice, someChoices } from "../../src/platform/MemoryChoices.ts"
import { keepAll, loseAll } from "../../src/platform/MemoryCrash.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { codeThrown } from "../support/contract/Disk.contract.ts"
import { bytes, fresh, shown, states, syncDirectory, text, write } from "../support/simulatedDisk.ts"

describe("a power loss", () => {
  it("leaves what was synced, whatever else is lost", () => {
    const memory = fresh()
    write(memory.disk, "/g", "new", true)
    syncDirectory(memory.disk, "/")
    assert.isTrue(memory.isDurable)
    assert.deepStrictEqual(states(memory), ["/f=old! /g=new"])
  })

  it("may lose, cut, empty or zero what was written and not synced", () => {
    const memory = fresh()
    const descriptor = memory.disk.open("/f", { access: "write" })
    memory.disk.write(descriptor, bytes("news"), 2)
    assert.isFalse(memory.isDurable)
    assert.deepStrictEqual(states(memory), ["/f=ol0000", "/f=old!", "/f=olne", "/f=olnews"])
  })

  it("may keep a later write and lose an earlier one", () => {
    const memory = fresh()
    const descriptor = memory.disk.open("/f", { access: "write" })
    memory.disk.write(descriptor, bytes("a"), 4)
    memory.disk.write(descriptor, bytes("b"), 5)
    assert.includeMembers(Array.from(states(memory)), ["/f=old!0b", "/f=old!a", "/f=old!ab", "/f=old!"])
  })

  it("may undo truncating and punching", () => {
    const memory = fresh()
    const descriptor = memory.disk.open("/f", { access: "write" })
    memory.disk.truncate(descriptor, 2)
    assert.deepStrictEqual(states(memory), ["/f=ol", "/f=old!"])
    memory.disk.sync(descriptor)
    memory.disk.punch(descriptor, 0, 1)
    assert.deepStrictEqual(states(memory), ["/f=0l", "/f=ol"])
  })

  it("may lose the name of a synced file whose directory was not", () => {
    const memory = fresh()
    write(memory.disk, "/g", "x", true)
    assert.deepStrictEqual(states(memory), ["/f=old!", "/f=old! /g=x"])
  })

  it("may keep the name of a file whose content was not synced", () => {
    const memory = fresh()
    write(memory.disk, "/g", "xy", false)
    syncDirectory(memory.disk, "/")
    assert.deepStrictEqual(states(memory), ["/f=old! /g=", "/f=old! /g=00", "/f=old! /g=x", "/f=old! /g=xy"])
  })

  it("may keep a rename and lose the creation before it, or the other way round", () => {
    const memory = fresh()
    write(memory.disk, "/tmp", "new", true)
    memory.disk.rename("/tmp", "/f")
    assert.deepStrictEqual(states(memory), ["/f=new", "/f=old!", "/f=old! /tmp=new"])
  })

  it("undoes a rename as a whole or not at all", () => {
    const memory = fresh()
    memory.disk.rename("/f", "/g")
    assert.deepStrictEqual(states(memory), ["/f=old!", "/g=old!"])
    memory.disk.rename("/g", "/h")
    assert.deepStrictEqual(states(memory), ["/f=old!", "/g=old!", "/h=old!"])
    syncDirectory(memory.disk, "/")
    assert.deepStrictEqual(states(memory), ["/h=old!"])
  })

  it("may leave a file that moved between directories in both, when only its new one was synced", () => {
    const memory = fresh()
    memory.plantDirectory("/d")
    memory.disk.rename("/f", "/d/f")
    assert.deepStrictEqual(states(memory), ["/d/ /d/f=old!", "/d/ /f=old!"])
    const target = memory.clone()
    syncDirectory(target.disk, "/d")
    assert.deepStrictEqual(states(target), ["/d/ /d/f=old!", "/d/ /d/f=old! /f=old!"])
    // ... and in none, when only its old one was.
    const source = memory.clone()
    syncDirectory(source.disk, "/")
    assert.deepStrictEqual(states(source), ["/d/", "/d/ /d/f=old!"])
    syncDirectory(source.disk, "/d")
    assert.deepStrictEqual(states(source), ["/d/ /d/f=old!"])
  })

  it("may undo removing, in any order", () => {
    const memory = fresh()
    memory.plantFile("/g", bytes("g"))
    memory.disk.unlink("/f")
    memory.disk.unlink("/g")
    assert.deepStrictEqual(states(memory), ["", "/f=old!", "/f=old! /g=g", "/g=g"])
    syncDirectory(memory.disk, "/")
    assert.deepStrictEqual(states(memory), [""])
  })

  it("loses all of a new directory that its parent does not yet name durably", () => {
    const memory = fresh()
    memory.disk.makeDirectory("/d", 0o755)
    write(memory.disk, "/d/g", "g", true)
    syncDirectory(memory.disk, "/d")
    assert.deepStrictEqual(states(memory), ["/d/ /d/g=g /f=old!", "/f=old!"])
    syncDirectory(memory.disk, "/")
    assert.deepStrictEqual(states(memory), ["/d/ /d/g=g /f=old!"])
  })

  it("never leaves a directory under two names", () => {
    const memory = fresh()
    memory.plantFile("/d/g", bytes("g"))
    memory.plantDirectory("/e")
    memory.disk.rename("/d", "/e/d")
    const target = memory.clone()
    syncDirectory(target.disk, "/e")
    assert.deepStrictEqual(states(target), ["/d/ /d/g=g /e/ /f=old!", "/e/ /e/d/ /e/d/g=g /f=old!"])
  })

  it("leaves what replaced a file under its name once more, though the file is still open", () => {
    const memory = fresh()
    const descriptor = memory.disk.open("/f", { access: "write" })
    write(memory.disk, "/tmp", "new", true)
    memory.disk.rename("/tmp", "/f")
    syncDirectory(memory.disk, "/")
    memory.disk.write(descriptor, bytes("gone"), 0)
    memory.disk.sync(descriptor)
    assert.deepStrictEqual(states(memory), ["/f=new"])
  })

  it("keeps a mode that was synced, and not for certain one that only fdatasync has seen", () => {
    const memory = fresh()
    memory.disk.chmod("/f", 0o400)
    const modes = () =>
      Array.from(everyChoice((choose) => memory.crash(choose).disk.lstat("/f").mode, 100)).sort((a, b) => a - b)
    assert.deepStrictEqual(modes(), [0o400, 0o644])
    const descriptor = memory.disk.open("/f", { access: "read" })
    memory.disk.datasync(descriptor)
    assert.deepStrictEqual(modes(), [0o400, 0o644])
    memory.disk.sync(descriptor)
    assert.deepStrictEqual(modes(), [0o400])
  })

  it("changes only the new disk, which is durable and has no descriptors", () => {
    const memory = fresh()
    write(memory.disk, "/g", "xy", false)
    const before = memory.describe()
    const after = memory.crash(loseAll)
    write(after.disk, "/h", "h", false)
    assert.deepStrictEqual(memory.describe(), before)
    assert.deepStrictEqual(shown(memory.crash(keepAll)), shown(memory))
    assert.deepStrictEqual(memory.crash(keepAll).describe(), before)
    assert.isTrue(memory.crash(keepAll).isDurable)
  })

  it("asks nothing about files that are of no interest", () => {
    const memory = fresh()
    write(memory.disk, "/f", "unsynced", false)
    const all = everyChoice((choose) => shown(memory.crash(choose, { ignore: (path) => path === "/f" })).join(" "), 100)
    assert.deepStrictEqual(Array.from(all), ["/f=unsynced"])
  })

  it("may cut a write behind any byte", () => {
    const memory = fresh()
    write(memory.disk, "/g", "abcd", false)
    syncDirectory(memory.disk, "/")
    const seen = new Set<string>()
    for (const survivor of everyChoice((choose) => memory.crash(choose, { cut: "any" }), 100)) {
      seen.add(text(survivor.bytesAt("/g")))
    }
    assert.deepStrictEqual(Array.from(seen).sort(), ["", "0000", "a", "ab", "abc", "abcd"])
  })
})

describe("what fsync promised", () => {
  const name = FastCheck.constantFrom("/a", "/b", "/c")
  const step = FastCheck.oneof(
    FastCheck.record({
      kind: FastCheck.constant("write" as const),
      name,
      content: FastCheck.string(),
      sync: FastCheck.boolean()
    }),
    FastCheck.record({
      kind: FastCheck.constant("append" as const),
      name,
      content: FastCheck.string(),
      sync: FastCheck.boolean()
    }),
    FastCheck.record({ kind: FastCheck.constant("rename" as const), name, to: name }),
    FastCheck.record({ kind: FastCheck.constant("unlink" as const), name }),
    FastCheck.record({ kind: FastCheck.constant("syncDirectory" as const) })
  )

  it("is kept in every state that a power loss leaves", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 12 }), FastCheck.nat(), (steps, seed) => {
        const memory = MemoryDisk.make()
        const { disk } = memory
        /** Synced contents by inode, and synced names: forgotten as soon as something unsynced is done to them. */
        const contents = new Map<number, string>()
        let names = new Map<string, number>()
        const exists = (path: string) => codeThrown(() => disk.lstat(path)) !== "ENOENT"
        for (const step of steps) {
          if (step.kind === "syncDirectory") {
            syncDirectory(disk, "/")
            names = new Map(Array.from(disk.list("/"), (name) => [`/${name}`, disk.lstat(`/${name}`).ino]))
          } else if (step.kind === "write" || step.kind === "append") {
            if (!exists(step.name)) names.delete(step.name)
            const truncate = step.kind === "write"
            const descriptor = disk.open(step.name, { access: "write", create: "if-missing", truncate })
            const { ino, size } = disk.stat(descriptor)
            contents.delete(ino)
            disk.write(descriptor, bytes(step.content), size)
            if (step.sync) {
              disk.datasync(descriptor)
              contents.set(ino, text(memory.bytesAt(step.name)))
            }
            disk.close(descriptor)
          } else if (exists(step.name)) {
            names.delete(step.name)
            if (step.kind === "unlink") disk.unlink(step.name)
            else {
              names.delete(step.to)
              disk.rename(step.name, step.to)
            }
          }
        }
        const crash = (choose: Parameters<typeof memory.crash>[0]) => memory.crash(choose, { cut: "any" })
        for (const survivor of someChoices(crash, { limit: 50, seed })) {
          for (const [name, ino] of names) {
            assert.strictEqual(survivor.disk.lstat(name).ino, ino, name)
            if (contents.has(ino)) assert.strictEqual(text(survivor.bytesAt(name)), contents.get(ino), name)
          }
          assert.isTrue(survivor.isDurable)
        }
      }),
      { numRuns: 300 }
    )
  })
})
