/**
 * The simulated disk against the real one: any sequence of calls gives the same results and the same errors.
 */
import { assert, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as FS from "node:fs"
import type { Disk, OpenOptions } from "../../src/platform/Disk.ts"
import { codeOf } from "../../src/platform/errno.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import { everywhere } from "../support/places.ts"

/** One side of the comparison: open descriptors by slot. */
interface Side {
  readonly disk: Disk
  readonly root: string
  readonly link: (target: string, path: string) => void
  readonly slots: Map<number, number>
}

type Step = (side: Side) => unknown

const names = [
  "a",
  "b",
  "d",
  "d/a",
  "d/b",
  "d/e",
  "d/e/a",
  "link",
  "d/link",
  "./a",
  "d/../b",
  "a/b",
  "d/",
  "a/",
  "link/",
  "link/a"
]
const path = FastCheck.constantFrom(...names)
const directory = FastCheck.constantFrom("d", "d/", "d/e", "link", ".", "d/link", "a")
const slot = FastCheck.integer({ min: 0, max: 2 })
const offset = FastCheck.constantFrom(0, 1, 100, 4095, 4096, 5000, 12_288, 70_000)
const mode = FastCheck.constantFrom(0o600, 0o640, 0o755)

const options: FastCheck.Arbitrary<OpenOptions> = FastCheck.record({
  access: FastCheck.constantFrom("read", "write", "read-write"),
  create: FastCheck.constantFrom("never", "exclusive", "if-missing"),
  mode,
  truncate: FastCheck.boolean(),
  follow: FastCheck.boolean()
})

/** An empty slot stands for a descriptor that nobody has. */
const at = (slots: Side["slots"], slot: number): number => slots.get(slot) ?? 1_000_000

const kindAt = ({ disk, root }: Side, path: string): string => {
  try {
    return disk.lstat(`${root}/${path}`).kind
  } catch (cause) {
    return codeOf(cause)
  }
}

const named = (name: string, step: Step): Step => Object.assign(step, { toString: () => name })

const step = FastCheck.oneof(
  {
    weight: 4,
    arbitrary: FastCheck.tuple(slot, path, options).map(([slot, path, options]) =>
      named(`open ${slot} ${path} ${JSON.stringify(options)}`, ({ disk, root, slots }) => {
        const descriptor = disk.open(`${root}/${path}`, options)
        const before = slots.get(slot)
        slots.set(slot, descriptor)
        if (before !== undefined) disk.close(before)
      })
    )
  },
  {
    weight: 4,
    arbitrary: FastCheck.tuple(slot, offset, FastCheck.integer({ min: 0, max: 9000 }), FastCheck.integer({ max: 255 }))
      .map(([slot, offset, length, value]) =>
        named(
          `write ${slot} ${offset}+${length}`,
          ({ disk, slots }) => disk.write(at(slots, slot), new Uint8Array(length).fill(value), offset)
        )
      )
  },
  {
    weight: 2,
    arbitrary: FastCheck.tuple(slot, offset).map(([slot, offset]) =>
      named(`read ${slot} ${offset}`, ({ disk, slots }) => {
        const buffer = new Uint8Array(6000)
        return [disk.read(at(slots, slot), buffer, offset), buffer]
      })
    )
  },
  FastCheck.tuple(slot, offset).map(([slot, size]) =>
    named(`truncate ${slot} ${size}`, ({ disk, slots }) => disk.truncate(at(slots, slot), size))
  ),
  FastCheck.tuple(slot, offset, FastCheck.integer({ min: 1, max: 9000 })).map(([slot, offset, length]) =>
    named(`punch ${slot} ${offset}+${length}`, ({ disk, slots }) => disk.punch(at(slots, slot), offset, length))
  ),
  slot.map((slot) =>
    named(`stat ${slot}`, ({ disk, slots }) => {
      const { kind, mode, nlink, size } = disk.stat(at(slots, slot))
      return kind === "file" ? { kind, mode, nlink, size } : { kind, mode }
    })
  ),
  path.map((path) =>
    named(`lstat ${path}`, ({ disk, root }) => {
      const { kind, mode, nlink, size } = disk.lstat(`${root}/${path}`)
      return kind === "file" ? { kind, mode, nlink, size } : { kind, mode }
    })
  ),
  slot.map((slot) => named(`sync ${slot}`, ({ disk, slots }) => disk.sync(at(slots, slot)))),
  {
    weight: 2,
    arbitrary: path.map((path) => named(`unlink ${path}`, ({ disk, root }) => disk.unlink(`${root}/${path}`)))
  },
  {
    weight: 3,
    arbitrary: FastCheck.tuple(path, path).map(([from, to]) =>
      named(`rename ${from} ${to}`, ({ disk, root }) => disk.rename(`${root}/${from}`, `${root}/${to}`))
    )
  },
  {
    weight: 3,
    arbitrary: FastCheck.tuple(path, mode).map(([path, mode]) =>
      named(`mkdir ${path}`, ({ disk, root }) => disk.makeDirectory(`${root}/${path}`, mode))
    )
  },
  directory.map((path) => named(`rmdir ${path}`, ({ disk, root }) => disk.removeDirectory(`${root}/${path}`))),
  directory.map((path) => named(`list ${path}`, ({ disk, root }) => Array.from(disk.list(`${root}/${path}`)).sort())),
  path.map((path) => named(`readlink ${path}`, ({ disk, root }) => disk.readLink(`${root}/${path}`))),
  FastCheck.tuple(path, mode).map(([path, mode]) =>
    named(`chmod ${path}`, ({ disk, root }) => disk.chmod(`${root}/${path}`, mode))
  ),
  FastCheck.tuple(
    FastCheck.constantFrom("a", "d", "link", "nowhere", "d/a", ".."),
    FastCheck.constantFrom("link", "d/link")
  )
    .map(([target, path]) =>
      named(`symlink ${target} ${path}`, (side) => {
        const parent = path.includes("/") ? "d" : "."
        if (kindAt(side, path) === "ENOENT" && kindAt(side, parent) === "directory") {
          side.link(target, `${side.root}/${path}`)
        }
      })
    )
)

/** The result of a step, or the errno; XFS may say EEXIST where the others say ENOTEMPTY. */
const outcome = (step: Step, side: Side): unknown => {
  try {
    return step(side) ?? "done"
  } catch (cause) {
    const code = codeOf(cause)
    return code === "EEXIST" && String(step).startsWith("rename") ? "ENOTEMPTY" : code
  }
}

const tree = ({ disk, root }: Side, path = ""): ReadonlyArray<string> =>
  Array.from(disk.list(`${root}${path}`)).sort().flatMap((name) => {
    const at = `${path}/${name}`
    const { kind, mode, size } = disk.lstat(`${root}${at}`)
    if (kind === "directory") return [`${at}/ ${mode}`, ...tree({ disk, root, link: () => {}, slots: new Map() }, at)]
    if (kind === "symlink") return [`${at} -> ${disk.readLink(`${root}${at}`)}`]
    const descriptor = disk.open(`${root}${at}`, { access: "read" })
    const buffer = new Uint8Array(size)
    disk.read(descriptor, buffer, 0)
    disk.close(descriptor)
    return [`${at} ${mode} ${size} ${Buffer.from(buffer).toString("base64")}`]
  })

everywhere((place) => {
  it("a simulated disk answers any sequence of calls as this one does", { timeout: 60_000 }, () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 40, size: "max" }), (steps) => {
        const memory = MemoryDisk.make()
        memory.plantDirectory("/x/y/z/root")
        const simulated: Side = { disk: memory.disk, root: "/x/y/z/root", link: memory.plantLink, slots: new Map() }
        const folder = place.directory()
        const root = `${folder}/x/y/z/root`
        // Links to `..` lead out of the root, but not out of what both sides have.
        FS.mkdirSync(root, { recursive: true, mode: 0o755 })
        const real: Side = {
          disk: nodeDisk,
          root,
          link: (target, path) => FS.symlinkSync(target, path),
          slots: new Map()
        }
        try {
          for (const step of steps) assert.deepStrictEqual(outcome(step, simulated), outcome(step, real), String(step))
          assert.deepStrictEqual(tree(simulated), tree(real))
        } finally {
          for (const descriptor of real.slots.values()) nodeDisk.close(descriptor)
          FS.rmSync(folder, { recursive: true, force: true })
        }
      }),
      { numRuns: 150 }
    )
  })
})
