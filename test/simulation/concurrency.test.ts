/** Several operations at once on a repository whose source is a file: see `concurrencySuite`. */
import * as Duration from "effect/Duration"
import { backup as backupOperation } from "../../src/operation/backup.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { forget } from "../../src/operation/forget.ts"
import { tags } from "../../src/operation/tags.ts"
import { concurrencySuite } from "../support/concurrencySuite.ts"
import * as Scenarios from "../support/scenarios.ts"
import { schedule, setFile } from "../support/World.ts"

const wait = Duration.zero

concurrencySuite({
  file: "concurrency.test.ts",
  count: 100,
  repository: {
    name: "a repository with a history",
    prepare: (bench) => {
      for (const letters of ["aab.", "acb.d", "acbed"]) {
        bench.image(letters)
        bench.run(Scenarios.backup)
      }
      // something to purge
      bench.run(forget({ revisions: "first", force: false, wait }))
      bench.image("fcb.ed")
      setFile(bench.memory.disk, "/restore/old.img", new Uint8Array(700).fill(7))
      bench.memory.syncAll()
    },
    operation: Scenarios.backup
  },
  operations: {
    "backup": Scenarios.backup,
    "backup that waits": backupOperation({ tags: ["daily"], schedule, force: false, wait: Duration.minutes(1) }),
    "purge": Scenarios.purge,
    "verify": Scenarios.verifyAll,
    "restore": Scenarios.restoreTo("/restore/new.img"),
    "restore of the first": Scenarios.restoreTo("/restore/new.img", { revision: "first" }),
    "restore over a file": Scenarios.restoreTo("/restore/old.img", { force: true }),
    "restore of the first over a file": Scenarios.restoreTo("/restore/old.img", { force: true, revision: "first" }),
    "expire": Scenarios.expireAll,
    "forget": forget({ revisions: "first", force: false, wait }),
    "tags": tags({ revisions: "all", change: "add", tags: ["weekly"], schedule, wait }),
    "distrust": distrust({ revisions: "first", from: undefined, until: undefined, wait })
  }
})
