import { execFileSync } from "node:child_process"
import * as FS from "node:fs"
import { fallback } from "../../src/platform/kernel.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as NodeDisk from "../../src/platform/nodeDisk.ts"
import { diskContract } from "../support/contract/Disk.contract.ts"
import { everywhere, inTemporaryDirectory, type Place } from "../support/places.ts"

const real = (place: Place, disk = NodeDisk.nodeDisk) => () => ({
  disk,
  root: place.directory(),
  link: (target: string, path: string) => FS.symlinkSync(target, path),
  pipe: (path: string) => {
    execFileSync("mkfifo", [path])
  },
  readOnly: place.remount === undefined ? undefined : (on: boolean) => place.remount?.(on ? "ro" : "rw")
})

everywhere((place) => diskContract("nodeDisk", real(place)))

inTemporaryDirectory((place) => diskContract("nodeDisk without koffi", real(place, NodeDisk.make(() => fallback))))

diskContract("MemoryDisk", () => {
  const memory = MemoryDisk.make()
  memory.plantDirectory("/root")
  return {
    disk: memory.disk,
    root: "/root",
    link: memory.plantLink,
    pipe: memory.plantOther,
    readOnly: (on) => {
      memory.readOnly = on
    }
  }
})
