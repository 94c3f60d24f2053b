import { rbdContract } from "../support/contract/Rbd.contract.ts"
import * as Cluster from "./cluster.ts"

const MiB = 1024 * 1024

rbdContract("the real cluster", () => ({
  layer: Cluster.rbdLayer,
  pool: Cluster.POOL,
  fresh: Cluster.fresh,
  objectSize: 4 * MiB,
  create: Cluster.create,
  write: Cluster.write,
  resize: Cluster.resize,
  setProtected: async (image, snapshot, isProtected) => {
    await Cluster.rbd("snap", isProtected ? "protect" : "unprotect", `${Cluster.POOL}/${image}@${snapshot}`)
  }
}))
