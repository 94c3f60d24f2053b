/**
 * What a simulated power loss may do, and what it may not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import type { Disk } from "../../src/platform/Disk.ts"
import { everyChoice, seeded, someChoices } from "../../src/platform/MemoryChoices.ts"
import { keepAll, loseAll } from "../../src/platform/MemoryCrash.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { codeThrown } from "../support/contract/Disk.contract.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (content: Uint8Array): string => new TextDecoder().decode(content).replaceAll("\0", "0")

/** Writes a file; durable in itself, or its name, only as told. */
const write = (disk: Disk, path: string, content: string, sync: boolean): void => {
  const descriptor = disk.open(path, { access: "write", create: "if-missing", truncate: true })
  disk.write(descriptor, bytes(content), 0)
  if (sync) disk.sync(descriptor)
  disk.close(descriptor)
}

const syncDirectory = (disk: Disk, path: string): void => {
  const descriptor = disk.open(path, { access: "read" })
  disk.sync(descriptor)
  disk.close(descriptor)
}

/** All files, as `path=content`. */
const shown = (memory: MemoryDisk.MemoryDisk, path = ""): ReadonlyArray<string> =>
  Array.from(memory.disk.list(`${path}/`)).sort().flatMap((name) => {
    const at = `${path}/${name}`
    return memory.disk.lstat(at).kind === "directory"
      ? [`${at}/`, ...shown(memory, at)]
      : [`${at}=${text(memory.bytesAt(at))}`]
  })

/** All states that a power loss may leave, each once, sorted. */
const states = (memory: MemoryDisk.MemoryDisk): ReadonlyArray<string> => {
  const all = new Set<string>()
  for (const survivor of everyChoice((choose) => memory.crash(choose), 100_000)) all.add(shown(survivor).join(" "))
  return Array.from(all).sort()
}

const fresh = (): MemoryDisk.MemoryDisk => {
  const memory = MemoryDisk.make()
  memory.plantFile("/f", bytes("old!"))
  return memory
}

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
    FastCheck.record({ kind: FastCheck.constant("write" as const), name, content: FastCheck.string(), sync: FastCheck.boolean() }),
    FastCheck.record({ kind: FastCheck.constant("append" as const), name, content: FastCheck.string(), sync: FastCheck.boolean() }),
    FastCheck.record({ kind: FastCheck.constant("rename" as const), name, to: name }),
    FastCheck.record({ kind: FastCheck.constant("unlink" as const), name }),
    FastCheck.record({ kind: FastCheck.constant("syncDirectory" as const) })
  )

  it("is kept in every state that a power loss leaves", () => {
    FastCheck.assert(FastCheck.property(FastCheck.array(step, { maxLength: 12 }), FastCheck.nat(), (steps, seed) => {
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
    }), { numRuns: 300 })
  })
})

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
    assert.deepStrictEqual([sync(memory, later), sync(memory, descriptor), sync(memory, other)], [nothing, "ENOSPC", "ENOSPC"])
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

describe("choices", () => {
  const three = (choose: (options: number, question: string) => number) =>
    `${choose(2, "a")}${choose(3, "b")}${choose(2, "c")}`

  it("everyChoice gives each combination once, and says whether it was all", () => {
    const all = everyChoice(three, 100)
    const seen: Array<string> = []
    let next = all.next()
    for (; next.done !== true; next = all.next()) seen.push(next.value)
    assert.strictEqual(next.value, true)
    assert.lengthOf(seen, 12)
    assert.lengthOf(new Set(seen), 12)
    const some = everyChoice(three, 5)
    for (let i = 0; i < 5; i++) assert.isFalse(some.next().done)
    assert.deepStrictEqual(some.next(), { done: true, value: false })
  })

  it("someChoices gives all of a few, else a sample that begins with the extremes", () => {
    assert.lengthOf(Array.from(someChoices(three, { limit: 12, seed: 1 })), 12)
    const sample = Array.from(someChoices(three, { limit: 11, seed: 1 }))
    assert.lengthOf(sample, 11)
    assert.deepStrictEqual(sample.slice(0, 2), ["111", "000"])
    assert.includeMembers(sample, ["011", "101", "110", "100", "010", "001", "121"])
  })

  it("a seed gives the same answers again", () => {
    FastCheck.assert(FastCheck.property(FastCheck.integer(), (seed) => {
      const answers = () => {
        const choose = seeded(seed)
        return Array.from({ length: 20 }, (_, i) => choose(i + 1, "q"))
      }
      assert.deepStrictEqual(answers(), answers())
      assert.isTrue(answers().every((answer, i) => answer >= 0 && answer <= i))
    }))
  })
})
