/**
 * Several operations at once on a repository whose source is an image in Ceph, while its VM writes, somebody resizes it
 * and others make and remove snapshots: see `concurrencySuite`. Each revision holds what its snapshot held.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { backup as backupOperation } from "../../src/operation/backup.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { forget } from "../../src/operation/forget.ts"
import { concurrencySuite } from "../support/concurrencySuite.ts"
import { BLOCK } from "../support/Machine.ts"
import { onCeph, restoreToCeph } from "../support/rbdScenarios.ts"
import * as Scenarios from "../support/scenarios.ts"
import type { Site } from "../support/Site.ts"
import * as Surroundings from "../support/Surroundings.ts"
import { schedule } from "../support/World.ts"

const { IMAGE } = Surroundings
const wait = Duration.zero
const backup = onCeph(Scenarios.backup)

/** Does something again and again, and lets others go on in between. */
const often = (times: number, what: (time: number) => void): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: times }, (_, time) => time),
    (time) => Effect.zipRight(Effect.sync(() => what(time)), Effect.sleep("1 seconds")),
    { discard: true }
  )

const writes = ({ outside: { ceph } }: Site) =>
  often(40, (time) => {
    const size = ceph.content(IMAGE)?.length ?? 0
    const offset = (time * 677) % size
    ceph.write(IMAGE, offset, new Uint8Array(Math.min(300, size - offset)).fill(time))
  })

const resizes = ({ outside: { ceph } }: Site) =>
  often(9, (time) => ceph.resize(IMAGE, (4 + time % 3) * BLOCK + 100 * (time % 2)))

const snapshots = ({ outside: { ceph, strangers } }: Site) =>
  often(6, (time) => {
    ceph.snapshot(IMAGE, `backy-of-others-${time}`)
    strangers.add(`${IMAGE}@backy-of-others-${time}`)
    if (time < 2) return
    ceph.removeSnapshot(IMAGE, `backy-of-others-${time - 2}`)
    strangers.delete(`${IMAGE}@backy-of-others-${time - 2}`)
  })

concurrencySuite({
  file: "rbdConcurrency.test.ts",
  count: 60,
  repository: {
    name: "a repository of an image in Ceph",
    outside: () => Surroundings.make({ objectSize: BLOCK }),
    prepare: (bench) => {
      for (const letters of ["aab.", "acb.d", "acbed"]) {
        bench.image(letters)
        bench.run(backup)
      }
      bench.run(forget({ revisions: "first", force: false, wait }))
      bench.image("fcb.ed")
    },
    operation: backup,
    next: backup
  },
  operations: {
    backup,
    "backup that waits": onCeph(
      backupOperation({ tags: ["daily"], schedule, force: false, wait: Duration.minutes(10) })
    ),
    "purge": Scenarios.purge,
    "verify": Scenarios.verifyAll,
    "restore": Scenarios.restoreTo("/restore/new.img"),
    "restore to an image in Ceph": restoreToCeph,
    "expire": Scenarios.expireAll,
    "forget": forget({ revisions: "first", force: false, wait }),
    "distrust": distrust({ revisions: "first", from: undefined, until: undefined, wait })
  },
  others: {
    "a VM that writes": writes,
    "somebody who resizes the image": resizes,
    "strangers' snapshots": snapshots
  }
})
