/**
 * Small repositories and what is done to them: the cases of the simulations with power loss and faults. To add an
 * operation is to add an entry.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { START } from "../../src/library/Simulation.ts"
import { backup as backupOperation, type BackupReport } from "../../src/operation/backup.ts"
import { diff } from "../../src/operation/diff.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { expire } from "../../src/operation/expire.ts"
import { find } from "../../src/operation/find.ts"
import { forget } from "../../src/operation/forget.ts"
import { init } from "../../src/operation/init.ts"
import * as Output from "../../src/operation/Output.ts"
import { purge as purgeOperation } from "../../src/operation/purge.ts"
import { deleteReport, listReports } from "../../src/operation/reports.ts"
import { restore as restoreOperation } from "../../src/operation/restore.ts"
import { restoreDelta } from "../../src/operation/restoreDelta.ts"
import { status } from "../../src/operation/status.ts"
import { tags } from "../../src/operation/tags.ts"
import { upgrade } from "../../src/operation/upgrade.ts"
import { verify } from "../../src/operation/verify.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { addSmallHistory } from "./legacyRevision.ts"
import { BLOCK, type Machine, type Services } from "./Machine.ts"
import * as Site from "./Site.ts"
import * as Surroundings from "./Surroundings.ts"
import * as Survey from "./Survey.ts"
import { IMAGE, makeDisk, REPOSITORY, schedule, setFile } from "./World.ts"

/** Nobody waits for a lock. */
export const wait = Duration.zero

/** Operations with the options that the scenarios use. */
export const backup = backupOperation({ tags: ["daily"], schedule, force: false, wait })
export const acceptingShrink = backupOperation({ tags: ["daily"], schedule, force: false, acceptShrink: true, wait })
export const cow = backupOperation({ tags: ["daily"], schedule, force: false, backend: "cowfile", wait })
export const upgradeAll = upgrade({ dryRun: false, force: false, backend: "chunked", wait })
export const purge = purgeOperation({ dryRun: false, wait })
export const verifyAll = verify({ revisions: "all", wait })
export const expireAll = expire({ schedule, dryRun: false, unknownTags: false, wait })
export const restoreTo = (
  path: string,
  options?: { readonly force?: boolean; readonly salvage?: boolean; readonly revision?: string }
) =>
  restoreOperation({
    revision: options?.revision ?? "latest",
    target: { _tag: "Path", path },
    force: options?.force ?? false,
    salvage: options?.salvage ?? false,
    wait
  }).pipe(Effect.provide(Output.layerMemory([])))

/** A restore that writes only what differs. */
const restoreDeltaTo = (path: string) =>
  restoreDelta({ revision: "latest", path, force: true, salvage: false, dryRun: false, wait }).pipe(
    Effect.provide(Output.layerMemory([]))
  )

const job = { source: { type: "file", filename: IMAGE }, schedule }
const initialise = init(job)

/** One case: a repository, and what is done to it. */
export interface Scenario {
  readonly name: string
  /** What lies outside of the machine, where the image is not one of its files. */
  readonly outside?: () => Surroundings.Surroundings
  /** Its source keeps no snapshot from one backup to the next. */
  readonly keepsNone?: true
  /** Makes the repository. What is not synced then is at risk. */
  readonly prepare: (bench: Bench) => void
  readonly operation: Effect.Effect<unknown, unknown, Services>
  /** The backup that comes next. Default: one in chunks. */
  readonly next?: Effect.Effect<BackupReport, unknown, Services>
  /** Whether it ends well when nothing goes wrong. */
  readonly fails?: true
  /** Revisions that may be removed, of those that are there. */
  readonly mayGo?: (survey: Survey.Survey) => Iterable<string>
  /** What must be on the medium once it says that it succeeded. */
  readonly promises?: (disk: MemoryDisk, image: Uint8Array, before: Survey.Survey) => ReadonlyArray<string>
  /** It may take trust from revisions that are whole. */
  readonly distrusts?: true
  /** Days after the last backup of `prepare` that it happens. */
  readonly days?: number
  /** What else must hold of a state that a crash left. */
  readonly also?: (disk: MemoryDisk, image: Uint8Array) => ReadonlyArray<string>
}

/** What a scenario is made with: each run is a day later than the one before. */
export interface Bench {
  readonly memory: MemoryDisk
  /** The cluster, for scenarios that have one. */
  readonly outside: Surroundings.Surroundings
  /** Runs an operation; dies when it fails. */
  readonly run: <A, E>(operation: Effect.Effect<A, E, Services>) => A
  /** Runs it and lets it fail. */
  readonly attempt: (operation: Effect.Effect<unknown, unknown, Services>) => void
  /** Writes the image: one letter a chunk, `.` is a hole, and a last piece of `tail` bytes. */
  readonly image: (letters: string, tail?: number) => void
  /** Path of the newest revision's image file. */
  readonly imageFile: () => string
  /** Path of the chunk of a letter in the newest revision, or of the chunk at an index. */
  readonly chunkAt: (index: number) => string
}

/** An image of one letter a chunk. */
export const imageOf = (letters: string, tail = 0): Uint8Array => {
  const bytes = new Uint8Array(letters.length * BLOCK - (tail > 0 ? BLOCK - tail : 0))
  for (let index = 0; index < letters.length; index++) {
    if (letters[index] !== ".") bytes.fill(letters.charCodeAt(index), index * BLOCK, (index + 1) * BLOCK)
  }
  return bytes
}

export interface Prepared {
  readonly memory: MemoryDisk
  readonly image: Uint8Array
  /** When the operation happens, and its seed. */
  readonly options: { readonly seed: number; readonly start: number }
}

const DAY = 86_400_000

/** Makes a scenario's repository. */
export const prepare = (machine: Machine, scenario: Scenario): Prepared => {
  const outside = scenario.outside?.()
  const memory = outside === undefined ? makeDisk() : Site.make(makeDisk(), outside)
  let seed = 0
  let image: Uint8Array = new Uint8Array(0)
  const next = () => ({ seed: ++seed, start: START + seed * DAY })
  scenario.prepare({
    memory,
    get outside() {
      if (outside === undefined) throw new Error(`scenario ${scenario.name} has no cluster`)
      return outside
    },
    run: (operation) => {
      const exit = machine.run(memory, operation, next())
      memory.syncAll()
      if (Exit.isFailure(exit)) {
        throw new Error(`scenario ${scenario.name} cannot be prepared: ${exit.cause.toString()}`)
      }
      return exit.value
    },
    attempt: (operation) => {
      machine.run(memory, operation, next())
      memory.syncAll()
    },
    image: (letters, tail) => {
      image = imageOf(letters, tail)
      if (outside !== undefined) {
        outside.ceph.resize(Surroundings.IMAGE, image.length)
        return outside.ceph.write(Surroundings.IMAGE, 0, image)
      }
      setFile(memory.disk, IMAGE, image)
      memory.syncAll()
    },
    imageFile: () => `${REPOSITORY}/${Survey.newestTrusted(Survey.take(memory))?.revision.id}`,
    chunkAt: (index) => {
      const newest = Survey.newestTrusted(Survey.take(memory))
      const name = newest?.names[index]
      if (name === undefined) throw new Error(`no chunk ${index}`)
      return `${REPOSITORY}/chunks/${name.slice(0, 2)}/${name}.chunk.zst`
    }
  })
  const { seed: last } = next()
  // it may have been written to in other ways, too
  image = outside?.ceph.content(Surroundings.IMAGE) ?? image
  return { memory, image, options: { seed: last, start: START + (last + (scenario.days ?? 0)) * DAY } }
}

const twoBackups = (bench: Bench): void => {
  bench.image("aab.")
  bench.run(backup)
  bench.image("acb.d")
  bench.run(backup)
}

export const oldest = (survey: Survey.Survey): Iterable<string> => {
  const newest = Survey.newestTrusted(survey)?.revision.id
  return [...survey.complete.keys()].filter((id) => id !== newest)
}

const targetIs =
  (path: string, possible: (image: Uint8Array) => ReadonlyArray<Uint8Array>) =>
  (disk: MemoryDisk, image: Uint8Array): ReadonlyArray<string> => {
    let found: Uint8Array
    try {
      found = disk.bytesAt(path)
    } catch {
      return []
    }
    return possible(image).some((bytes) => Buffer.compare(bytes, found) === 0) ? [] : [`I2: ${path} holds other bytes`]
  }

/** Bytes of the note at the beginning of a target that is neither old nor new. */
const NOTE = 512

/**
 * Whatever happens, a target is as it was, or as it shall be, or begins with a note that says that it is neither. Of its
 * first sector nothing is asked: a disk writes a sector as a whole, and the simulated one may cut it.
 */
const isNoSilentMixture = (path: string, old: Uint8Array) => (disk: MemoryDisk, image: Uint8Array) => {
  const found = disk.bytesAt(path)
  const note = new TextEncoder().encode("backy: a delta restore to this has not ended")
  const isWhole = [old, image].some((bytes) =>
    Buffer.compare(bytes.subarray(NOTE), found.subarray(NOTE, bytes.length)) === 0
  )
  return isWhole || Buffer.compare(note, found.subarray(0, note.length)) === 0
    ? []
    : [`I2: ${path} is a mixture that nobody can tell`]
}

/** The second run completes what a first one left, and a backup comes after it. */
const completed = (path: string) =>
  Effect.gen(function*() {
    yield* restoreDeltaTo(path)
    const files = yield* BlockFile.BlockFile
    const found = yield* files.withFile(path, { access: "read" }, (file) =>
      Effect.gen(function*() {
        const bytes = new Uint8Array((yield* file.stat).size)
        yield* file.readAt(bytes, 0)
        return bytes
      }))
    const wanted: Array<Uint8Array> = []
    yield* restoreOperation({ revision: "latest", target: { _tag: "Output" }, force: false, salvage: false, wait })
      .pipe(Effect.provide(Output.layerMemory(wanted)))
    const image = Buffer.concat(wanted)
    if (Buffer.compare(image, found.subarray(0, image.length)) !== 0) {
      return yield* Effect.dieMessage(`${path} holds other bytes after the second run`)
    }
    return yield* backup
  })

/** A backup that succeeded left a whole revision of the image. */
export const madeRevision = (disk: MemoryDisk, image: Uint8Array, before: Survey.Survey): ReadonlyArray<string> => {
  const made = Array.from(Survey.take(disk).complete.values()).filter(({ revision }) =>
    !before.complete.has(revision.id)
  )
  const good = made.filter((one) =>
    Survey.isWhole(one) && one.image !== undefined && Buffer.compare(one.image, image) === 0
  )
  return made.length === 1 && good.length === 1
    ? []
    : [`I4: ${made.length} revisions were made, ${good.length} of them good`]
}

/** Images of complete revisions can no longer be written to. */
const sealed = (disk: MemoryDisk): ReadonlyArray<string> =>
  Array.from(Survey.take(disk).complete.values()).flatMap(({ revision: { backendType, id } }) =>
    backendType.startsWith("cowfile") && disk.disk.lstat(`${REPOSITORY}/${id}`).mode !== 0o440
      ? [`image ${id} could be written to`]
      : []
  )

/** All is in the current format. */
const upgraded = (disk: MemoryDisk): ReadonlyArray<string> => {
  const { complete, orphans } = Survey.take(disk)
  return [
    ...orphans.map((name) => `${name} is left`),
    ...Array.from(complete.values()).flatMap(({ revision: { backendType, id } }) =>
      backendType === "chunked-v4" ? [] : [`${id} is not upgraded`]
    )
  ]
}

/** What went to standard output. */
const output: Array<Uint8Array> = []

/** A restore that succeeded left exactly the image. */
const restored = (path: string) => (disk: MemoryDisk, image: Uint8Array): ReadonlyArray<string> => {
  try {
    return Buffer.compare(disk.bytesAt(path), image) === 0 ? [] : [`I2: ${path} holds other bytes`]
  } catch {
    return [`I2: there is no ${path}`]
  }
}

const all: ReadonlyArray<Scenario> = [
  {
    name: "the first backup",
    prepare: (bench) => bench.image("abc"),
    operation: backup,
    promises: madeRevision
  },
  {
    name: "an incremental backup",
    prepare: (bench) => {
      bench.image("aab.")
      bench.run(backup)
      bench.image("acb.d")
    },
    operation: backup,
    promises: madeRevision
  },
  {
    name: "a backup of an image that shrank",
    prepare: (bench) => {
      bench.image("abcd")
      bench.run(backup)
      bench.image("abc", 100)
    },
    operation: backup,
    promises: madeRevision
  },
  {
    name: "a backup after the newest was distrusted by hand",
    prepare: (bench) => {
      twoBackups(bench)
      bench.run(distrust({ revisions: "latest", from: undefined, until: undefined, wait }))
      bench.image("acbe")
    },
    operation: backup,
    promises: madeRevision
  },
  {
    name: "a backup that heals damaged and missing chunks",
    prepare: (bench) => {
      twoBackups(bench)
      bench.memory.plantFile(bench.chunkAt(0), new Uint8Array(20).fill(1), 0o440)
      bench.memory.disk.unlink(bench.chunkAt(1))
      bench.memory.syncAll()
      bench.attempt(verifyAll)
      bench.image("acbf")
    },
    operation: backup,
    promises: madeRevision
  },
  {
    name: "a backup over torn chunks that no revision names",
    prepare: (bench) => {
      bench.image("gh")
      bench.run(backup)
      const paths = [bench.chunkAt(0), bench.chunkAt(1)]
      bench.image("ab")
      bench.run(backup)
      bench.run(forget({ revisions: "first", force: false, wait }))
      for (const path of paths) bench.memory.plantFile(path, new Uint8Array(0), 0o440)
      bench.image("ghi")
    },
    operation: backup,
    promises: madeRevision
  },
  {
    name: "purge",
    prepare: (bench) => {
      twoBackups(bench)
      bench.image("xyb.")
      bench.run(backup)
      bench.run(forget({ revisions: "first", force: false, wait }))
      bench.memory.plantFile(`${REPOSITORY}/.x.rev.abcdefghijkl.tmp`, new Uint8Array(3))
      bench.memory.plantFile(`${REPOSITORY}/chunks/ab/.y.abcdefghijkl.tmp`, new Uint8Array(3))
    },
    operation: purge
  },
  {
    name: "expire, which removes and takes tags",
    days: 40,
    prepare: (bench) => {
      for (const letters of ["abc", "abd", "aed", "fed", "fgd"]) {
        bench.image(letters)
        bench.run(backup)
      }
      bench.run(tags({ revisions: "first", change: "add", tags: ["manual:keep"], schedule, wait }))
    },
    operation: expireAll,
    mayGo: oldest
  },
  {
    name: "forget, and purge at once",
    prepare: (bench) => {
      twoBackups(bench)
      bench.image("xyb.")
      bench.run(backup)
    },
    operation: Effect.zipRight(forget({ revisions: "not(latest)", force: false, wait }), purge),
    mayGo: oldest
  },
  {
    name: "verify where all is well",
    prepare: twoBackups,
    operation: verifyAll
  },
  {
    name: "verify with a damaged chunk that two revisions share, and a missing one",
    prepare: (bench) => {
      twoBackups(bench)
      bench.memory.plantFile(bench.chunkAt(0), new Uint8Array(20).fill(1), 0o440)
      bench.memory.disk.unlink(bench.chunkAt(1))
      bench.memory.syncAll()
    },
    operation: verifyAll,
    fails: true
  },
  {
    name: "tags",
    prepare: twoBackups,
    operation: tags({ revisions: "all", change: "set", tags: ["weekly"], schedule, wait })
  },
  {
    name: "distrust, and verify at once",
    prepare: twoBackups,
    operation: Effect.zipRight(distrust({ revisions: "all", from: undefined, until: undefined, wait }), verifyAll),
    distrusts: true
  },
  {
    name: "restore to a new file",
    prepare: twoBackups,
    operation: restoreTo("/restore/new.img"),
    promises: restored("/restore/new.img"),
    also: targetIs("/restore/new.img", (image) => [image])
  },
  {
    name: "restore over a file",
    prepare: (bench) => {
      twoBackups(bench)
      setFile(bench.memory.disk, "/restore/old.img", imageOf("zzzzzzz"))
      bench.memory.syncAll()
    },
    operation: restoreTo("/restore/old.img", { force: true }),
    promises: restored("/restore/old.img")
  },
  {
    name: "restore to a device",
    prepare: (bench) => {
      bench.image("abcdefg.")
      bench.run(backup)
      bench.memory.plantDevice("/dev/vd", 8 * BLOCK)
      setFile(bench.memory.disk, "/dev/vd", imageOf("zzzzzzzz"))
      bench.memory.syncAll()
    },
    operation: restoreTo("/dev/vd", { force: true }),
    promises: restored("/dev/vd")
  },
  {
    name: "delta restore over a file",
    prepare: (bench) => {
      twoBackups(bench)
      setFile(bench.memory.disk, "/restore/old.img", imageOf("abbzzzz"))
      bench.memory.syncAll()
    },
    operation: restoreDeltaTo("/restore/old.img"),
    next: completed("/restore/old.img"),
    promises: restored("/restore/old.img"),
    also: isNoSilentMixture("/restore/old.img", imageOf("abbzzzz"))
  },
  {
    name: "delta restore to a device",
    prepare: (bench) => {
      bench.image("abc.e")
      bench.run(backup)
      bench.memory.plantDevice("/dev/vd", 6 * BLOCK)
      setFile(bench.memory.disk, "/dev/vd", imageOf("xbyz.z"))
      bench.memory.syncAll()
    },
    operation: restoreDeltaTo("/dev/vd"),
    next: completed("/dev/vd"),
    promises: (disk, image) =>
      Buffer.compare(disk.bytesAt("/dev/vd").subarray(0, image.length), image) === 0
        ? []
        : ["I2: /dev/vd is not whole"],
    also: isNoSilentMixture("/dev/vd", imageOf("xbyz.z"))
  },
  {
    name: "restore over a file, leaving out what is damaged",
    prepare: (bench) => {
      twoBackups(bench)
      setFile(bench.memory.disk, "/restore/old.img", imageOf("zzzzzzz"))
      bench.memory.plantFile(bench.chunkAt(0), new Uint8Array(20).fill(1), 0o440)
      bench.memory.syncAll()
    },
    operation: restoreTo("/restore/old.img", { force: true, salvage: true }),
    fails: true
  },
  {
    name: "restore to standard output",
    prepare: twoBackups,
    operation: Effect.suspend(() => {
      output.length = 0
      return restoreOperation({ revision: "latest", target: { _tag: "Output" }, force: false, salvage: false, wait })
    }).pipe(Effect.provide(Output.layerMemory(output))),
    promises: (_, image) => Buffer.compare(Buffer.concat(output), image) === 0 ? [] : ["I2: other bytes came out"]
  },
  {
    name: "a backup over a base that is damaged without anybody knowing",
    prepare: (bench) => {
      twoBackups(bench)
      bench.memory.plantFile(bench.chunkAt(0), new Uint8Array(20).fill(1), 0o440)
      bench.memory.syncAll()
    },
    operation: backup,
    promises: madeRevision
  },
  {
    name: "the first backup as an image",
    prepare: (bench) => bench.image("ab.", 100),
    operation: cow,
    next: cow,
    promises: (disk, image, before) => [...madeRevision(disk, image, before), ...sealed(disk)],
    also: sealed
  },
  {
    name: "a backup as an image that begins as a copy of its base",
    prepare: (bench) => {
      bench.image("abc", 100)
      bench.run(cow)
      bench.image("xb.d")
    },
    operation: cow,
    next: cow,
    promises: madeRevision,
    also: sealed
  },
  {
    name: "a backup as an image that shares a damaged block with its base",
    prepare: (bench) => {
      bench.image("abc")
      bench.run(cow)
      bench.memory.plantFile(bench.imageFile(), imageOf("azc"), 0o440)
      bench.memory.syncAll()
      bench.image("abd")
    },
    operation: cow,
    next: cow,
    promises: madeRevision,
    also: sealed
  },
  {
    name: "upgrade of images",
    prepare: (bench) => {
      bench.image("aab.")
      bench.run(cow)
      bench.image("acb.d")
      bench.run(cow)
    },
    operation: upgradeAll,
    promises: upgraded
  },
  {
    name: "upgrade of what backy 2.5 wrote",
    prepare: (bench) => {
      addSmallHistory(bench.memory.disk, BLOCK)
      bench.image("ab")
    },
    operation: upgradeAll,
    promises: upgraded
  },
  {
    name: "init",
    prepare: (bench) => {
      bench.memory.disk.unlink(`${REPOSITORY}/config`)
      bench.image("ab")
    },
    operation: initialise,
    next: Effect.zipRight(Effect.ignore(initialise), backup)
  },
  {
    name: "status, find, diff and a list of reports",
    prepare: twoBackups,
    operation: Effect.all([
      status({ revisions: undefined }),
      find("latest"),
      diff("first", "latest"),
      listReports()
    ])
  },
  {
    name: "deleting a report",
    prepare: (bench) => {
      twoBackups(bench)
      bench.memory.plantFile(bench.chunkAt(0), new Uint8Array(20).fill(1), 0o440)
      bench.attempt(verifyAll)
    },
    operation: Effect.flatMap(
      listReports(),
      (reports) => Effect.forEach(reports, ({ id }) => deleteReport({ id, wait }), { discard: true })
    )
  },
  {
    name: "a night: backup, expire, purge",
    days: 40,
    prepare: (bench) => {
      for (const letters of ["abc", "abd", "aed", "fed"]) {
        bench.image(letters)
        bench.run(backup)
      }
      bench.image("fxd.e")
    },
    operation: Effect.zipRight(backup, Effect.zipRight(expireAll, purge)),
    mayGo: oldest,
    promises: madeRevision
  }
]

/** Only the case of this name, for who has no time to prepare all of them. */
const ONLY = process.env["BACKY_SCENARIO"]

/** Those that are wanted. */
export const wanted = (of: ReadonlyArray<Scenario>): ReadonlyArray<Scenario> =>
  of.filter(({ name }) => ONLY === undefined || name === ONLY)

/** All cases with an image file as the source. */
export const scenarios: ReadonlyArray<Scenario> = wanted(all)
