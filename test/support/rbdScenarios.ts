/**
 * Repositories whose image lies in a cluster, and what is done to them: the cases of the simulations with power loss and
 * faults. To add an operation is to add an entry.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { forget } from "../../src/operation/forget.ts"
import { prefixFor } from "../../src/operation/partialName.ts"
import { restoreImage } from "../../src/operation/restoreImage.ts"
import { Consul } from "../../src/platform/Consul.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { Rbd } from "../../src/platform/Rbd.ts"
import * as Repository from "../../src/repository/Repository.ts"
import * as CephRbdSource from "../../src/source/CephRbdSource.ts"
import * as FlyingCircusSource from "../../src/source/FlyingCircusSource.ts"
import { Source } from "../../src/source/Source.ts"
import { addSmallHistory } from "./legacyRevision.ts"
import { BLOCK, type Services } from "./Machine.ts"
import * as Scenarios from "./scenarios.ts"
import * as Site from "./Site.ts"
import * as Surroundings from "./Surroundings.ts"
import type { Survey } from "./Survey.ts"
import { REPOSITORY } from "./World.ts"

const { IMAGE, NAME, VM } = Surroundings
const { wait } = Scenarios

type Operation<A> = Effect.Effect<A, unknown, Services>

/** An operation whose source is the image in the cluster. */
export const onCeph = <A>(operation: Operation<A>, settings?: { readonly fullAlways: boolean }): Operation<A> =>
  Effect.provideServiceEffect(operation, Source, CephRbdSource.make({ ...NAME, ...settings }))

/** The same with the help of the VM. */
const onVm = <A>(operation: Operation<A>): Operation<A> =>
  Effect.provideServiceEffect(
    operation,
    Source,
    Effect.flatMap(Consul, (consul) => FlyingCircusSource.make({ ...NAME, vm: VM }, consul))
  )

const backup = onCeph(Scenarios.backup)
const fullAlways = onCeph(Scenarios.backup, { fullAlways: true })
const vmBackup = onVm(Scenarios.backup)

/** With the chunks that backy 2.5 has, of which a small image needs one. */
const inLargeChunks = <A>(operation: Operation<A>): Operation<A> =>
  Effect.provide(operation, Layer.fresh(Repository.layer(REPOSITORY, { chunkSize: ChunkMap.CHUNK_SIZE })))

const largeBackup = inLargeChunks(backup)

/** The cluster leaves changes out of its diffs. */
const lying = <A>(operation: Operation<A>): Operation<A> =>
  Effect.flatMap(Rbd, (rbd) =>
    Effect.provideService(operation, Rbd, {
      ...rbd,
      diff: (image, request) =>
        Stream.filter(rbd.diff(image, request), (event) => event._tag === "Header" || event.offset >= 2 * BLOCK)
    }))

/** Its diffs end early. */
const cutting = <A>(operation: Operation<A>): Operation<A> =>
  Effect.flatMap(Rbd, (rbd) =>
    Effect.provideService(operation, Rbd, {
      ...rbd,
      diff: (image, request) =>
        Stream.concat(
          Stream.take(rbd.diff(image, request), 2),
          Stream.drain(Stream.fromEffect(rbd.info({ ...image, image: "gone" })))
        )
    }))

/** A restore to `rbd/copy`. */
export const restoreToCeph = restoreImage({
  revision: "latest",
  image: { ...NAME, image: "copy" },
  salvage: false,
  wait
})

/** Once more, under the name that has become free, and then a backup. */
const again = Effect.zipRight(
  Effect.flatMap(Rbd, (rbd) => Effect.ignore(rbd.removeImage({ ...NAME, image: "copy" }))),
  Effect.zipRight(restoreToCeph, backup)
)

/** An image that was restored is whole, or not there. */
const copyIs = (memory: MemoryDisk, image: Uint8Array): ReadonlyArray<string> => {
  const copy = Site.isSite(memory) ? memory.outside.ceph.content("rbd/copy") : undefined
  return copy === undefined || Buffer.compare(copy, image) === 0 ? [] : ["I2: rbd/copy holds other bytes"]
}

const copyIsThere = (memory: MemoryDisk): ReadonlyArray<string> =>
  Site.isSite(memory) && memory.outside.ceph.content("rbd/copy") !== undefined ? [] : ["I2: there is no rbd/copy"]

/** A stranger's snapshot of the image as it is now. */
const strange = ({ outside }: Scenarios.Bench, name: string): void => {
  outside.ceph.snapshot(IMAGE, name)
  outside.strangers.add(`${IMAGE}@${name}`)
}

const write = ({ outside }: Scenarios.Bench, offset: number, length: number, byte: number): void =>
  outside.ceph.write(IMAGE, offset, new Uint8Array(length).fill(byte))

const snapshots = ({ outside }: Scenarios.Bench): ReadonlyArray<string> => outside.ceph.snapshotNames(IMAGE)

const outside = () => Surroundings.make({ objectSize: BLOCK })
/** Objects that are not cut as chunks are. */
const unaligned = () => Surroundings.make({ objectSize: 3 * BLOCK / 2 })

const oneBackup = (bench: Scenarios.Bench): void => {
  bench.image("aab.f")
  bench.run(backup)
}

const twoBackups = (bench: Scenarios.Bench): void => {
  oneBackup(bench)
  bench.image("acb.d")
  bench.run(backup)
}

const rest = { outside, operation: backup, next: backup, promises: Scenarios.madeRevision }

const ofVm = (answersAfter: Surroundings.AnswersAfter) => ({
  outside: () => Surroundings.make({ objectSize: BLOCK, answersAfter }),
  operation: vmBackup,
  next: vmBackup,
  promises: Scenarios.madeRevision
})

/** A history that backy 2.5 made, with the snapshot of the newest in the cluster, and the image as it went on. */
const legacyHistory = (bench: Scenarios.Bench): void => {
  const history = addSmallHistory(bench.memory.disk, BLOCK)
  const [id = "", content = new Uint8Array(0)] = [...history].at(-1) ?? []
  bench.outside.ceph.resize(IMAGE, content.length)
  bench.outside.ceph.write(IMAGE, 0, content)
  bench.outside.ceph.snapshot(IMAGE, `backy-${id}`)
  write(bench, BLOCK + 7, 30, 9)
  bench.memory.syncAll()
}

const all: ReadonlyArray<Scenarios.Scenario> = [
  { ...rest, name: "the first backup from Ceph", prepare: (bench) => bench.image("ab.c") },
  {
    ...rest,
    name: "an increment",
    prepare: (bench) => {
      oneBackup(bench)
      bench.image("acb.d")
    }
  },
  { ...rest, name: "an increment in which nothing changed", prepare: oneBackup },
  {
    ...rest,
    name: "an increment of an image that grew",
    prepare: (bench) => {
      bench.image("aab", 100)
      bench.run(backup)
      bench.image("aac.d", 300)
    }
  },
  {
    ...rest,
    name: "an increment of an image that shrank",
    prepare: (bench) => {
      bench.image("abcdef")
      bench.run(backup)
      bench.image("abcx", 100)
    }
  },
  {
    ...rest,
    name: "an increment of an image that shrank and grew again, with a stranger's snapshot in between",
    prepare: (bench) => {
      bench.image("abcdef")
      bench.run(backup)
      bench.outside.ceph.resize(IMAGE, 2 * BLOCK)
      strange(bench, "small")
      bench.outside.ceph.resize(IMAGE, 6 * BLOCK)
      write(bench, 3 * BLOCK + 5, 20, 7)
    }
  },
  {
    ...rest,
    name: "a backup whose base has lost its snapshot",
    prepare: (bench) => {
      twoBackups(bench)
      for (const name of snapshots(bench)) bench.outside.ceph.removeSnapshot(IMAGE, name)
      bench.image("acb.e")
    }
  },
  {
    ...rest,
    name: "an increment with records that are not cut as chunks are",
    outside: unaligned,
    prepare: (bench) => {
      bench.image("aabcdef.", 200)
      bench.run(backup)
      for (const at of [100, 700, 1500, 2200, 3500]) write(bench, at, 90, at % 251)
      write(bench, 2600, 500, 0)
    }
  },
  {
    ...rest,
    name: "an increment in which samples differ",
    operation: lying(backup),
    prepare: (bench) => {
      oneBackup(bench)
      bench.image("acb.d")
    },
    fails: true,
    distrusts: true
  },
  {
    ...rest,
    name: "a full backup by doubt",
    prepare: (bench) => {
      oneBackup(bench)
      bench.image("acb.d")
      bench.attempt(lying(backup))
    }
  },
  {
    ...rest,
    name: "an increment whose diff breaks off",
    operation: cutting(backup),
    prepare: (bench) => {
      oneBackup(bench)
      bench.image("acb.d")
    },
    fails: true
  },
  {
    ...rest,
    name: "a backup that heals a chunk from the snapshot that has it",
    prepare: (bench) => {
      twoBackups(bench)
      bench.memory.plantFile(bench.chunkAt(1), new Uint8Array(20).fill(1), 0o440)
      bench.memory.disk.unlink(bench.chunkAt(2))
      bench.memory.syncAll()
      bench.attempt(Scenarios.verifyAll)
      bench.image("axy.d")
    }
  },
  {
    ...rest,
    name: "an increment over chunks that are lost without anybody knowing",
    prepare: (bench) => {
      twoBackups(bench)
      bench.memory.plantFile(bench.chunkAt(1), new Uint8Array(20).fill(1), 0o440)
      bench.memory.disk.unlink(bench.chunkAt(2))
      bench.memory.syncAll()
      write(bench, BLOCK + 9, 8, 1)
    }
  },
  {
    ...rest,
    name: "a backup after the newest was forgotten",
    prepare: (bench) => {
      twoBackups(bench)
      bench.run(forget({ revisions: "latest", force: true, wait }))
      bench.image("acb.e")
    }
  },
  {
    ...rest,
    name: "a backup after the newest was distrusted by hand, from Ceph",
    prepare: (bench) => {
      twoBackups(bench)
      bench.run(distrust({ revisions: "latest", from: undefined, until: undefined, wait }))
      bench.image("acb.e")
    }
  },
  {
    ...rest,
    name: "a backup that keeps no snapshot",
    operation: fullAlways,
    next: fullAlways,
    keepsNone: true,
    prepare: (bench) => {
      bench.image("aab.f")
      bench.run(fullAlways)
      bench.image("acb.d")
    }
  },
  {
    ...rest,
    name: "a backup that keeps no snapshot, after one that kept one",
    operation: fullAlways,
    next: fullAlways,
    keepsNone: true,
    prepare: (bench) => {
      oneBackup(bench)
      bench.image("acb.d")
    }
  },
  {
    ...rest,
    name: "an increment among snapshots of strangers that look like ours",
    prepare: (bench) => {
      bench.image("aab.f")
      strange(bench, "backy-KDYVkEfuhFx5cpRJDZbZGm")
      bench.run(backup)
      strange(bench, "daily")
      bench.image("acb.d")
      strange(bench, "backy-")
    }
  },
  {
    ...rest,
    name: "a backup of an image that lost its content",
    operation: backup,
    next: onCeph(Scenarios.acceptingShrink),
    prepare: (bench) => {
      twoBackups(bench)
      bench.image(".....")
    },
    fails: true
  },
  {
    ...rest,
    name: "restore to an image in Ceph",
    operation: restoreToCeph,
    next: again,
    prepare: twoBackups,
    promises: (memory) => copyIsThere(memory),
    also: copyIs
  },
  {
    ...rest,
    name: "restore to an image in Ceph after one that was killed",
    operation: restoreToCeph,
    next: again,
    prepare: (bench) => {
      twoBackups(bench)
      const name = `rbd/${prefixFor("copy")}abcdefghijkl`
      bench.outside.ceph.create(name, 100)
    },
    promises: (memory) => copyIsThere(memory),
    also: copyIs
  },
  {
    ...rest,
    name: "an increment on a base of backy 2.5",
    operation: largeBackup,
    next: largeBackup,
    prepare: legacyHistory
  },
  {
    ...rest,
    name: "upgrade of what backy 2.5 made from Ceph",
    operation: inLargeChunks(Scenarios.upgradeAll),
    next: largeBackup,
    prepare: legacyHistory,
    promises: () => []
  },
  {
    ...ofVm(20),
    name: "a backup of a VM that makes its snapshot",
    prepare: (bench) => {
      bench.image("aab.f")
      bench.run(vmBackup)
      bench.image("acb.d")
    }
  },
  {
    ...ofVm(undefined),
    name: "a backup of a VM that never answers",
    prepare: (bench) => {
      bench.image("aab.f")
      bench.run(vmBackup)
      bench.image("acb.d")
    }
  },
  {
    ...ofVm(100),
    name: "a backup of a VM that answers when nobody waits any more",
    prepare: (bench) => {
      bench.image("aab.f")
      bench.run(vmBackup)
      bench.image("acb.d")
    }
  },
  {
    ...ofVm(4),
    name: "a backup of a VM among old requests and those of strangers",
    prepare: (bench) => {
      bench.image("aab.f")
      const { keys, strangers } = bench.outside
      keys.set("snapshot/1", JSON.stringify({ vm: VM, snapshot: "backy-old" }))
      keys.set("snapshot/2", JSON.stringify({ vm: "vm2", snapshot: "backy-x" }))
      strangers.add("snapshot/2")
    }
  },
  {
    ...rest,
    name: "a night with Ceph: backup, expire, purge",
    days: 40,
    prepare: (bench) => {
      for (const letters of ["abc", "abd", "aed", "fed"]) {
        bench.image(letters)
        bench.run(backup)
      }
      bench.image("fxd.e")
    },
    operation: Effect.zipRight(backup, Effect.zipRight(Scenarios.expireAll, Scenarios.purge)),
    mayGo: Scenarios.oldest
  },
  {
    ...rest,
    name: "forget of the newest, and purge, from Ceph",
    prepare: (bench) => {
      twoBackups(bench)
      bench.image("acb.e")
    },
    operation: Effect.zipRight(forget({ revisions: "latest", force: true, wait }), Scenarios.purge),
    mayGo: (survey: Survey) => survey.complete.keys(),
    promises: () => []
  }
]

/** All cases with an image in a cluster. */
export const rbdScenarios: ReadonlyArray<Scenarios.Scenario> = Scenarios.wanted(all)
